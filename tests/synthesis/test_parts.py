"""Stores made in parts by several processes: the bytes of one, and what is refused."""

from __future__ import annotations

import filecmp
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mersynth.disk.lock import InUseError, hold
from mersynth.shards import Shard
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.synthesis.generate import generate

OVERRIDES = ["num_frames=4", "batch_clips=2", "device=cpu"]


@pytest.fixture(scope="module")
def whole(place: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Ten clips, made by one process, with their pictures."""
    return run(place, tmp_path_factory.mktemp("parts") / "whole")


def run(place: Path, out: Path, **changes: object) -> ClipStore:
    settings = {"per_class": 2, "store": place / "samm", "checkpoint": place / "one"}
    store = generate(**(settings | {"out": out, "overrides": OVERRIDES} | changes))
    assert store is not None
    return store


def assert_same_bytes(store: Path, other: Path) -> None:
    """Every file of the two folders, except the record of when it was verified."""
    files = [
        sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
        for root in (store, other)
    ]
    assert files[0] == files[1]
    assert {"frames.npy", "store.json", "gallery.html"} <= {file.name for file in files[0]}
    for file in files[0]:
        if file.name != ".verified.json":
            assert filecmp.cmp(store / file, other / file, shallow=False), file


@pytest.mark.usefixtures("pictures")
def test_parts_made_in_any_order_join_to_the_bytes_of_one_process(
    place: Path, whole: ClipStore, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    for number in (3, 1, 4):  # the second is left to the command that joins
        part = run(place, out, shard=Shard(number, 4))
        assert part.path == tmp_path / "s.parts" / f"{number}_of_4"
    assert len(part) in (2, 4)
    with pytest.raises(StoreError, match=r"parts of this store are in .*s\.parts; add --resume"):
        run(place, out)
    joined = run(place, out, resume=True)
    assert joined.checksum == whole.checksum
    assert_same_bytes(joined.path, whole.path)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    # Killed before all parts were removed.
    run(place, tmp_path / "other", shard=Shard(2, 4))
    (tmp_path / "other.parts").rename(tmp_path / "s.parts")
    assert run(place, out, resume=True).checksum == whole.checksum
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.slow
def test_workers_write_the_bytes_of_one_process(
    place: Path, whole: ClipStore, tmp_path: Path
) -> None:
    several = run(place, tmp_path / "s", workers=2)
    assert several.meta == whole.meta
    assert several.checksum == whole.checksum
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.slow
def test_a_killed_part_goes_on_where_it_was(place: Path, tmp_path: Path) -> None:
    out, shard = tmp_path / "s", Shard(1, 2)
    command = [sys.executable, "-m", "mersynth", "generate", "--store", str(place / "samm")]
    command += ["--checkpoint", str(place / "one"), "--out", str(out), "--per-class", "5"]
    command += ["--shard", "1/2", *OVERRIDES]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    journals = (tmp_path / "s.parts").glob
    while process.poll() is None and not any(map(_done, journals(".1_of_2.*/journal.json"))):
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # or it would end meanwhile
    with pytest.raises(InUseError, match=rf"mersynth generate .*\(pid {process.pid} on"):
        run(place, out, per_class=5, shard=shard, resume=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (begun,) = map(_done, journals(".1_of_2.*/journal.json"))
    assert begun > 0
    with pytest.raises(StoreError, match="add --resume"):
        run(place, out, per_class=5, shard=shard)
    first = run(place, out, per_class=5, shard=shard, resume=True)
    assert begun < len(first)
    assert run(place, out, per_class=5, shard=shard, resume=True).checksum == first.checksum
    with hold(first.path), pytest.raises(InUseError):  # a process may be making it again
        run_elsewhere(place, out)
    run(place, out, per_class=5, shard=Shard(2, 2))
    joined = run(place, out, per_class=5, resume=True)
    assert joined.checksum == run(place, tmp_path / "whole", per_class=5).checksum


def run_elsewhere(place: Path, out: Path) -> None:
    """In another thread: a thread may nest its own locks."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run, place, out, per_class=5, shard=Shard(1, 2), resume=True).result()


def _done(journal: Path) -> int:
    return int(json.loads(journal.read_text())["done"])


def test_parts_of_another_plan_are_refused(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    for number in (1, 2):
        run(place, out, shard=Shard(number, 2))
    with pytest.raises(StoreError, match="1_of_2 is a part of another store"):
        run(place, out, seed=9, resume=True)
    shutil.copytree(out.with_name("s.parts") / "1_of_2", out.with_name("s.parts") / "1_of_3")
    with pytest.raises(StoreError, match=r"parts of 2 and of 3 shards"):
        run(place, out, resume=True)
    shutil.rmtree(out.with_name("s.parts") / "1_of_3")
    run(place, out, resume=True)
    with pytest.raises(StoreError, match="exists already"):
        run(place, out, shard=Shard(1, 2))


def test_shards_that_cannot_be_are_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only 5 batches of config batch_clips"):
        run(place, tmp_path / "s", shard=Shard(1, 6))
    with pytest.raises(ValueError, match="workers must be 1"):
        run(place, tmp_path / "s", shard=Shard(1, 2), workers=2)
    assert list(tmp_path.iterdir()) == []
