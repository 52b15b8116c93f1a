"""Stores and data sets that are sent to other processes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mersynth
from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore, StoreError
from tests.tiny_store import tiny_clips, write_tiny_store

KEYS = ("clip", "aus", "landmarks", "label", "subject", "apex_index", "strength", "index")


def assert_same(sample: object, other: object) -> None:
    for key in KEYS:
        np.testing.assert_array_equal(sample[key], other[key], err_msg=key)  # type: ignore[index]


@pytest.mark.parametrize("scheme", ["native", "three"])
def test_a_data_set_travels_without_its_frames(scheme: str, tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", image_size=64, measured=True)
    _, data = mersynth.load_clips(tmp_path / "s", num_frames=4, scheme=scheme)
    assert len(data) == {"native": 25, "three": 20}[scheme]
    sent = pickle.dumps(data)
    assert len(sent) < 20_000 < store.frames.nbytes / 90
    there = pickle.loads(sent)
    assert isinstance(there.store.frames, np.memmap)
    assert len(there) == len(data)
    assert there.classes == data.classes
    assert there.store.table.equals(data.store.table)
    for i in (0, 7, len(data) - 1):
        assert_same(there[i], data[i])


def test_the_size_of_what_is_sent_hardly_grows_with_the_clips(tmp_path: Path) -> None:
    sizes = []
    for subjects in (4, 16):
        path = tmp_path / str(subjects)
        write_tiny_store(path, tiny_clips(subjects, each=10), image_size=8)
        store = ClipStore.open(path)
        part = store.filter(lambda clip: clip.emotion in ("anger", "surprise"))
        sizes.append([len(pickle.dumps(store)), len(pickle.dumps(part))])
        assert pickle.loads(pickle.dumps(part)).clips == part.clips
    more = 16 * 50 - 4 * 50
    assert sizes[1][0] - sizes[0][0] < 8 * more + 50  # its number
    assert sizes[1][1] - sizes[0][1] < 0.4 * 8 * more + 50


def test_opening_makes_only_the_clips_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tiny_clips(each=20)
    write_tiny_store(tmp_path / "s", clips, image_size=8)
    made = []
    check = Clip.__post_init__
    monkeypatch.setattr(Clip, "__post_init__", lambda clip: (made.append(clip), check(clip)))
    store = ClipStore.open(tmp_path / "s")
    assert [store[i].clip for i in (7, 480)] == [clips[7], clips[480]]
    assert len(made) < 5 < len(store)
    assert store.clips == tuple(clips)


def test_a_view_stays_a_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_store(tmp_path / "s", measured=True)
    monkeypatch.chdir(tmp_path)
    view = ClipStore.open("s").filter(lambda clip: clip.emotion == "surprise")
    sent = pickle.dumps(view)
    monkeypatch.chdir("/")
    there = pickle.loads(sent)
    assert there.clips == view.clips
    assert there.checksum == view.checksum
    for item, other in zip(view, there, strict=True):
        np.testing.assert_array_equal(item.frames, other.frames)
        np.testing.assert_array_equal(item.intensities, other.intensities)


def test_a_store_that_was_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s")
    _, data = mersynth.load_clips(tmp_path / "s")
    sent = pickle.dumps(data)
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(StoreError, match="no store at"):
        pickle.loads(sent)
    write_tiny_store(tmp_path / "s", tiny_clips(subjects=4))
    with pytest.raises(
        StoreError, match=r"was replaced by another store while it was in use; open it again"
    ):
        pickle.loads(sent)


@pytest.mark.slow
def test_a_spawned_worker_reads_the_same_batches(tmp_path: Path) -> None:
    write_tiny_store(tmp_path / "s", measured=True)
    _, data = mersynth.load_clips(tmp_path / "s", num_frames=3)
    here = DataLoader(data, batch_size=13)
    there = DataLoader(data, batch_size=13, num_workers=1, multiprocessing_context="spawn")
    for batch, other in zip(here, there, strict=True):
        for key in set(KEYS) - {"strength"}:
            torch.testing.assert_close(batch[key], other[key], rtol=0, atol=0, equal_nan=True)
