"""Temporary folders: gone at the end, and cleared by the next process when theirs was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mersynth.disk.scratch import scratch_folder

_KEEP = """
import sys
from mersynth.disk.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "large.bin").write_bytes(bytes(10))
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def other(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process and its folder."""
    command = [sys.executable, "-c", _KEEP]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_folder_is_its_users_alone_and_goes_at_the_end(place: Path) -> None:
    def fail() -> None:
        with scratch_folder() as folder:
            (folder / "a").write_bytes(bytes(10))
            assert folder.parent == place
            assert folder.stat().st_mode & 0o777 == 0o700
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed(
    place: Path, other: tuple[subprocess.Popen[str], Path]
) -> None:
    process, theirs = other
    process.kill()
    process.wait()
    assert (theirs / "large.bin").exists()
    with scratch_folder() as own:
        assert {path.name for path in place.iterdir()} == {own.name, f".{own.name}.lock"}


def test_folders_in_use_stay(place: Path, other: tuple[subprocess.Popen[str], Path]) -> None:
    _, theirs = other
    with scratch_folder() as outer, scratch_folder() as inner:
        assert all(folder.is_dir() for folder in (theirs, outer, inner))
    assert theirs.is_dir()


def test_a_link_that_looks_like_a_lock_is_left_alone(place: Path) -> None:
    (place / "mine.txt").write_text("mine")
    folder = place / "mersynth-scratch-0"
    folder.mkdir()
    os.symlink(place / "mine.txt", place / f".{folder.name}.lock")
    with scratch_folder():
        pass
    assert folder.is_dir()
    assert (place / "mine.txt").read_text() == "mine"
