"""The head's motion within a clip, which remains when a clip is aligned by one frame."""

from __future__ import annotations

import cv2
import numpy as np

_SIDE = 96  # pixels; larger frames are reduced, which is precise enough for head motion
# Beyond these limits the alignment has failed: no head moves like that within a clip.
_LEAST_CORRELATION = 0.8  # phantom clips: 0.94 to 1
_LONGEST = 0.15  # of the side, at a corner; phantom clips: 0.04
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)


class HeadMotionError(Exception):
    """A head could not be followed through its clip."""


def head_motion(frames: np.ndarray) -> np.ndarray:
    """Follow a head through a clip, as affine maps from the first frame to each frame.

    Found by maximising the enhanced correlation coefficient (Evangelidis and Psarakis, TPAMI 2008;
    OpenCV), which brightness and contrast do not affect. The maps follow shift, roll and zoom, and
    turns of the head as far as an affine map can. A map fits the whole picture, of which an
    expression moves little: on a still phantom head of 64 pixels a weak smile (AUs 6 and 12 at 0.3)
    appears as a motion of 0.05 pixels, a weak surprise with parted lips as 0.17, where heads move
    by 0.1 to 0.3.

    Args:
        frames: (T, S, S, 3) uint8, RGB.

    Returns:
        (T, 2, 3) float32, where a pixel (x, y, 1) of the first frame goes, in pixels; the first is
        the identity.

    Raises:
        HeadMotionError: if a frame does not resemble the first (a correlation below 0.8), shows
            nothing to follow, or has moved too far for a head (15 % of the side at a corner).
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    side = gray[0].shape[0]
    small = min(side, _SIDE)
    if small < side:
        gray = [cv2.resize(g, (small, small), interpolation=cv2.INTER_AREA) for g in gray]
    found: np.ndarray = np.eye(2, 3, dtype=np.float32)
    maps = [found]
    for number, frame in enumerate(gray[1:], 1):
        try:
            # Start from the head's place in the previous frame.
            correlation, aligned = cv2.findTransformECC(
                gray[0], frame, found.copy(), cv2.MOTION_AFFINE, _CRITERIA
            )
        except cv2.error as error:
            raise HeadMotionError(
                f"frame {number} cannot be aligned with the first: {error.err or error}"
            ) from error
        found = np.asarray(aligned)
        _check(found, correlation, small, number)
        maps.append(found)
    return scale_maps(np.stack(maps), side / small)


def _check(found: np.ndarray, correlation: float, side: int, number: int) -> None:
    corners = np.array([(x, y, 1) for x in (0, side - 1) for y in (0, side - 1)])
    moved = float(np.linalg.norm(corners @ found.T - corners[:, :2], axis=1).max()) / side
    if not correlation >= _LEAST_CORRELATION:
        raise HeadMotionError(
            f"frame {number} does not resemble the first: their correlation is {correlation:.2f}, "
            f"frames of one head have {_LEAST_CORRELATION} or more"
        )
    if not moved <= _LONGEST:
        raise HeadMotionError(
            f"frame {number} seems to have moved by {moved:.0%} of the side from the first; a head "
            f"moves by at most {_LONGEST:.0%}"
        )


def scale_maps(maps: np.ndarray, scale: float) -> np.ndarray:
    """Maps (..., 2, 3) for frames resized by a scale; pixel centres are at 0, 1 ..."""
    linear, constant = maps[..., :2], maps[..., 2]
    shift = (scale - 1) / 2  # resized = scale * own + shift
    constant = scale * constant - shift * (linear.sum(-1) - 1)
    return np.concatenate([linear, constant[..., None]], -1).astype(np.float32)
