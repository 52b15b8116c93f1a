"""ClipStore: what is written comes back, and damage is reported."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mersynth
from mersynth.clips import Clip
from mersynth.files import sha256_of_file, write_json_atomically
from mersynth.space import NoSpaceError
from mersynth.store.clip_store import CHECKSUMMED_FILES, ClipStore, StoreError, require_real
from mersynth.store.journal import check_target
from mersynth.store.verdict import VERDICTS
from mersynth.store.writer import StoreWriter, merge
from tests.tiny_store import tiny_clips, write_tiny_store


def frames_of(clip: Clip, value: int, side: int = 8) -> np.ndarray:
    return np.full((clip.num_frames, side, side, 3), value, np.uint8)


def test_round_trip(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=2)
    clips[0] = dataclasses.replace(
        clips[0], apex=None, template="samm/001/x", generator="ab", unseen=("samm/000", "samm/001")
    )
    rng = np.random.default_rng(0)
    intensities = rng.random((6, 20, 2), dtype=np.float32)
    landmarks = rng.random((6, 68, 2), dtype=np.float32)
    with StoreWriter(tmp_path / "s", clips, 8, {"source": "samm"}) as writer:
        for value, clip in enumerate(clips):
            writer.add(frames_of(clip, value), intensities, landmarks if value else None)
        writer.finish()
    store = ClipStore.open(tmp_path / "s", verify=True)
    assert store.clips == tuple(clips)
    assert store.image_size == 8
    assert store.subjects == ("samm/000", "samm/001")
    for value, item in enumerate(store):
        assert (item.frames == value).all()
        np.testing.assert_array_equal(item.intensities, intensities)
    assert np.isnan(store[0].landmarks).all()
    np.testing.assert_array_equal(store[1].landmarks, landmarks)
    assert store.table["id"].tolist() == [clip.id for clip in clips]
    assert not store.frames.flags.writeable


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("offset", 3, "offset 3 lies before onset 10"),
        ("apex", 99, "apex 99 lies outside onset..offset"),
        ("fps", 0.0, "fps must be above 0"),
        ("fps", float("inf"), "fps must be above 0, got inf"),
        ("strength", "mild", "strength"),
        ("subject", "0/3", "subject must be a text, .* without /, got '0/3'"),
        ("name", "", "name must be a text"),
    ],
)
def test_a_row_that_is_no_clip_is_named(
    field: str, value: object, reason: str, tmp_path: Path
) -> None:
    write_tiny_store(tmp_path / "s")
    file = tmp_path / "s" / "clips.parquet"
    table = pd.read_parquet(file).astype({field: "object"})
    table.loc[17, field] = value
    table.to_parquet(file, index=False)
    resealed(tmp_path / "s", file.name)
    with pytest.raises(StoreError, match=rf"clips.parquet cannot be read .*clip samm/.*{reason}"):
        ClipStore.open(tmp_path / "s")


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


def test_same_content_has_the_same_checksum(tmp_path: Path) -> None:
    one, two = write_tiny_store(tmp_path / "1"), write_tiny_store(tmp_path / "2")
    other = write_tiny_store(tmp_path / "3", tiny_clips(subjects=4))
    assert one.checksum == two.checksum != other.checksum


def test_filter_is_a_view_of_the_right_clips(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    angry = store.filter(lambda clip: clip.emotion == "anger")
    assert len(angry) == 5
    whole = {item.clip.id: item.frames for item in store}
    for item in angry:
        np.testing.assert_array_equal(item.frames, whole[item.clip.id])


def test_merge_keeps_clips_and_headers(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=2)
    parts = [
        write_tiny_store(tmp_path / "a", clips[:4]),
        write_tiny_store(tmp_path / "b", clips[4:]),
    ]
    merged = merge(parts, tmp_path / "m")
    assert merged.clips == tuple(clips)
    np.testing.assert_array_equal(merged[4].frames, parts[1][0].frames)
    assert [p["header"]["licence"] for p in merged.meta["header"]["parts"]] == ["none", "none"]
    with pytest.raises(StoreError, match="occurs twice"):
        merge([parts[0], parts[0]], tmp_path / "twice")
    odd = write_tiny_store(tmp_path / "odd", clips[4:], image_size=16)
    with pytest.raises(StoreError, match=r"\[16, 32\]"):
        merge([parts[0], odd], tmp_path / "sizes")


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


def resealed(path: Path, *names: str) -> None:
    """Give changed files the checksums that they have now, as another program would."""
    meta = json.loads((path / "store.json").read_text())
    meta["sha256"] |= {name: sha256_of_file(path / name) for name in names}
    write_json_atomically(path / "store.json", meta)


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
        ("emotion", "joy", r"'joy' is neither a label of samm \(anger, .* schemes native"),
        ("fps", float("inf"), "fps must be above 0, got inf"),
        ("subject", "a/b", "subject must be a text, .* without /, got 'a/b'"),
        ("template", "x", "template must be the id of a clip, source/subject/name, got 'x'"),
        ("unseen", ["samm"], r"unseen must be a tuple of ids .*got \('samm',\)"),
        ("aus", None, "a clip has no aus"),
    ],
)
def test_a_row_that_no_clip_has_is_refused_whatever_the_checksum(
    column: str, value: object, said: str, tmp_path: Path
) -> None:
    write_tiny_store(tmp_path / "s")
    file = tmp_path / "s" / "clips.parquet"
    table = pd.read_parquet(file)
    table.at[4, column] = value
    table.to_parquet(file, index=False)
    resealed(tmp_path / "s", file.name)
    with pytest.raises(StoreError, match=rf"clips\.parquet.*{said}"):
        ClipStore.open(tmp_path / "s")


def test_a_writer_refuses_emotions_that_the_database_does_not_have(tmp_path: Path) -> None:
    clips = [dataclasses.replace(clip, emotion="joy") for clip in tiny_clips(subjects=1)]
    with pytest.raises(StoreError, match="'joy' is neither a label of samm"):
        StoreWriter(tmp_path / "s", clips, 32, {"source": "samm"})
    own = [dataclasses.replace(clip, source="mine") for clip in clips]  # whose labels nobody knows
    assert write_tiny_store(tmp_path / "own", own).clips[0].emotion == "joy"


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


def test_a_store_is_a_sequence(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    part = store[3:9:2]
    assert isinstance(part, ClipStore)
    assert part.clips == (store.clips[3], store.clips[5], store.clips[7])
    np.testing.assert_array_equal(part[1].frames, store[5].frames)
    assert store[-1].clip == store.clips[-1]
    assert store[np.int64(2)].clip == store.clips[2]
    assert len(store[5:5]) == 0
    for index in (len(store), -len(store) - 1):
        with pytest.raises(IndexError, match=rf"has {len(store)} clips, there is no clip {index}"):
            store[index]
    for index in (None, 1.0, "0"):
        with pytest.raises(TypeError):
            store[index]  # type: ignore[call-overload]


def test_synthetic_clips_are_not_taken_for_real_ones(tmp_path: Path) -> None:
    clips = tiny_clips()
    assert require_real(write_tiny_store(tmp_path / "real", clips)).clips == tuple(clips)
    clips[3] = dataclasses.replace(clips[3], generator="ab")
    with pytest.raises(StoreError, match=rf"synthetic clips \({clips[3].id}\)"):
        require_real(write_tiny_store(tmp_path / "mixed", clips))


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": 3}, "offset 3 lies before onset 10"),
        ({"apex": 99}, "apex 99 lies outside"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"strength": "huge"}, "must be one of micro, macro, got 'huge'"),
    ],
)
def test_impossible_clips_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tiny_clips()[0], **change)
