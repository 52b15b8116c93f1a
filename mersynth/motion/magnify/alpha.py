"""The convention for alpha that all magnification here shares."""

from __future__ import annotations

import torch
from torch import Tensor


def alpha_of(alpha: float | Tensor, frames: Tensor) -> Tensor:
    """Alpha, the obtained motion over the true one, as (B,) on the frames' device.

    Args:
        alpha: number or (B,), 1 or more; 1 changes nothing.
        frames: (B, ...).

    Raises:
        ValueError: if it is neither a number nor (B,), or below 1, or not finite.
    """
    factor = torch.as_tensor(alpha, dtype=frames.dtype, device=frames.device)
    if factor.shape not in ((), (len(frames),)):
        raise ValueError(
            f"alpha must be a number or have shape ({len(frames)},), got {tuple(factor.shape)}"
        )
    if not bool((factor.isfinite() & (factor >= 1)).all()):
        raise ValueError(
            "alpha is the obtained motion over the true one: it must be finite and 1 or more "
            f"(1 changes nothing), got {alpha}"
        )
    return factor.expand(len(frames))
