"""Conversion of colour frames to grey."""

from __future__ import annotations

from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey image: ITU-R BT.601, as in OpenCV."""


def luma(frames: Tensor, weights: tuple[float, float, float] = LUMA) -> Tensor:
    """Frames in grey.

    Args:
        frames: (..., 3, H, W) RGB, or (..., 1, H, W) grey, which are returned unchanged.
        weights: of red, green and blue.

    Returns:
        (..., 1, H, W)

    Raises:
        ValueError: if there are neither 1 nor 3 channels.

    Example:
        >>> import torch
        >>> luma(torch.ones(2, 3, 4, 4)).shape
        torch.Size([2, 1, 4, 4])
    """
    if frames.dim() < 3 or frames.shape[-3] not in (1, 3):
        raise ValueError(f"frames must be (..., 1 or 3, H, W), got shape {tuple(frames.shape)}")
    if frames.shape[-3] == 1:
        return frames
    red, green, blue = frames.unbind(-3)
    return (red * weights[0] + green * weights[1] + blue * weights[2]).unsqueeze(-3)
