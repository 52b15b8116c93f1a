"""TV-L1 beside scikit-image's."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from measuring.speed.comparison import Comparison, Work
from mersynth.motion.flow import tvl1
from mersynth.motion.luma import luma


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """16 pairs of 224 x 224 pixels."""
    count, size = (2, 64) if quick else (16, 224)
    randomness = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=randomness)
    onset = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    apex = torch.lerp(onset, onset.roll(1, -1), 0.7)
    on_device = onset.to(device), apex.to(device)
    yield Comparison(
        f"TV-L1, {count} pairs at {size}",
        "pair",
        Work("scikit-image, a pair at a time", lambda: _scikit_image(onset, apex), count),
        [Work("motion.flow.tvl1", lambda: tvl1(*on_device), count)],
        wanted=8 if device.type == "cpu" else 100,
    )


def _scikit_image(onset: Tensor, apex: Tensor) -> None:
    greys = (luma(frames)[:, 0].numpy() for frames in (onset, apex))
    for pair in zip(*greys, strict=True):
        optical_flow_tvl1(*pair)
