"""Skin folds: furrows that Action Units, or age, produce on the surface.

A fold is a polyline on the canonical face with a depth and a width. Its height profile, a furrow
between two bulges, tilts the normals, and light reaches its bottom less.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS


@dataclass(frozen=True, slots=True)
class Fold:
    """A furrow on both sides of the face.

    Attributes:
        points: its course, (|x|, y) in cm.
        depth: in cm.
        width: half width of the furrow, cm.
        aus: its strength for each AU at intensity 1.
        age: its strength on an old face at rest.
    """

    points: tuple[tuple[float, float], ...]
    depth: float
    width: float
    aus: dict[int, float]
    age: float = 0.0


FOLDS = (
    # Forehead: across the middle with 1, arched over the outer brow with 2.
    Fold(((0.0, 6.1), (1.2, 6.15), (2.4, 6.0)), 0.07, 0.16, {1: 1.0}, 0.25),
    Fold(((0.0, 6.8), (1.3, 6.85), (2.6, 6.6)), 0.07, 0.16, {1: 1.0}, 0.3),
    Fold(((0.0, 7.4), (1.2, 7.4)), 0.05, 0.16, {1: 0.8}, 0.1),
    Fold(((3.0, 6.2), (4.2, 6.25), (5.6, 5.6)), 0.07, 0.16, {2: 1.0}, 0.2),
    Fold(((2.8, 6.9), (4.0, 6.95), (5.4, 6.4)), 0.07, 0.16, {2: 1.0}, 0.2),
    # Glabella: upright between the brows with 4.
    Fold(((0.75, 5.6), (0.6, 4.9), (0.65, 4.1)), 0.13, 0.17, {4: 1.0}, 0.3),
    Fold(((1.7, 5.9), (1.2, 5.5)), 0.07, 0.18, {4: 0.8}),
    # Root and sides of the nose with 9.
    Fold(((0.0, 3.5), (0.7, 3.55)), 0.1, 0.14, {9: 1.0, 4: 0.25}, 0.1),
    Fold(((0.0, 2.9), (0.7, 3.0)), 0.09, 0.13, {9: 1.0}),
    Fold(((0.5, 2.2), (1.1, 1.5), (1.5, 0.7)), 0.1, 0.14, {9: 1.0}),
    Fold(((0.6, 1.5), (1.1, 0.8), (1.4, 0.1)), 0.09, 0.13, {9: 0.9}),
    # Crow's feet with 6, and the furrow below the lower lid with 6 and 7.
    Fold(((4.9, 2.9), (5.6, 3.2), (6.3, 3.6)), 0.08, 0.12, {6: 1.0}, 0.3),
    Fold(((4.9, 2.6), (5.7, 2.6), (6.5, 2.6)), 0.08, 0.12, {6: 1.0}, 0.35),
    Fold(((4.8, 2.3), (5.5, 2.0), (6.2, 1.6)), 0.08, 0.12, {6: 1.0}, 0.3),
    Fold(((1.9, 1.8), (2.9, 1.45), (4.1, 1.55), (4.8, 2.0)), 0.08, 0.18, {6: 0.8, 7: 0.3}, 0.4),
    Fold(((2.0, 2.1), (3.2, 1.85), (4.4, 2.1)), 0.07, 0.12, {7: 1.0, 6: 0.2}, 0.15),
    # The upper lid's crease.
    Fold(((1.9, 3.25), (2.6, 3.6), (3.5, 3.65), (4.4, 3.3), (4.9, 2.8)), 0.1, 0.12, {5: 0.5}, 0.5),
    # Nasolabial: its upper end with 9 and 10, the middle with 11, all of it with 12.
    Fold(((1.7, 0.1), (2.2, -1.2), (2.75, -2.4)), 0.16, 0.24,
         {9: 0.8, 10: 1.0, 11: 0.4, 12: 0.8, 6: 0.3, 20: 0.15}, 0.45),
    Fold(((2.2, -1.2), (2.9, -2.7), (3.35, -3.9)), 0.16, 0.24,
         {10: 0.35, 11: 1.0, 12: 1.0, 6: 0.25, 20: 0.3, 15: 0.2}, 0.45),
    Fold(((3.0, -3.0), (3.5, -4.2), (3.5, -5.3)), 0.1, 0.22, {12: 0.8, 20: 0.7}, 0.1),
    # Dimple behind the corner with 14; pouch and crease below it with 15.
    Fold(((3.0, -3.6), (3.25, -4.2), (3.05, -4.9)), 0.16, 0.16, {14: 1.0}),
    Fold(((2.7, -4.7), (3.1, -5.3), (3.2, -6.1)), 0.13, 0.17, {15: 1.0}, 0.3),
    # Chin: the furrow above the boss and the pits on it with 17; a dent below the lip with 24.
    Fold(((0.0, -6.0), (0.8, -6.1), (1.6, -6.6)), 0.14, 0.18, {17: 1.0, 24: 0.3, 28: 0.4}, 0.1),
    Fold(((0.5, -6.9), (0.7, -7.3)), 0.09, 0.12, {17: 1.0}),
    Fold(((1.1, -7.0), (1.2, -7.5)), 0.08, 0.12, {17: 0.9}),
    Fold(((0.0, -7.2), (0.1, -7.6)), 0.08, 0.12, {17: 0.9}),
    # Upright lines above and below tightened lips.
    Fold(((0.6, -2.7), (0.65, -3.2)), 0.05, 0.1, {23: 1.0, 28: 0.5}, 0.1),
    Fold(((1.2, -2.9), (1.3, -3.4)), 0.05, 0.1, {23: 1.0, 28: 0.5}, 0.1),
    Fold(((0.7, -5.6), (0.75, -6.1)), 0.05, 0.1, {23: 0.9, 28: 0.5}),
    # The lip's border, when the lips are pressed.
    Fold(((0.0, -3.2), (1.0, -3.3), (1.9, -3.8)), 0.06, 0.14, {24: 0.9}),
)  # fmt: skip


def fold_heights(place: Tensor) -> tuple[Tensor, Tensor]:
    """Height of the folds on the face.

    Args:
        place: (2, H, W) canonical x and y of each pixel, cm.

    Returns:
        (20, 2, H, W) height in cm that each AU adds at intensity 1, on the subject's left and right
        side; and (H, W) height at rest of a face of age 1.
    """
    x, y = place
    left = torch.sigmoid(x / 0.15)
    halves = torch.stack([left, 1 - left])
    by_au = torch.zeros(len(CONDITION_AUS), 2, *x.shape, device=x.device)
    by_age = torch.zeros_like(x)
    for fold in FOLDS:
        height = _profile(fold, x.abs(), y)
        by_age += fold.age * height
        for au, strength in fold.aus.items():
            by_au[CONDITION_AUS.index(au)] += strength * halves * height
    return by_au, by_age


def _profile(fold: Fold, side: Tensor, y: Tensor) -> Tensor:
    """A furrow with a bulge on each side, fading at its ends."""
    best, share = torch.full_like(side, torch.inf), torch.zeros_like(side)
    lengths = [math.dist(a, b) for a, b in itertools.pairwise(fold.points)]
    total, before = sum(lengths), 0.0
    for (ax, ay), (bx, by), length in zip(fold.points, fold.points[1:], lengths, strict=False):
        dx, dy = bx - ax, by - ay
        along = (((side - ax) * dx + (y - ay) * dy) / length**2).clamp(0, 1)
        distance2 = (side - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2
        share = torch.where(distance2 < best, (before + along * length) / total, share)
        best = torch.minimum(best, distance2)
        before += length
    # A fold that begins at the mid-line continues beyond it, and does not fade there.
    start = 1.0 if fold.points[0][0] == 0.0 else 0.0
    ends = torch.minimum(share + start, 1 - share) * 3
    q = best / fold.width**2
    return -fold.depth * ends.clamp(0.1, 1) * (1 - 0.45 * q) * torch.exp(-q / 2)
