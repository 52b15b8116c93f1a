"""Measuring the camera noise of a real clip, and adding it to a synthetic clip of the same face."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_BLOCK = 8  # pixels
_PAIRS = 12
_STILL = 20  # percentile: at least this share of a clip's blocks shows something still


def camera_noise(frames: np.ndarray) -> float:
    """How much the still pixels of a clip vary from frame to frame.

    Blocks are compared with the same blocks of the next frame; those that vary least show what does
    not move. With s the standard deviation of their differences, the noise is s / sqrt(2).

    Args:
        frames: (T, H, W, 3) uint8.

    Returns:
        Standard deviation of a pixel's value in [0, 1]; 0 for a clip of one frame.
    """
    count = len(frames)
    if count < 2:
        return 0.0
    first = np.unique(np.linspace(0, count - 2, min(_PAIRS, count - 1)).round().astype(int))
    height, width = (side // _BLOCK * _BLOCK for side in frames.shape[1:3])
    change = frames[first + 1].astype(np.float32) - frames[first]
    blocks = change[:, :height, :width].reshape(len(first), height // _BLOCK, _BLOCK, -1, _BLOCK, 3)
    spread = blocks.std(axis=(2, 4))  # (pairs, rows, columns, 3)
    return float(np.percentile(spread, _STILL) / np.sqrt(2) / 255)


def add_camera_noise(clip: Tensor, size: float, rng: np.random.Generator) -> Tensor:
    """Add noise to all frames of a clip but the first.

    A synthetic clip moves its first frame, including that frame's noise. Each later frame n gets
    its own noise, and some shared by all later frames. It then differs from the first frame and
    from every other as a camera's frames do, by sqrt(2) times the noise,

        I_n + a + b_n,  a, b_n ~ N(0, size^2).

    Args:
        clip: (K, 3, H, W) in [0, 1].
        size: standard deviation.
        rng: source of randomness.

    Returns:
        (K, 3, H, W) in [0, 1].
    """
    if size == 0:
        return clip
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = size * torch.randn(clip.shape, generator=generator).to(clip)
    return torch.cat([clip[:1], (clip[1:] + noise[:1] + noise[1:]).clamp(0, 1)])
