"""``mersynth.load_clips``: a table and a Dataset of the same clips."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

import mersynth
from mersynth.store.clip_store import StoreError
from mersynth.store.merge import merge
from tests.tiny_store import tiny_clips, write_tiny_store


def synthetic_clips(emotions: dict[str, str]) -> list[mersynth.clips.Clip]:  # type: ignore[name-defined]
    return [
        replace(clip, name=f"synthetic_{i:05d}", emotion=emotions[clip.emotion], generator="ab")
        for i, clip in enumerate(tiny_clips(subjects=2))
        if clip.emotion in emotions
    ]


def test_table_and_dataset_are_of_the_same_clips(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    table, clips = mersynth.load_clips(tmp_path / "s", num_frames=6)
    assert list(table["id"]) == [clip.id for clip in store.clips]
    assert len(table) == len(clips) == len(store)
    batch = next(iter(DataLoader(clips, batch_size=4)))
    assert batch["clip"].shape == (4, 6, 3, 32, 32)
    for i, sample in enumerate(clips):
        assert table["label"][i] == sample["label"] == clips.labels[i]
        assert table["class"][i] == clips.classes[sample["label"]] == table["emotion"][i]
        pixels = (sample["clip"].permute(0, 2, 3, 1) * 255).round().byte().numpy()
        np.testing.assert_array_equal(pixels, store[i].frames)


def test_a_scheme_leaves_clips_out_of_both(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    table, clips = mersynth.load_clips(tmp_path / "s", scheme="three")
    assert clips.classes == ("negative", "positive", "surprise")
    assert len(table) == len(clips) == 20
    assert Counter(table["class"]) == {"negative": 10, "positive": 5, "surprise": 5}
    assert "other" not in set(table["emotion"])


def test_a_synthetic_store_is_read_in_the_scheme_it_was_made_for(tmp_path: Path) -> None:
    made = synthetic_clips({"other": "others", "anger": "anger"})
    write_tiny_store(tmp_path / "s", made, header={"source": "samm", "scheme": "five"})
    table, clips = mersynth.load_clips(tmp_path / "s")
    assert Counter(table["class"]) == {"others": 2, "anger": 2}
    assert len(clips.classes) == 5


def test_a_real_store_merged_with_a_synthetic_one(tmp_path: Path) -> None:
    real = write_tiny_store(tmp_path / "real")
    header = {"source": "samm", "scheme": "five"}
    made = write_tiny_store(tmp_path / "made", synthetic_clips({"other": "others"}), header=header)
    merge([real, made], tmp_path / "both")
    table, _ = mersynth.load_clips(tmp_path / "both")
    assert Counter(table["class"])["others"] == 5 + 2
    header = {"source": "samm", "scheme": "three"}
    other = write_tiny_store(
        tmp_path / "other",
        [replace(c, subject="9") for c in synthetic_clips({"anger": "negative"})],
        header=header,
    )
    merge([made, other], tmp_path / "mixed")
    with pytest.raises(ValueError, match=r"several schemes \(five, three\); choose one"):
        mersynth.load_clips(tmp_path / "mixed")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*; `mersynth prepare"):
        mersynth.load_clips(tmp_path / "nothing")
    with pytest.raises(AttributeError, match="no attribute 'load_clip'"):
        _ = mersynth.load_clip  # type: ignore[attr-defined]
    assert "load_clips" in mersynth.__all__
