"""One-sidedness: does an AU that was asked for on one side show on that side?"""

from __future__ import annotations

from typing import Any

import numpy as np


def one_sidedness(
    asked: np.ndarray, read: np.ndarray, min_asked: float, idle: float, min_clips: int
) -> dict[str, Any]:
    """How much of what is read of one-sided AUs lies on the side that was asked for.

    An AU is asked for on one side ``a`` where that side's intensity is ``min_asked`` or more and
    the other's, ``b``, is below ``idle``. Over these, with r what is read,

        share = sum max(r_a, 0) / sum (max(r_a, 0) + max(r_b, 0)).

    1: all of it lies on the asked side; 0.5: both sides show alike, as if no side had been asked.
    Source: own.

    Args:
        asked: (N, M, 2) intensities of M AUs at the apex; NaN counts as not asked for.
        read: (N, M, 2) obtained there.
        min_asked: from where on a side is asked for.
        idle: below it, a side is not asked for.
        min_clips: fewer readings give no share.

    Returns:
        ``clips``, the number of readings, a clip and AU each, and ``share``; None of too few, or
        where neither side shows anything.
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
