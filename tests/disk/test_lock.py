"""One writer per output: the second learns who the first is, and a killed one holds no lock."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mersynth.disk.lock import InUseError, hold
from mersynth.disk.partial import partials_of
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from tests.tiny_store import HEADER, tiny_clips, write_tiny_store

_HOLD = """
import sys
from mersynth.disk.lock import hold
with hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
_WRITE = """
import sys
from mersynth.store.writer import StoreWriter
from tests.tiny_store import HEADER, tiny_clips
with StoreWriter(sys.argv[1], tiny_clips(), 32, HEADER):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other(program: str, output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds an output until it is killed, or its input ends."""
    command = [sys.executable, "-c", program, str(output)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_second_process_learns_who_holds_the_lock_until_that_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "store"
    with other(_HOLD, output) as process:
        who = rf"{output} is being written by `-c .*store` \(pid {process.pid} on "
        with pytest.raises(InUseError, match=rf"{who}{socket.gethostname()}, since 20.*--out"):
            hold(output).__enter__()
        process.kill()
        process.wait()
        with hold(output):
            assert names(tmp_path) == [".store.lock"]
    assert names(tmp_path) == []


def test_a_thread_may_nest_what_no_other_thread_may_take(tmp_path: Path) -> None:
    told: list[InUseError] = []

    def take() -> None:
        try:
            with hold(tmp_path / "x"):
                raise AssertionError("two threads hold it")
        except InUseError as error:
            told.append(error)

    with hold(tmp_path / "x"), hold(tmp_path / "y"), hold(tmp_path / "y" / ".." / "x"):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        assert names(tmp_path) == [".x.lock", ".y.lock"]
    with hold(tmp_path / "new" / "folder" / "x"):
        pass
    assert f"pid {os.getpid()} on" in str(told[0])
    assert names(tmp_path) == []


def test_one_at_a_time_however_often_it_changes_hands(tmp_path: Path) -> None:
    """The lock file is removed each time: a process that opened the old one must not get in."""
    inside, most, taken = 0, 0, 0

    def take() -> None:
        nonlocal inside, most, taken
        mine = 0
        while mine < 40:
            try:
                with hold(tmp_path / "x"):
                    inside += 1
                    most = max(most, inside)
                    mine += 1
                    taken += 1
                    inside -= 1
            except InUseError:
                pass

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, taken) == (1, 120)
    assert names(tmp_path) == []


def test_waiting_ends_when_it_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with other(_HOLD, tmp_path / "x") as process:
        assert process.stdin is not None
        threading.Timer(0.1, process.stdin.close).start()
        with hold(tmp_path / "x", wait=True):
            assert f"pid {process.pid} on" in caplog.text


def test_a_file_system_without_locks_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("mersynth.disk.lock.lock_descriptor", refuse)
    with hold(tmp_path / "x"):
        assert names(tmp_path) == []
    assert "without locks (No locks available)" in caplog.text


def test_two_processes_do_not_write_one_store(tmp_path: Path) -> None:
    with other(_WRITE, tmp_path / "s") as process:
        (begun,) = partials_of(tmp_path / "s")
        before = {file.name: file.read_bytes() for file in begun.iterdir()}
        for resume in (False, True):
            with pytest.raises(InUseError, match=f"pid {process.pid} on"):
                StoreWriter(tmp_path / "s", tiny_clips(), 32, HEADER, resume=resume)
        assert {file.name: file.read_bytes() for file in begun.iterdir()} == before
        process.kill()
        process.wait()
        store = write_tiny_store(tmp_path / "s")
    assert names(tmp_path) == ["s"]
    np.testing.assert_array_equal(ClipStore.open(store.path, verify=True).frames, store.frames)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that takes no files from root")
@pytest.mark.parametrize("place", ["/proc", "/sys"])
def test_a_folder_that_takes_no_files_is_named(place: str) -> None:
    with pytest.raises(OSError, match=f"^{place}/out cannot be written, since {place} takes no "):
        hold(f"{place}/out").__enter__()
