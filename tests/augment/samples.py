"""Batches and modules that the tests of augmentations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mersynth import augment
from mersynth.augment import Augmentation, au_sets

Make = Callable[..., Augmentation]

# One of each exported augmentation, ready to take `p` and `generator`.
AUGMENTATIONS: dict[str, Make] = {
    "ColorJitter": augment.ColorJitter,
    "HalfFaceMirror": augment.HalfFaceMirror,
    "MixUp": augment.MixUp,
    "OnsetApexPair": augment.OnsetApexPair,
    "PhasesApart": augment.PhasesApart,
    "RandomAffine": lambda **k: augment.RandomAffine(10, 0.1, (0.9, 1.1), **k),
    "RandomCrop": lambda **k: augment.RandomCrop(4, **k),
    "RandomErasing": augment.RandomErasing,
    "RandomHorizontalFlip": augment.RandomHorizontalFlip,
    "RandomJPEG": augment.RandomJPEG,
    "RegionReplacing": augment.RegionReplacing,
    "SensorNoise": augment.SensorNoise,
    "TemporalResample": augment.TemporalResample,
}

NEED_MAPPING = ("MixUp", "OnsetApexPair", "PhasesApart", "RegionReplacing")
"""Augmentations that need more than a tensor."""

NEED_CLIP = ("OnsetApexPair", "PhasesApart", "TemporalResample")
"""Those that change which frames there are."""

MIX_SAMPLES = ("MixUp", "RegionReplacing")
"""Those whose result depends on the other samples of the batch."""

NEW_EACH_FRAME = ("SensorNoise",)
"""Those that differ from frame to frame on purpose."""


def clips(batch: int = 4, frames: int = 12, size: tuple[int, int] = (24, 20)) -> dict[str, Any]:
    """A mapping with everything that a sample may contain, from a fixed seed."""
    generator = torch.Generator().manual_seed(batch)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    cells = ["L12+6", "1+2", "R14", "4+61"]
    extent = torch.tensor([size[1] - 1.0, size[0] - 1.0])
    return {
        "clip": rand(batch, frames, 3, *size),
        "label": torch.arange(batch) // 2,
        "aus": rand(batch, frames, 20),
        "au_set": au_sets([cells[i % 4] for i in range(batch)]),
        "landmarks": rand(batch, frames, 68, 2) * extent,
        "subject": torch.arange(batch),
        "onset_index": torch.ones(batch, dtype=torch.int64),
        "apex_index": torch.full((batch,), 6) + torch.arange(batch) % 3,
        "name": [f"clip {i}" for i in range(batch)],
    }


def images(batch: int = 4) -> dict[str, Any]:
    """A mapping of the first frames of :func:`clips`."""
    whole = clips(batch)
    first = {key: whole[key][:, 0] for key in ("aus", "landmarks")}
    kept = {key: whole[key] for key in ("label", "au_set", "subject")}
    return {"image": whole["clip"][:, 0], **first, **kept}


def same(one: Any, other: Any) -> bool:
    """Whether tensors, or mappings of tensors and other things, are equal; NaN equals NaN."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) and one.is_floating_point():
        return one.dtype == other.dtype and torch.equal(
            torch.nan_to_num(one, nan=-9), torch.nan_to_num(other, nan=-9)
        )
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other
