"""Flow as the images that recognizers read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mersynth.motion.flow import magnitude, optical_flow

_TINY = 1e-8  # keeps the range of a still image from dividing 0 by 0

DUAL_BRANCH_TVL1: dict[str, Any] = {"attachment": 38.25, "prefilter": True}
"""The closest match to the dual-branch paper's flow, which is OpenCV's TV-L1 with its defaults.

Its lambda of 0.15 is for brightness of 0 to 255, hence 0.15 * 255 for ours of 0 to 1; it applies a
median filter, too.
"""


def flow_to_hsv(flow: Tensor, apex: Tensor) -> Tensor:
    """Flow and the apex frame's saturation in one image, as in NMER (Liu et al. 2019).

    Args:
        flow: (B, 2, H, W) x, y in pixels, onset to apex.
        apex: (B, 3, H, W) RGB in [0, 1].

    Returns:
        (B, 3, H, W) in [0, 1]: hue is the flow's direction, 0 to the right, 0.25 down, 1 the full
        turn (NMER's 8 bits hold half degrees, that is 180 times it); saturation the apex frame's
        own; value the flow's length, from the shortest (0) to the longest (1) of the image.

    Raises:
        ValueError: if the shapes are wrong or do not fit together.
    """
    length = magnitude(flow)
    if apex.shape != (len(flow), 3, *flow.shape[-2:]):
        raise ValueError(
            f"flow_to_hsv: apex must be RGB of the flow's size, "
            f"{(len(flow), 3, *flow.shape[-2:])}, got {tuple(apex.shape)}"
        )
    turn = torch.atan2(flow[:, 1:], flow[:, :1]) / (2 * math.pi)  # y points down
    hue = torch.where(turn < 0, turn + 1, turn)
    brightest = apex.amax(1, keepdim=True)
    saturation = (brightest - apex.amin(1, keepdim=True)) / brightest.clamp(min=_TINY)
    return torch.cat([hue, saturation.clamp(0, 1), _stretch(length)], dim=1)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """An HSV image in RGB; NMER's network reads :func:`flow_to_hsv` as RGB.

    Args:
        hsv: (B, 3, H, W) in [0, 1], a hue of 1 being the full turn.

    Returns:
        (B, 3, H, W) RGB in [0, 1].
    """
    hue, saturation, value = hsv.unbind(1)
    channels = []
    for sector in (5, 3, 1):  # red, green, blue
        place = (sector + 6 * hue) % 6
        channels.append(value * (1 - saturation * torch.minimum(place, 4 - place).clamp(0, 1)))
    return torch.stack(channels, dim=1)


def on_apex_off_magnitudes(
    onset: Tensor,
    apex: Tensor,
    offset: Tensor,
    *,
    threshold: float = 1.5,
    method: str = "tvl1",
    **options: Any,
) -> Tensor:
    """On-A and Off-A: magnitudes of the flow to the apex, from the onset and from the offset.

    Computed as by the dual-branch paper's authors: the magnitudes are stretched over their range;
    values below ``threshold`` times the image's mean are noise and set to 0. As ``apex`` they use
    the magnified apex frame for SAMM, and the apex frame itself for CASME II (section 4.3).

    Args:
        onset: (B, 1 or 3, H, W) in [0, 1].
        apex: likewise, the apex frame or its magnified version.
        offset: likewise.
        threshold: as a multiple of the mean; 0 keeps everything.
        method: of :func:`mersynth.motion.flow.optical_flow`.
        **options: of that method; for ``"tvl1"`` they override :data:`DUAL_BRANCH_TVL1`.

    Returns:
        (B, 2, H, W) in [0, 1]: On-A, Off-A.

    Raises:
        ValueError: as :func:`mersynth.motion.flow.optical_flow`; or if the threshold is negative.
    """
    if threshold < 0:
        raise ValueError(f"threshold must be 0 or more times the mean, got {threshold}")
    if method == "tvl1":
        options = {**DUAL_BRANCH_TVL1, **options}
    images = []
    for start in (onset, offset):
        image = _stretch(magnitude(optical_flow(start, apex, method, **options)))
        images.append(image * (image >= threshold * image.mean(dim=(2, 3), keepdim=True)))
    return torch.cat(images, dim=1)


def _stretch(images: Tensor) -> Tensor:
    """(B, 1, H, W) scaled to [0, 1], each by its own smallest and largest value."""
    low = images.amin(dim=(2, 3), keepdim=True)
    span = images.amax(dim=(2, 3), keepdim=True) - low
    return (images - low) / span.clamp(min=_TINY)
