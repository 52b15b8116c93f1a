"""Colour jitter that is the same for all frames of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.checks import around
from mersynth.motion.luma import luma

_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision does


def blend(frames: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``factor * frames + (1 - factor) * other``, kept within [0, 1]; factor (B,)."""
    wide = factor.to(frames).reshape(-1, 1, 1, 1, 1)
    return (wide * frames + (1 - wide) * other).clamp(0, 1)


def adjust_colour(
    frames: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Brightness, contrast, saturation and hue, one after the other.

    Contrast is relative to the mean luma of the whole clip, so that every frame is mapped by the
    same curve; per frame, a movement would change the brightness of the rest of the face.

    Args:
        frames: (B, T, C, H, W) in [0, 1], C of 3 (RGB) or 1 (grey, without saturation or hue).
        brightness: (B,) factors, 1 changes nothing.
        contrast: (B,) factors.
        saturation: (B,) factors; 0 is grey.
        hue: (B,) shifts in turns of the colour wheel, -0.5 to 0.5; 0 changes nothing.

    Returns:
        (B, T, C, H, W) in [0, 1].

    Raises:
        ValueError: if there are neither 1 nor 3 channels.
    """
    channels = frames.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"colours need 3 channels, or 1 for grey, got {channels}")
    frames = blend(frames, torch.zeros_like(frames[:1, :1]), brightness)
    frames = blend(frames, luma(frames, _WEIGHTS).mean(dim=(1, 2, 3, 4), keepdim=True), contrast)
    if channels == 1:
        return frames
    frames = blend(frames, luma(frames, _WEIGHTS), saturation)
    return _shift_hue(frames, hue)


def _shift_hue(frames: Tensor, hue: Tensor) -> Tensor:
    from kornia.enhance import adjust_hue  # late: kornia takes a while to import

    turned = adjust_hue(
        frames.flatten(0, 1), (2 * math.pi * hue).repeat_interleave(frames.shape[1])
    )
    # The round trip through HSV rounds; frames whose hue does not change avoid it.
    return torch.where(hue.reshape(-1, 1, 1, 1, 1) == 0, frames, turned.reshape(frames.shape))


class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue, in this order; all frames of a clip alike.

    Ranges are given as in torchvision: a number x stands for (1 - x, 1 + x), for hue (-x, x).

    Args:
        brightness: range of the factor, within [0, 2].
        contrast: range of the factor, within [0, 2].
        saturation: range of the factor, within [0, 2].
        hue: range of the shift, in turns within [-0.5, 0.5]. A face's hue varies little.
        p: probability that a sample is changed.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if a range exceeds its limits; in the call, if frames lie outside [0, 1] or are
            neither RGB nor grey.

    Example:
        >>> ColorJitter(brightness=0.3)(torch.rand(4, 16, 3, 64, 64)).shape
        torch.Size([4, 16, 3, 64, 64])
    """

    unit_range = True

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.2,
        contrast: float | Sequence[float] = 0.2,
        saturation: float | Sequence[float] = 0.2,
        hue: float | Sequence[float] = 0.02,
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.ranges = {
            "brightness": around(self, "brightness", brightness, 1, 1),
            "contrast": around(self, "contrast", contrast, 1, 1),
            "saturation": around(self, "saturation", saturation, 1, 1),
            "hue": around(self, "hue", hue, 0, 0.5),
        }

    def draw(self, batch: Batch) -> Params:
        """``brightness``, ``contrast``, ``saturation`` and ``hue``, each (B,)."""
        return {name: self.uniform(batch, *bounds) for name, bounds in self.ranges.items()}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        drawn = (params[name] for name in ("brightness", "contrast", "saturation", "hue"))
        return replace(batch, frames=adjust_colour(batch.frames, *drawn))

    def extra_repr(self) -> str:
        """What may be drawn."""
        ranges = ", ".join(f"{name}={bounds}" for name, bounds in self.ranges.items())
        return f"{ranges}, {super().extra_repr()}"
