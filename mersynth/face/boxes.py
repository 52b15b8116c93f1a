"""Boxes of faces, (4,) left, top, right, bottom in pixels: which one is a clip's face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def box_around(points: np.ndarray) -> np.ndarray:
    """The box of points (N, 2); NaN if one of them is."""
    return np.concatenate([points.min(0), points.max(0)])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes, in [0, 1]; 0 for a box of NaN."""
    shared = _area(np.concatenate([np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])]))
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def best_overlap(boxes: Sequence[np.ndarray], place: np.ndarray | None) -> tuple[int, float]:
    """Index of the box that lies most in a place, and its overlap; without a place, the largest."""
    rated = [_area(box) if place is None else overlap(box, place) for box in boxes]
    best = int(np.argmax(rated))
    return best, rated[best]


def _area(box: np.ndarray) -> float:
    sides = box[2:] - box[:2]
    return float(sides.prod()) if (sides > 0).all() else 0.0
