"""Random erasing (Zhong et al., AAAI 2020), one rectangle per clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.checks import span


def rectangles(
    top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: Sequence[int]
) -> Tensor:
    """(B, H, W) bool, true within rectangles given by four (B,) tensors, in pixels."""
    y = torch.arange(size[0], device=top.device)
    x = torch.arange(size[1], device=top.device)
    rows = (y >= top[:, None]) & (y < (top + height)[:, None])
    columns = (x >= left[:, None]) & (x < (left + width)[:, None])
    return rows[:, :, None] & columns[:, None, :]


class RandomErasing(Augmentation):
    """Paint a rectangle over each clip, at the same place in all its frames.

    It may cover a micro-expression: labels, AUs and landmarks do not change.

    Args:
        scale: (least, largest) share of the image's area, within (0, 1].
        ratio: (least, largest) height over width, drawn log-uniformly.
        value: the fill: a number, or ``"mean"``, the clip's own mean of each channel.
        p: probability that a sample is changed.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if a range exceeds its limits, or ``value`` is another string.

    Example:
        >>> erased = RandomErasing(p=1)(torch.ones(2, 8, 3, 32, 32))
        >>> bool((erased == 0).any())
        True
    """

    def __init__(
        self,
        scale: float | Sequence[float] = (0.02, 0.2),
        ratio: float | Sequence[float] = (0.3, 3.3),
        value: float | Literal["mean"] = 0.0,
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.scale = span(self, "scale", scale, 1e-6, 1)
        self.ratio = span(self, "ratio", ratio, 1e-3, 1e3)
        if isinstance(value, str) and value != "mean":
            raise ValueError(f"RandomErasing: value must be a number or 'mean', got {value!r}")
        self.value = value

    def draw(self, batch: Batch) -> Params:
        """``area`` (B,) as shares, ``ratio`` (B,), ``place`` (B, 2) in [0, 1) of the free range."""
        low, high = (math.log(bound) for bound in self.ratio)
        return {
            "area": self.uniform(batch, *self.scale),
            "ratio": self.uniform(batch, low, high).exp(),
            "place": self.uniform(batch, 0, 1, 2),
        }

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        size = batch.frames.shape[-2:]
        area = params["area"] * size[0] * size[1]
        height = (area * params["ratio"]).sqrt().round().clamp(1, size[0])
        width = (area / params["ratio"]).sqrt().round().clamp(1, size[1])
        top = (params["place"][:, 0] * (size[0] - height + 1)).floor()
        left = (params["place"][:, 1] * (size[1] - width + 1)).floor()
        inside = rectangles(top, left, height, width, size)[:, None, None]
        frames = batch.frames
        paint = (
            frames.mean(dim=(1, 3, 4), keepdim=True)
            if self.value == "mean"
            else torch.full((), float(self.value), dtype=frames.dtype, device=frames.device)
        )
        return replace(batch, frames=torch.where(inside, paint, frames))

    def extra_repr(self) -> str:
        """What may be drawn."""
        return (
            f"scale={self.scale}, ratio={self.ratio}, value={self.value!r}, {super().extra_repr()}"
        )
