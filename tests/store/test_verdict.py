"""Checksums of a store: damage is found whoever opens it, and each file is hashed once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mersynth
from mersynth.disk.files import sha256_of_file, write_json_atomically
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.format import CHECKSUMMED_FILES
from mersynth.store.verdict import VERDICTS
from tests.tiny_store import write_tiny_store


def spoil(store: ClipStore) -> None:
    """Change a byte of a pixel; the file keeps its size and time of modification."""
    file = store.path / "frames.npy"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    with file.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        (last,) = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))
    os.utime(file, ns=times)


def test_damage_is_found_whoever_opens(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    spoil(store)
    with pytest.raises(StoreError, match=r"frames.npy is damaged.*make the store again"):
        ClipStore.open(store.path)
    with pytest.raises(StoreError, match=r"frames.npy is damaged"):
        mersynth.load_clips(store.path)
    spoil(store)  # and back
    assert len(ClipStore.open(store.path)) == 25
    (store.path / "landmarks.npy").unlink()
    with pytest.raises(StoreError, match=r"landmarks.npy is missing"):
        ClipStore.open(store.path)


@pytest.fixture(name="hashed")
def _hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are hashed."""
    names: list[str] = []

    def hash_file(path: Path, advance: Callable[[int], None] | None = None) -> str:
        names.append(path.name)
        return sha256_of_file(path, advance)

    monkeypatch.setattr("mersynth.store.verdict.sha256_of_file", hash_file)
    return names


def open_twice(path: Path, hashed: list[str]) -> list[str]:
    """What the second of two openings hashes, some ticks of the file system's clock later."""
    time.sleep(0.02)
    ClipStore.open(path)
    hashed.clear()
    ClipStore.open(path)
    return hashed


def test_a_store_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    store = write_tiny_store(tmp_path / "s")
    assert sorted(hashed) == sorted(CHECKSUMMED_FILES)  # by its writer, who remembers it
    assert open_twice(store.path, hashed) == []
    store.path.rename(tmp_path / "moved")
    assert ClipStore.open(tmp_path / "moved").checksum == store.checksum
    assert hashed == []
    ClipStore.open(tmp_path / "moved", verify=True)
    assert sorted(hashed) == sorted(CHECKSUMMED_FILES)
    hashed.clear()
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    ClipStore.open(tmp_path / "copy")
    assert sorted(hashed) == sorted(CHECKSUMMED_FILES)
    hashed.clear()
    (tmp_path / "copy" / "clips.parquet").touch()
    ClipStore.open(tmp_path / "copy")
    assert hashed == ["clips.parquet"]


def test_what_cannot_be_noted_in_the_store_is_noted_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    store = write_tiny_store(tmp_path / "s")
    (store.path / VERDICTS).unlink()

    def write(path: Path, value: object) -> None:
        if path.is_relative_to(store.path):
            raise PermissionError
        write_json_atomically(path, value)

    monkeypatch.setattr("mersynth.store.verdict.write_json_atomically", write)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert open_twice(store.path, hashed) == []
    assert len(list((tmp_path / "cache" / "mersynth" / "verified").iterdir())) == 1
    spoil(store)
    with pytest.raises(StoreError, match=r"frames.npy is damaged"):
        ClipStore.open(store.path)
