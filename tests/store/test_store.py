"""ClipStore: what is written comes back, and parts of it are views."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mersynth.store.clip_store import ClipStore, StoreError, require_real
from mersynth.store.writer import StoreWriter
from tests.tiny_store import frames_of, tiny_clips, write_tiny_store


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
