"""The choice of one frame from several."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_frame(frames: Tensor, training: bool) -> Tensor:
    """One frame of each sample: a random one in training mode, else the first, the annotated one.

    Args:
        frames: (B, T, 3, H, W), or (B, 3, H, W), which are returned as they are.
        training: whether the model is in training mode; draws are from torch's generator.

    Returns:
        (B, 3, H, W).
    """
    if frames.dim() == 4:
        return frames
    if not training:
        return frames[:, 0]
    # Drawn on the CPU, so that a seed chooses the same frames on every device.
    chosen = torch.randint(frames.shape[1], (len(frames),)).to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device), chosen]
