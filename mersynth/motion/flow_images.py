"""Flow as the images that recognizers read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mersynth.motion.flow import magnitude, optical_flow

_TINY = 1e-8  # keeps the range of a still image from dividing 0 by 0

DUAL_BRANCH_TVL1: dict[str, Any] = {"attachment": 38.25, "prefilter": True}
"""What comes nearest to the dual-branch paper's flow, which is OpenCV's TV-L1 at its defaults.

Its lambda of 0.15 is for brightness of 0 to 255, hence 0.15 * 255 for ours of 0 to 1; it passes a
median filter, too.
"""


def flow_to_hsv(flow: Tensor, apex: Tensor) -> Tensor:
    """Flow and the apex frame's colourfulness in one image, as NMER (Liu et al. 2019) joins them.

    Args:
        flow: (B, 2, H, W) x, y in pixels, onset to apex.
        apex: (B, 3, H, W) RGB in [0, 1].

    Returns:
        (B, 3, H, W) in [0, 1]: hue is the flow's direction, 0 to the right, 0.25 down, 1 the full
        turn (NMER's 8 bits hold half degrees, that is 180 times it); saturation the apex frame's
        own; value the flow's length, from the shortest (0) to the longest (1) of the image.

    Raises:
        ValueError: if the shapes are others or do not fit together.
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
    """The colours of an HSV image; NMER shows :func:`flow_to_hsv` to its network as RGB.

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
    """On-A and Off-A: where the face moved, seen from the onset and from the offset.

    As the dual-branch paper's authors compute them: lengths of the flow from the onset, and from
    the offset, to the apex, stretched over their range; what lies under ``threshold`` times the
    image's mean is noise and set to 0. For SAMM they take the magnified apex frame as ``apex``, for
    CASME II the apex frame itself (section 4.3).

    Args:
        onset: (B, 1 or 3, H, W) in [0, 1].
        apex: likewise, the apex frame or its magnified version.
        offset: likewise.
        threshold: as a multiple of the mean; 0 keeps everything.
        method: of :func:`mersynth.motion.flow.optical_flow`.
        **options: of that method; for ``"tvl1"`` they come on top of :data:`DUAL_BRANCH_TVL1`.

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
    """(B, 1, H, W) brought to [0, 1], each by its own smallest and largest value."""
    low = images.amin(dim=(2, 3), keepdim=True)
    span = images.amax(dim=(2, 3), keepdim=True) - low
    return (images - low) / span.clamp(min=_TINY)
