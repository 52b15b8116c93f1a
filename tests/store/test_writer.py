"""Writing a store: whole or not at all, resumed after a kill, and what is refused."""

from __future__ import annotations

import dataclasses
import errno
import re
import resource
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from mersynth.disk.space import NoSpaceError
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.journal import check_target
from mersynth.store.writer import StoreWriter
from tests.tiny_store import frames_of, tiny_clips, write_tiny_store


def test_a_clip_written_in_pieces_is_the_same(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1, num_frames=5)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 5, 8, 8, 3), np.uint8)
    curve = rng.random((5, 20), np.float32)
    with StoreWriter(tmp_path / "whole", clips, 8, {"source": "samm"}) as writer:
        for shown in frames:
            writer.add(shown, curve)
        whole = writer.finish()
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}) as writer:
        for shown in frames:
            writer.add_frames(shown[:2])
            with pytest.raises(
                ValueError, match=r"frames must have shape \(5, 8, 8, 3\), got \(2,"
            ):
                writer.end_clip(curve)
            writer.add_frames(shown[2:])
            with pytest.raises(
                ValueError, match=r"frames must have shape \(5, 8, 8, 3\), got \(6,"
            ):
                writer.add_frames(shown[:1])
            writer.end_clip(curve)
        assert writer.finish().checksum == whole.checksum


def test_nothing_appears_until_whole(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}) as writer:
        writer.add(frames_of(clips[0], 1))
        with pytest.raises(StoreError, match=r"1 of 5 clips were added"):
            writer.finish()
    assert not (tmp_path / "s").exists()


def test_resume_goes_on_behind_the_last_commit(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)
    header = {"source": "samm"}
    with StoreWriter(tmp_path / "whole", clips, 8, header) as writer:
        for value, clip in enumerate(clips):
            writer.add(frames_of(clip, value))
        whole = writer.finish()
    with StoreWriter(tmp_path / "s", clips, 8, header) as writer:
        writer.add(frames_of(clips[0], 0))
        writer.add(frames_of(clips[1], 1))
        writer.commit()
        writer.add(frames_of(clips[2], 77))  # not committed: lost
    with StoreWriter(tmp_path / "s", clips, 8, header, resume=True) as writer:
        assert writer.done == 2
        for value in range(2, 5):
            writer.add(frames_of(clips[value], value))
        assert writer.finish().checksum == whole.checksum
    assert not list(tmp_path.glob(".*"))


def test_resume_finds_a_store_whole(tmp_path: Path) -> None:
    clips, header = tiny_clips(subjects=1), {"source": "samm"}
    with StoreWriter(tmp_path / "s", clips, 8, header) as writer:
        write(writer, 5)
        whole = writer.finish()
    (tmp_path / "s" / "journal.json").write_text("{}")  # as left by a kill
    with StoreWriter(tmp_path / "s", clips, 8, header, resume=True) as writer:
        assert writer.whole
        assert writer.done == 5
        assert writer.finish().checksum == whole.checksum
    assert not (tmp_path / "s" / "journal.json").exists()
    with pytest.raises(StoreError, match="exists already; remove it"):
        StoreWriter(tmp_path / "s", clips, 8, header)
    with pytest.raises(StoreError, match="exists already, and is another store"):
        StoreWriter(tmp_path / "s", clips[:3], 8, header, resume=True)


def test_a_damaged_journal_is_named_and_can_be_restored(tmp_path: Path) -> None:
    clips, header, out = tiny_clips(subjects=1), {"source": "samm"}, tmp_path / "s"
    with StoreWriter(out, clips, 8, header) as writer:
        for value, clip in enumerate(clips[:3], 1):
            writer.add(frames_of(clip, value))
        writer.commit()
    (journal,) = tmp_path.glob(".s.*/journal.json")
    journal.write_text('{"plan": ')
    with pytest.raises(StoreError, match=r"journal\.json is damaged: add --resume"):
        check_target(out, resume=False)
    with pytest.raises(StoreError, match=r"journal\.json is damaged") as raised:
        StoreWriter(out, clips, 8, header, resume=True)
    (suggested,) = re.findall(r"\{.*?\}", str(raised.value))
    journal.write_text(suggested)
    with StoreWriter(out, clips, 8, header, resume=True) as writer:
        assert writer.done == 3
        for value, clip in enumerate(clips[3:], 4):
            writer.add(frames_of(clip, value))
        whole = writer.finish()
    assert [int(item.frames.max()) for item in whole] == [1, 2, 3, 4, 5]


def test_resume_refuses_another_plan(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}) as writer:
        writer.add(frames_of(clips[0], 0))
        writer.commit()
    with pytest.raises(StoreError, match="another store"):
        StoreWriter(tmp_path / "s", clips, 8, {"source": "casme2"}, resume=True)


def write(writer: StoreWriter, count: int) -> None:
    """The next clips, each of its own grey."""
    for clip in writer.clips[:count]:
        writer.add(frames_of(clip, writer.clips.index(clip)))


def test_writers_without_locks_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without locks: each writes its own files, and the store is complete."""
    monkeypatch.setattr("mersynth.store.writer.hold", lambda path: nullcontext())
    clips = tiny_clips(subjects=1)
    first = StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"})
    second = StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"})
    write(first, 3)
    write(second, 5)
    whole = second.finish()
    for clip in clips[3:]:
        first.add(frames_of(clip, 99))
    with pytest.raises(StoreError, match="appeared while it was being written"):
        first.finish()
    for value, item in enumerate(ClipStore.open(whole.path, verify=True)):
        assert (item.frames == value).all()


def test_a_writing_that_was_taken_over_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mersynth.store.writer.hold", lambda path: nullcontext())
    clips = tiny_clips(subjects=1)
    first = StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"})
    write(first, 2)
    first.commit()
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}, resume=True) as second:
        first.add(frames_of(clips[2], 2))
        with pytest.raises(StoreError, match="another process has taken over the writing"):
            first.commit()
        for value in range(2, 5):
            second.add(frames_of(clips[value], value))
        second.finish()
    for value, item in enumerate(ClipStore.open(tmp_path / "s", verify=True)):
        assert (item.frames == value).all()


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NoSpaceError, match=r"frames.npy: it needs 460.8 kB \(460800 bytes\)"):
            write_tiny_store(tmp_path / "s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_a_full_disk_did_not_take_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tiny_clips(subjects=1)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write_all() -> None:
        with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}) as writer:
            write(writer, 2)
            writer.commit()
            for value in range(2, 5):
                writer.add(frames_of(clips[value], value))
            writer.finish()

    with monkeypatch.context() as patch:
        patch.setattr("mersynth.store.writer.write_clips", fail)
        with pytest.raises(OSError, match="No space left"):
            write_all()
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}, resume=True) as writer:
        assert writer.done == 5
        for value, item in enumerate(writer.finish()):
            assert (item.frames == value).all()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((5, 8, 8, 3), np.uint8)}, r"\(6, 8, 8, 3\), got \(5, 8, 8, 3\)"),
        ({"frames": np.zeros((6, 8, 8, 3), np.float32)}, "uint8, got float32"),
        ({"intensities": np.full((6, 20), 1.5)}, r"\[0, 1\], got 1.500"),
        ({"landmarks": np.zeros((6, 5, 2))}, r"\(6, 68, 2\), got \(6, 5, 2\)"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, change: dict, message: str) -> None:
    good = {"frames": np.zeros((6, 8, 8, 3), np.uint8)}
    with (
        StoreWriter(tmp_path / "s", tiny_clips(), 8, {"source": "samm"}) as writer,
        pytest.raises(ValueError, match=message),
    ):
        writer.add(**(good | change))


def test_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    with pytest.raises(StoreError, match="exists already"):
        write_tiny_store(tmp_path / "s")


def test_a_writer_refuses_emotions_that_the_database_does_not_have(tmp_path: Path) -> None:
    clips = [dataclasses.replace(clip, emotion="joy") for clip in tiny_clips(subjects=1)]
    with pytest.raises(StoreError, match="'joy' is neither a label of samm"):
        StoreWriter(tmp_path / "s", clips, 32, {"source": "samm"})
    own = [dataclasses.replace(clip, source="mine") for clip in clips]  # whose labels nobody knows
    assert write_tiny_store(tmp_path / "own", own).clips[0].emotion == "joy"
