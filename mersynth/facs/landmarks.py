"""The 68 facial landmarks of the iBUG 300-W mark-up (Sagonas et al. 2013), counted from 0.

Left and right are the subject's own, so that ``right_eye`` lies on the image's left.
"""

from __future__ import annotations

import numpy as np

NUM_LANDMARKS = 68

PARTS: dict[str, tuple[int, ...]] = {
    "jaw": tuple(range(0, 17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose_bridge": tuple(range(27, 31)),
    "nostrils": tuple(range(31, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "outer_lips": tuple(range(48, 60)),
    "inner_lips": tuple(range(60, 68)),
}
"""Indices of the landmarks, by part of the face; each landmark belongs to one part."""

# Pairs that a mirror swaps; landmarks on the midline stay.
_PAIRS = (
    *((i, 16 - i) for i in range(8)),  # jaw
    *((i, 43 - i) for i in range(17, 22)),  # brows
    *((31, 35), (32, 34)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),  # outer lips
    *((60, 64), (61, 63), (65, 67)),  # inner lips
)


def _mirror_order() -> tuple[int, ...]:
    order = list(range(NUM_LANDMARKS))
    for a, b in _PAIRS:
        order[a], order[b] = b, a
    return tuple(order)


MIRROR: tuple[int, ...] = _mirror_order()
"""Landmark ``i`` of a mirrored face is landmark ``MIRROR[i]`` of the face."""


def mirror(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks of the horizontally flipped image.

    Args:
        landmarks: (..., 68, 2), (x, y) in pixels, the first pixel's centre at 0.
        width: width of the image, in pixels.

    Returns:
        A new array of the same shape; NaN stays NaN.

    Raises:
        ValueError: if the last two dimensions are not 68 and 2.
    """
    if landmarks.shape[-2:] != (NUM_LANDMARKS, 2):
        raise ValueError(f"landmarks must have shape (..., 68, 2), got {landmarks.shape}")
    mirrored = landmarks[..., list(MIRROR), :].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored
