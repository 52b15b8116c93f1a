"""Warping images by a flow field."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def warp(
    image: Tensor, flow: Tensor, sampling: Literal["bilinear", "bicubic"] = "bilinear"
) -> Tensor:
    """Warp an image back along a flow: each pixel samples the image where the flow points.

    With ``flow`` from a first to a second frame, ``warp(second, flow)`` resembles the first.

    Args:
        image: (B, C, H, W), any range.
        flow: (B, 2, H, W) x, y in pixels.
        sampling: bicubic keeps fine texture, which bilinear sampling blurs; it takes about three
            times as long, and overshoots at edges.

    Returns:
        (B, C, H, W); outside the image its border is repeated.

    Raises:
        ValueError: if the shapes do not fit together.

    Example:
        >>> image = torch.arange(16.0).view(1, 1, 4, 4)
        >>> warp(image, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4))[0, 0, 0]
        tensor([1., 2., 3., 3.])
    """
    if image.dim() != 4 or flow.shape != (len(image), 2, *image.shape[-2:]):
        raise ValueError(
            f"warp: expects an image (B, C, H, W) and its flow (B, 2, H, W), got "
            f"{tuple(image.shape)} and {tuple(flow.shape)}"
        )
    height, width = image.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    # grid_sample with aligned corners counts from -1 to 1 between the outermost pixels' centres.
    grid = torch.stack(
        [
            (flow[:, 0] + x) * (2 / max(1, width - 1)) - 1,
            (flow[:, 1] + y) * (2 / max(1, height - 1)) - 1,
        ],
        dim=-1,
    )
    return F.grid_sample(image, grid.to(image), sampling, "border", align_corners=True)
