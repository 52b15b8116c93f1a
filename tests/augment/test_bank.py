"""A bank: what it takes from a store, and that images and clips can borrow from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mersynth.augment.au_sets import au_sets
from mersynth.augment.bank import ClipBank
from mersynth.augment.region_replacing import RegionReplacing
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS
from mersynth.phantom.population import write_store
from mersynth.store.clip_store import ClipStore
from mersynth.store.loading import load_clips
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    folder: Path = tmp_path_factory.mktemp("bank") / "store"
    counts = {"happiness": 4, "surprise": 2}
    return write_store(folder, image_size=32, subjects=3, counts=counts, max_frames=6)


def test_bank_of_a_store(store: ClipStore) -> None:
    bank = ClipBank.from_store(store, num_frames=3)
    assert bank.clip_ids == tuple(clip.id for clip in store.clips)
    assert bank.subject_ids == tuple(clip.subject_id for clip in store.clips)
    numbers = bank.number_subjects([*bank.subject_ids, "samm/006"])
    assert numbers.tolist() == [*bank.subject.tolist(), -1]  # type: ignore[union-attr]
    batch = {
        "clip": torch.rand(6, 3, 3, 32, 32),
        "label": bank.label,
        "subject": numbers[:-1],
        "aus": torch.rand(6, 3, 20),
        "au_set": torch.zeros(6, *au_sets([""]).shape[1:]),
    }
    augment = RegionReplacing(
        p=1.0, bank=bank, different_subject=True, generator=torch.Generator().manual_seed(0)
    )
    mixed = augment(batch)
    apex_rows = np.arange(12) + 20  # somewhere in the mouth's half
    for i, j in enumerate(augment.params["donor"].tolist()):
        others = [
            k for k, clip in enumerate(store.clips)
            if clip.emotion == store.clips[i].emotion and clip.subject != store.clips[i].subject
        ]  # fmt: skip
        assert j in others if others else j == -1
        if j < 0:
            assert torch.equal(mixed["clip"][i], batch["clip"][i])
            continue
        item = store[j]
        frame = torch.from_numpy(item.frames[-1][apex_rows].astype(np.float32)) / 255
        assert torch.allclose(mixed["clip"][i, -1][:, apex_rows].permute(1, 2, 0), frame)
        assert torch.equal(mixed["clip"][i, :, :, :16], batch["clip"][i, :, :, :16])
        mouth = [n for n in range(20) if ACTION_UNITS[CONDITION_AUS[n]].half == "mouth"]
        assert torch.allclose(
            mixed["aus"][i, 0, mouth], torch.tensor(item.intensities[0, mouth].max(1))
        )
        only_mouth = {n for n in ACTION_UNITS if ACTION_UNITS[n].half == "mouth"}
        shown = mixed["au_set"][i].amax(1).bool()
        named = au_sets([item.clip.aus])[0].amax(1).bool()
        rows = torch.tensor([n in only_mouth for n in ACTION_UNITS])
        assert torch.equal(shown, named & rows)


def test_a_bank_gives_to_images_and_to_one_sample() -> None:
    bank = ClipBank(frames=torch.rand(3, 1, 3, 8, 8), label=torch.tensor([0, 1, 1]))
    augment = RegionReplacing(p=1.0, bank=bank)
    image = torch.rand(3, 8, 8)
    mixed = augment({"image": image, "label": 0})
    assert torch.equal(mixed["image"][:, 4:], bank.frames[0, 0, :, 4:])
    assert torch.equal(mixed["image"][:, :4], image[:, :4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": torch.zeros(0, 1, 3, 8, 8), "label": torch.zeros(0)}, "N of 1 or more"),
        ({"frames": torch.zeros(2, 3, 8, 8), "label": torch.zeros(2)}, "must have shape"),
        ({"frames": torch.zeros(2, 1, 3, 8, 8), "label": torch.zeros(3)}, "label must have shape"),
        ({"frames": torch.zeros(2, 1, 3, 8, 8).int(), "label": torch.zeros(2)}, "must be a float"),
        (
            {
                "frames": torch.zeros(2, 1, 3, 8, 8),
                "label": torch.zeros(2),
                "clip_ids": ("a",),
            },
            "clip_ids must name all 2",
        ),
    ],
)
def test_bad_banks_are_named(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipBank(**options)


def test_a_bank_without_names_numbers_no_subjects() -> None:
    bank = ClipBank(frames=torch.zeros(2, 1, 3, 8, 8), label=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="without subject and subject_ids"):
        bank.number_subjects(["samm/006"])


def test_labels_are_those_of_load_clips(tmp_path: Path) -> None:
    """A synthetic store's classes follow the scheme that it was made for."""
    clips = [
        replace(c, source="casme2", emotion=e)
        for c, e in zip(
            tiny_clips(subjects=1),
            ("disgust", "happiness", "repression", "surprise", "others"),
            strict=True,
        )
    ]
    store = write_tiny_store(tmp_path / "s", clips, header={"source": "casme2", "scheme": "five"})
    _, data = load_clips(store.path)
    assert ClipBank.from_store(store).label.tolist() == list(data.labels) == [0, 1, 2, 3, 4]
