"""Statistics of sets of flow images, to compare them.

Images are (N, 3, H, W) in [0, 1], channels u, v and strain, with each channel of each clip
stretched to its own range, as in published flow images. This loses lengths in pixels and the zero:
a clip's median replaces it, since most of a face is still.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mersynth.face.template import TEMPLATE, TIGHT, Framing
from mersynth.facs.landmarks import PARTS

RIM = 1 / 14
"""Width of the rim, as a share of the image's side: two pixels of 28."""


def regions(size: int, framing: Framing = TIGHT) -> dict[str, np.ndarray]:
    """(S, S) bool masks of eyes, brows, mouth, cheeks and rim; none of the others is in the rim."""
    points = framing.place(TEMPLATE)
    y, x = (np.mgrid[:size, :size] + 0.5) / size

    def box(parts: tuple[str, ...], above: float, below: float, beside: float) -> np.ndarray:
        (left, top), (right, bottom) = (
            edge([points[list(PARTS[part])] for part in parts], axis=(0, 1))
            for edge in (np.min, np.max)
        )
        high, wide = (top - above <= y) & (y <= bottom + below), (left - beside <= x)
        return high & wide & (x <= right + beside)

    brows = box(("right_brow", "left_brow"), 0.05, 0.03, 0.0)
    eyes = box(("right_eye", "left_eye"), 0.04, 0.04, 0.02) & ~brows
    mouth = box(("outer_lips",), 0.04, 0.04, 0.06)
    low, high = points[[41, 46], 1].mean() + 0.06, points[[48, 54], 1].mean()
    beside = np.abs(x - 0.5) > points[35, 0] - 0.5  # of the nose's wings
    cheeks = (low <= y) & (y <= high) & beside & ~mouth
    rim = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < RIM
    inner = {"brows": brows, "eyes": eyes, "cheeks": cheeks, "mouth": mouth}
    return {**{name: mask & ~rim for name, mask in inner.items()}, "rim": rim}


def lengths(images: np.ndarray) -> np.ndarray:
    """(N, H, W): how far u and v lie from the clip's medians, in shares of their ranges."""
    flow = images[:, :2]
    return np.hypot(*np.moveaxis(flow - np.median(flow, axis=(2, 3), keepdims=True), 1, 0))


def length_quantiles(
    images: np.ndarray, masks: Mapping[str, np.ndarray], at: tuple[float, ...] = (0.1, 0.5, 0.9)
) -> dict[str, list[float]]:
    """Quantiles of all clips' lengths in each region."""
    found = lengths(images)
    return {name: np.quantile(found[:, mask], at).tolist() for name, mask in masks.items()}


def shares(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,): the share of each map's sum (N, H, W) that lies in a region; NaN for an all-zero map.

    ``images[:, 2]`` are maps of strain, ``lengths(images) ** 2`` of energy.
    """
    total = values.sum((1, 2), dtype=np.float64)
    part = values[:, mask].sum(1, dtype=np.float64)
    return np.divide(part, total, out=np.full(len(values), np.nan), where=total > 0)


def class_contrasts(images: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(K, C, H, W): the mean of each class minus the mean of all clips."""
    mean = images.mean(0)
    return np.stack([images[labels == k].mean(0) - mean for k in range(classes)])


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(K, C): correlation of maps (K, C, H, W) over their pixels."""
    a, b = (m.reshape(*m.shape[:2], -1) for m in (one, other))
    a, b = (m - m.mean(-1, keepdims=True) for m in (a, b))
    return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def components(images: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of u and v, each minus the clip's mean.

    Returns:
        (count, 2 H W) orthonormal rows, and the share of the variance that each explains.
    """
    rows = _flow_rows(images)
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    return axes[:count], (sizes**2 / (sizes**2).sum())[:count]


def explained(images: np.ndarray, axes: np.ndarray) -> float:
    """The share of the variance of images' u and v that lies in a subspace of orthonormal rows."""
    rows = _flow_rows(images)
    return float(((rows @ axes.T) ** 2).sum() / (rows**2).sum())


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Of two subspaces of orthonormal rows: the mean squared cosine of their principal angles."""
    return float(((one @ other.T) ** 2).sum() / min(len(one), len(other)))


def _flow_rows(images: np.ndarray) -> np.ndarray:
    flow = images[:, :2].astype(np.float64)
    flow = flow - flow.mean((2, 3), keepdims=True)
    return (flow - flow.mean(0)).reshape(len(flow), -1)
