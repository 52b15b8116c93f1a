"""Augmentations together, on clips of a store, as a training run takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from mersynth import augment
from mersynth.store.dataset import ClipDataset
from tests.tiny_store import write_tiny_store


@pytest.mark.parametrize("workers", [0, 2])
def test_a_chain_as_the_collate_function_of_a_store(tmp_path: Path, workers: int) -> None:
    data = ClipDataset(write_tiny_store(tmp_path / "store", measured=True), num_frames=6)
    chain = v2.Compose(
        [
            default_collate,
            augment.TemporalResample(5),
            augment.RandomCrop(padding=2),
            augment.RandomAffine(degrees=3, padding_mode="border"),
            augment.RandomHorizontalFlip(),
            augment.MixUp(),
            augment.ColorJitter(),
            augment.RandomErasing(),
        ]
    )
    sampler = augment.ClassBalancedSampler(data.labels, 40, torch.Generator().manual_seed(0))
    loader = DataLoader(data, 8, sampler=sampler, collate_fn=chain, num_workers=workers)
    batches = list(loader)
    assert len(batches) == 5
    for batch in batches:
        assert batch["clip"].shape == (8, 5, 3, 32, 32)
        assert 0 <= batch["clip"].min() < batch["clip"].max() <= 1
        assert batch["aus"].shape == (8, 5, 20)
        assert batch["landmarks"].shape == (8, 5, 68, 2)
        assert batch["label"].tolist() == [data.labels[i] for i in batch["index"]]
    drawn = torch.cat([batch["label"] for batch in batches])
    assert drawn.bincount().unique().tolist() == [0, 8]  # of five classes, the others are empty


def test_workers_draw_differently(tmp_path: Path) -> None:
    data = ClipDataset(write_tiny_store(tmp_path / "store"), num_frames=2)
    loader = DataLoader(
        torch.utils.data.Subset(data, [0] * 16),  # one clip again and again
        batch_size=8,
        collate_fn=v2.Compose([default_collate, augment.RandomCrop(padding=8)]),
        num_workers=2,
    )
    one, other = (batch["clip"] for batch in loader)
    assert not torch.equal(one, other)


def test_what_a_link_of_a_chain_lacks_is_named() -> None:
    chain = v2.Compose([augment.RandomCrop(padding=2), augment.OnsetApexPair()])
    with pytest.raises(ValueError, match="OnsetApexPair: give a mapping with 'clip'"):
        chain(torch.rand(2, 6, 3, 16, 16))
