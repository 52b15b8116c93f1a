"""Local binary patterns of parts of the face, and the difference between two frames' patterns."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_NEIGHBOURS = 8
_NUM_CODES = 59  # LBP^u2 of 8 neighbours: 58 uniform patterns, and one code for all others


def lbp_histograms(frames: Tensor, blocks: int = 6, radius: float = 3.0) -> Tensor:
    """Histograms of LBP codes in the blocks of a grid.

    The code is LBP^u2 of 8 neighbours (Ojala et al. 2002), by scikit-image. A grid of 6 x 6 blocks
    is that of Moilanen et al. 2014.

    Args:
        frames: (T, H, W) grey in [0, 1].
        blocks: blocks per side.
        radius: of the circle of neighbours, in pixels. A border of this width, whose pixels lack
            neighbours, is not counted.

    Returns:
        (T, blocks^2, 59) float64, each histogram adding up to 1.

    Raises:
        ValueError: if the frames have another shape, or are too small for one pixel per block.
    """
    from skimage import feature

    pattern: Callable[..., np.ndarray] = feature.local_binary_pattern
    border = math.ceil(radius)
    if frames.dim() != 3 or min(frames.shape[1:]) < blocks + 2 * border:
        raise ValueError(
            f"frames must have shape (T, H, W) with sides of {blocks + 2 * border} pixels or more "
            f"(for {blocks} blocks and a border), got {tuple(frames.shape)}"
        )
    # scikit-image warns of floats, whose rounding can create codes; 16 bits suffice for a frame.
    images = (frames.detach().double() * 65535).round().cpu().numpy().astype(np.int64)
    histograms = []
    for image in images:
        codes = pattern(image, _NEIGHBOURS, radius, "nri_uniform").astype(np.int64)
        codes = codes[border:-border, border:-border]
        parts = (
            part
            for row in np.array_split(codes, blocks, axis=0)
            for part in np.array_split(row, blocks, axis=1)
        )
        histograms.append(
            [np.bincount(part.ravel(), minlength=_NUM_CODES) / part.size for part in parts]
        )
    return torch.from_numpy(np.array(histograms)).to(frames.device)


def histogram_difference(histograms: Tensor, reference: Tensor) -> Tensor:
    """One minus the correlation of two histograms (Liong et al. 2015).

    The correlation is theirs, without subtracting the mean::

        d = sum_b h_1b h_2b / sqrt(sum_b h_1b^2 sum_b h_2b^2)

    Args:
        histograms: (..., B).
        reference: (..., B), broadcast against it.

    Returns:
        (...) in [0, 1] for histograms, 0 where they are equal.
    """
    return 1 - torch.cosine_similarity(histograms, reference, dim=-1)
