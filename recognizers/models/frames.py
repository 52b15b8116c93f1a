"""Which of several frames a system looks at."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_frame(frames: Tensor, training: bool) -> Tensor:
    """A frame of each sample: any of them in training mode, else the first, the annotated one.

    Args:
        frames: (B, T, 3, H, W), or (B, 3, H, W), of which there is nothing to draw.
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
