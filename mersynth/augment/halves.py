"""Eyes half and mouth half of an aligned face, and the seam between them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mersynth.facs.landmarks import PARTS

Region = Literal["mouth", "eyes"]

_NOSE_TIP = 30
#: Where a seam may lie at the image's middle column, as shares of its height.
_SEAM_RANGE = (1 / 8, 7 / 8)


def seam_of(landmarks: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """The seam between the halves, by landmarks.

    It is the line parallel to the line between the eyes, half way between the tip of the nose and
    the nostrils; landmarks are averaged over the clip.

    Args:
        landmarks: (B, T, 68, 2) x, y in pixels, the first pixel's centre at 0; NaN: not measured.
        size: height and width of the image, in pixels.

    Returns:
        (B, 2) float32: its height at the image's left and right edge, as a share of the image's
        height; NaN where a clip has no frame with landmarks.

    Raises:
        ValueError: if the boundary is not in the middle three quarters of the image.
    """
    height, width = size
    face = landmarks.float().nanmean(1)  # (B, 68, 2)
    part = {name: face[:, list(PARTS[name])].mean(1) for name in ("nostrils", "left_eye")}
    right_eye = face[:, list(PARTS["right_eye"])].mean(1)
    centre = (face[:, _NOSE_TIP] + part["nostrils"]) / 2  # (B, 2)
    across = part["left_eye"] - right_eye
    slope = across[:, 1] / across[:, 0]
    edges = torch.tensor([-0.5, width / 2 - 0.5, width - 0.5], device=landmarks.device)
    lines = centre[:, 1:] + slope[:, None] * (edges - centre[:, :1])
    left, middle, right = ((lines + 0.5) / height).unbind(1)
    if not torch.compiler.is_compiling():
        low, high = _SEAM_RANGE
        wrong = (middle < low) | (middle > high) | middle.isinf()
        if bool(wrong.any()):
            i = int(wrong.nonzero()[0])
            raise ValueError(
                f"landmarks of sample {i} put the boundary of the face's halves at "
                f"{middle[i].item():.3g} of the image's height; it must lie in {low}..{high}. They "
                "must be x, y in pixels of these frames"
            )
    return torch.stack([left, right], 1)


def region_mask(
    seam: Tensor, size: tuple[int, int] | torch.Size, region: Region, feather: float
) -> Tensor:
    """How much of each pixel belongs to a half.

    Args:
        seam: (B, 2), see :func:`seam_of`.
        size: height and width, in pixels.
        region: which half.
        feather: height of the band in which the mask rises linearly, centred on the seam, as a
            share of the image's height; 0: a hard cut.

    Returns:
        (B, H, W) in [0, 1]; without feather 0 or 1. A pixel whose centre lies on the boundary
        belongs to the mouth.
    """
    height, width = size
    x = (torch.arange(width, device=seam.device) + 0.5) / width
    y = (torch.arange(height, device=seam.device) + 0.5) / height
    below = y[:, None] - _line(seam, x)[:, None]  # (B, H, W)
    mouth = (below / feather + 0.5).clamp(0, 1) if feather else (below >= 0).to(below.dtype)
    return mouth if region == "mouth" else 1 - mouth


def in_region(
    receiver: Tensor,
    donor: Tensor,
    seam: Tensor,
    size: tuple[int, int] | torch.Size,
    region: Region,
) -> Tensor:
    """Which landmarks belong to a half, by the midpoint of both faces' points.

    Args:
        receiver: (B, T, 68, 2) x, y in pixels, inside the image or not; NaN: not measured.
        donor: likewise.
        seam: (B, 2), see :func:`seam_of`.
        size: height and width of the image, in pixels.
        region: which half.

    Returns:
        (B, 68) bool. If only one face's point was measured, that one counts; if none was, False.
    """
    height, width = size
    both = torch.stack([receiver.float().nanmean(1), donor.float().nanmean(1)])
    place = both.nanmean(0)  # (B, 68, 2)
    x, y = (place[..., 0] + 0.5) / width, (place[..., 1] + 0.5) / height
    mouth = y >= _line(seam, x)
    return mouth if region == "mouth" else ~mouth & y.isfinite()


def _line(seam: Tensor, x: Tensor) -> Tensor:
    """Height of the boundary at x, all as shares: (B, ...) for x of (...) or (B, ...)."""
    left, right = seam[:, :1], seam[:, 1:]
    return left + (right - left) * x
