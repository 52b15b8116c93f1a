"""Files that hold what no store has are refused, whatever their checksum."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mersynth.disk.files import sha256_of_file, write_json_atomically
from mersynth.store.clip_store import ClipStore, StoreError
from tests.tiny_store import write_tiny_store


def resealed(path: Path, *names: str) -> None:
    """Give changed files the checksums that they have now, as another program would."""
    meta = json.loads((path / "store.json").read_text())
    meta["sha256"] |= {name: sha256_of_file(path / name) for name in names}
    write_json_atomically(path / "store.json", meta)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("store.json", b"[]"),
        ("store.json", b'{"schema_version": 1, "header": {"source": "samm"}}'),
        ("store.json", b"\xff\xfe\x00"),
        ("frames.npy", b""),
        ("clips.parquet", b"PAR1"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, content: bytes) -> None:
    store = write_tiny_store(tmp_path / "s")
    (store.path / file).write_bytes(content)
    with pytest.raises(StoreError, match=file):
        ClipStore.open(store.path)


def test_arrays_of_another_layout_are_refused(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    file = store.path / "landmarks.npy"
    np.save(file, np.zeros((150, 5, 2), np.float32))
    store.meta["sha256"][file.name] = sha256_of_file(file)
    (store.path / "store.json").write_text(json.dumps(store.meta))
    with pytest.raises(StoreError, match=r"landmarks.npy holds float32 \(150, 5, 2\)"):
        ClipStore.open(store.path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("intensities", 1.5, r"intensities.npy holds .*1.5, intensities lie in 0..1"),
        ("intensities", np.inf, r"intensities.npy holds .*inf, intensities lie in 0..1"),
        ("landmarks", -np.inf, "landmarks.npy holds -inf..-inf; landmarks are pixels"),
    ],
)
def test_values_that_no_store_has_are_refused_whatever_the_checksum(
    name: str, value: float, said: str, tmp_path: Path
) -> None:
    write_tiny_store(tmp_path / "s")
    file = tmp_path / "s" / f"{name}.npy"
    array = np.load(file)
    array[3, 2, 1] = value
    np.save(file, array)
    resealed(tmp_path / "s", file.name)
    for _ in range(2):  # the first refusal is not remembered as a right checksum
        with pytest.raises(StoreError, match=said):
            ClipStore.open(tmp_path / "s")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("offset", 3, "clip samm/.*offset 3 lies before onset 10"),
        ("apex", 99, "clip samm/.*apex 99 lies outside onset..offset"),
        ("fps", 0.0, "clip samm/.*fps must be above 0"),
        ("strength", "mild", "clip samm/.*strength"),
        ("subject", "0/3", "clip samm/.*subject must be a text, .* without /, got '0/3'"),
        ("name", "", "clip samm/.*name must be a text"),
        ("emotion", "joy", r"'joy' is neither a label of samm \(anger, .* schemes native"),
        ("fps", float("inf"), "clip samm/.*fps must be above 0, got inf"),
        ("template", "x", "clip samm/.*template must be the id of a clip, .*, got 'x'"),
        ("unseen", ["samm"], r"clip samm/.*unseen must be a tuple of ids .*got \('samm',\)"),
        ("aus", None, "a clip has no aus"),
    ],
)
def test_a_row_that_no_clip_has_is_refused_whatever_the_checksum(
    column: str, value: object, said: str, tmp_path: Path
) -> None:
    write_tiny_store(tmp_path / "s")
    file = tmp_path / "s" / "clips.parquet"
    table = pd.read_parquet(file).astype({column: "object"})
    table.at[17, column] = value
    table.to_parquet(file, index=False)
    resealed(tmp_path / "s", file.name)
    with pytest.raises(StoreError, match=rf"clips\.parquet.*{said}"):
        ClipStore.open(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[]", "Expected `object`, got `array`"),
        ('{"schema_version": "2"}', "schema_version is '2': Expected `int`"),
        ('{"schema_version": 2, "header": {}, "sha256": {}}', "field `source` in header"),
        (
            '{"schema_version": 2, "header": {"source": "a", "scheme": "x"}, "sha256": {}}',
            "header.scheme is 'x'",
        ),
        ('{"schema_version": 2, "header": {"source": "a"}, "sha256": {}}', "SHA-256 of clips.par"),
    ],
)
def test_a_damaged_header_is_named_with_its_place(content: str, said: str, tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(content)
    with pytest.raises(StoreError, match=rf"store\.json is damaged \(.*{said}"):
        ClipStore.open(tmp_path / "s")


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    for name in ("frames.npy", "store.json"):
        (tmp_path / "s" / name).unlink()
        os.mkfifo(tmp_path / "s" / name)
        with pytest.raises(StoreError, match=f"{name} is"):
            ClipStore.open(tmp_path / "s")


def test_an_id_occurs_once(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    file = tmp_path / "s" / "clips.parquet"
    table = pd.read_parquet(file)
    table.loc[1, ["subject", "name"]] = table.loc[0, ["subject", "name"]]
    table.to_parquet(file, index=False)
    resealed(tmp_path / "s", file.name)
    with pytest.raises(StoreError, match=r"the id samm/.* occurs twice"):
        ClipStore.open(tmp_path / "s")


def test_wrong_folders_have_distinct_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*none"):
        ClipStore.open(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"no store.json"):
        ClipStore.open(tmp_path / "empty")
    store = write_tiny_store(tmp_path / "s")
    meta = json.loads((store.path / "store.json").read_text())
    (store.path / "store.json").write_text(json.dumps({**meta, "schema_version": 99}))
    with pytest.raises(StoreError, match=r"schema version 99, this mersynth reads 1 and 2"):
        ClipStore.open(store.path)
    (store.path / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store.json is damaged"):
        ClipStore.open(store.path)
