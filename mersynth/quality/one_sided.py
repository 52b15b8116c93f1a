"""One-sidedness: whether an AU that was asked for on one side appears on that side."""

from __future__ import annotations

from typing import Any

import numpy as np


def one_sidedness(
    asked: np.ndarray, read: np.ndarray, min_asked: float, idle: float, min_clips: int
) -> dict[str, Any]:
    """The share of one-sided AUs' readings that is on the side asked for.

    An AU is asked for on one side ``a`` if that side's intensity is ``min_asked`` or more and the
    other's, ``b``, is below ``idle``. Over these, with r the reading,

        share = sum max(r_a, 0) / sum (max(r_a, 0) + max(r_b, 0)).

    1: all of it is on the side asked for; 0.5: both sides are equal, as if no side had been named.
    Source: own.

    Args:
        asked: (N, M, 2) intensities of M AUs at the apex; NaN counts as not asked for.
        read: (N, M, 2) obtained there.
        min_asked: least intensity at which a side counts as asked for.
        idle: below this intensity a side counts as not asked for.
        min_clips: with fewer readings the share is None.

    Returns:
        ``clips``, the number of readings (one per clip and AU), and ``share``; None if there are
        too few, or neither side shows anything.
    """
    wanted = np.nan_to_num(asked)
    alone = (wanted.max(-1) >= min_asked) & (wanted.min(-1) < idle) & np.isfinite(read).all(-1)
    sides = wanted[alone].argmax(-1)[:, None]
    shown = np.maximum(read[alone], 0)
    total = float(shown.sum())
    own = float(np.take_along_axis(shown, sides, -1).sum())
    count = int(alone.sum())
    enough = count >= min_clips and total > 0
    return {"clips": count, "share": own / total if enough else None}
