"""How a head moves in a clip: what is left of it where faces were aligned by one frame."""

from __future__ import annotations

import cv2
import numpy as np

_SIDE = 96  # pixels; larger frames are reduced, which costs no precision that motion needs
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)


class HeadMotionError(Exception):
    """A head could not be followed through its clip."""


def head_motion(frames: np.ndarray) -> np.ndarray:
    """Follow a head through a clip: the affine maps that bring the first frame to each of them.

    Found by maximising the enhanced correlation coefficient (Evangelidis and Psarakis, TPAMI 2008;
    OpenCV), which brightness and contrast do not change. A map fits the whole picture, so that an
    expression, which moves little of it, hardly shows; shift, roll and zoom are followed, turns of
    the head as far as a plane can turn.

    Args:
        frames: (T, H, W, 3) uint8, RGB.

    Returns:
        (T, 2, 3) float32, where a pixel (x, y, 1) of the first frame goes, in pixels; the first is
        the identity.

    Raises:
        HeadMotionError: if a frame does not resemble the first, or shows nothing to follow.
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    height, width = gray[0].shape
    scale = min(1.0, _SIDE / max(height, width))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        gray = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in gray]
    found: np.ndarray = np.eye(2, 3, dtype=np.float32)
    maps = [found]
    for number, frame in enumerate(gray[1:], 1):
        try:
            # From where the head was in the frame before: it moves on from there.
            _, aligned = cv2.findTransformECC(
                gray[0], frame, found.copy(), cv2.MOTION_AFFINE, _CRITERIA
            )
        except cv2.error as error:
            raise HeadMotionError(
                f"frame {number} cannot be aligned with the first: {error.err or error}"
            ) from error
        found = np.asarray(aligned)
        maps.append(found)
    return scale_maps(np.stack(maps), 1 / scale)


def scale_maps(maps: np.ndarray, scale: float) -> np.ndarray:
    """Maps (..., 2, 3) of frames as those of the frames resized; pixels' centres are at 0, 1 ..."""
    linear, constant = maps[..., :2], maps[..., 2]
    shift = (scale - 1) / 2  # resized = scale * own + shift
    constant = scale * constant - shift * (linear.sum(-1) - 1)
    return np.concatenate([linear, constant[..., None]], -1).astype(np.float32)
