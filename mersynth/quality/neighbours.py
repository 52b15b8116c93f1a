"""Nearest neighbours: precision, recall, density, coverage, and whether real frames are copied."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist


def prdc(real: np.ndarray, other: np.ndarray, neighbours: int) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Every row has a ball around it that reaches to its k-th nearest neighbour in the same set.

    Args:
        real: (M, D) features.
        other: (N, D) features.
        neighbours: k; fewer if a set is smaller.

    Returns:
        ``precision``, the share of other rows within a real ball; ``recall``, the share of real
        rows within a ball of the others; ``density``, the mean number of real balls around another
        row, over k; ``coverage``, the share of real balls that contain another row.
    """
    k = max(1, min(neighbours, len(real) - 1, len(other) - 1))
    between = cdist(real, other)  # (M, N)
    real_radius, other_radius = _radii(real, k), _radii(other, k)
    inside = between <= real_radius[:, None]
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float((between <= other_radius[None]).any(1).mean()),
        "density": float(inside.sum(0).mean() / k),
        "coverage": float(inside.any(1).mean()),
    }


def _radii(rows: np.ndarray, k: int) -> np.ndarray:
    """(M,) distance of each row to its k-th nearest other row."""
    return np.partition(cdist(rows, rows), k, axis=1)[:, k]


def copying(
    synthetic: np.ndarray,
    real: np.ndarray,
    real_onsets: np.ndarray,
    subjects: np.ndarray,
    face_rows: np.ndarray,
    quantile: float,
) -> dict[str, Any]:
    """How near synthetic apex frames are to real frames, compared with real clips.

    A real clip's distance is that of its apex to the nearest onset or apex of another clip of its
    subject or, if no subject has two clips, of another subject. A synthetic clip begins with a real
    clip's face and is near that clip by design, so it is also compared only with other clips.

    Args:
        synthetic: (N, D) features of apex frames.
        real: (M, D) of the real ones.
        real_onsets: (M, D) of the real clips' onsets.
        subjects: (M,) subjects of the real ones.
        face_rows: (N,) row of the real clip whose face each synthetic one shows; -1 for none.
        quantile: a synthetic frame counts as near if its distance is below this quantile of the
            real ones' distances; by chance this share would be.

    Returns:
        Medians, the share of near frames, and the distance of each clip.
    """
    bank = np.concatenate([real, real_onsets])
    clip, owner = np.tile(np.arange(len(real)), 2), np.tile(subjects, 2)
    from_made = cdist(synthetic, bank)
    own = np.where(clip[None] == face_rows[:, None], np.inf, from_made).min(1)
    distances = cdist(real, bank)
    another = clip[None] != np.arange(len(real))[:, None]
    same = owner[None] == subjects[:, None]
    within = _least(distances, another & same)
    across = _least(distances, ~same)
    reference, name = (within, "same_subject") if len(within) else (across, "other_subjects")
    limit = float(np.quantile(reference, quantile)) if len(reference) else None
    return {
        "median": float(np.median(own)),
        "real_other_clip": float(np.median(within)) if len(within) else None,
        "real_other_subjects": float(np.median(across)) if len(across) else None,
        "reference": name,
        "limit": limit,
        "expected_share": quantile,
        "share_near": float((own < limit).mean()) if limit is not None else None,
        "per_clip": own,
        "drawn": {"synthetic": own, "real": reference},
    }


def _least(distances: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Smallest allowed distance of each row that has one."""
    least = np.where(allowed, distances, np.inf).min(1)
    return least[np.isfinite(least)]
