"""A store as a torch Dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mersynth.store.dataset import ClipDataset, to_float, to_uint8
from tests.tiny_store import tiny_clips, write_tiny_store


def test_batches_have_the_field_s_layout(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    batch = next(iter(DataLoader(ClipDataset(store, num_frames=4), batch_size=3)))
    assert batch["clip"].shape == (3, 4, 3, 32, 32)
    assert batch["clip"].dtype == torch.float32
    assert batch["clip"].min() >= 0
    assert batch["clip"].max() <= 1
    assert batch["aus"].shape == (3, 4, 20)
    assert batch["landmarks"].shape == (3, 4, 68, 2)
    assert batch["landmarks"].isnan().all()


def test_frames_run_from_onset_to_offset(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    sample = ClipDataset(store, num_frames=3)[2]
    np.testing.assert_array_equal(to_uint8(sample["clip"]), store[2].frames[[0, 2, 5]])


def test_labels_follow_the_scheme(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    three = ClipDataset(store, scheme="three")
    assert three.classes == ("negative", "positive", "surprise")
    assert len(three) == 20  # `other` has no class of the three
    for i in range(len(three)):
        sample = three[i]
        emotion = three.store.clips[sample["index"]].emotion
        expected = {"happiness": "positive", "surprise": "surprise"}.get(emotion, "negative")
        assert three.classes[sample["label"]] == expected


def test_round_trip_of_frames() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_float(frames)), frames)


def test_what_makes_no_dataset_is_refused(tmp_path: Path) -> None:
    others = [clip for clip in tiny_clips() if clip.emotion == "other"]
    store = write_tiny_store(tmp_path / "s", others)
    with pytest.raises(ValueError, match=r"no clip of .* in the label scheme 'three'"):
        ClipDataset(store, scheme="three")
    with pytest.raises(
        ValueError, match="num_frames must be a whole number from 1 to 10000, got 0"
    ):
        ClipDataset(store, num_frames=0)


def test_samples_name_person_apex_and_strength(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=2, num_frames=9)
    clips[1] = replace(clips[1], apex=None, strength="macro")
    data = ClipDataset(write_tiny_store(tmp_path / "s", clips), num_frames=3)
    batch = next(iter(DataLoader(data, batch_size=len(data))))
    assert batch["subject"].tolist() == [0] * 5 + [1] * 5
    assert data.subjects == ("samm/000", "samm/001")
    # Frames 0, 4 and 8 are taken; the apex is frame 4.
    assert batch["apex_index"].tolist() == [1, -1, *[1] * 8]
    assert batch["strength"][:2] == ["micro", "macro"]
