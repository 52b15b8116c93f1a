"""Face detection by scikit-image's packaged LBP cascade: no downloads, frontal upright faces only.

A single accepted window means little: the cascade accepts some in most pictures. A true face is
accepted in many windows of about the same place and size, also in the mirrored picture, so windows
vote. Measured at the working size: 40 to 97 votes on 30 phantoms at rest and 45 on scikit-image's
astronaut, but at most 12 on its 19 packaged pictures without a frontal face. Of 240 phantom frames
with strong AUs, half of them with the head turned, 239 got enough votes.
"""

from __future__ import annotations

import cv2
import numpy as np

WORKING_SIZE = 256
"""Longer side, in pixels, to which larger images are shrunk before the search."""

SMALLEST_SHARE = 8
"""Faces smaller than the image's shorter side divided by this are not searched for."""

ENOUGH_VOTES = 20
"""Accepted windows, in the picture and its mirror image together, that count as a face."""

_WINDOW = 24  # the cascade's own window, in pixels
_SCALE_STEP = 1.1
_SAME_FACE = 0.5  # intersection over union of two windows that show one face


class CascadeFinder:
    """Finds faces by votes of an LBP cascade; equal images give equal boxes."""

    def __init__(self) -> None:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade = Cascade(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]

    def find(self, image: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """Find all faces.

        Args:
            image: (H, W, 3) uint8.

        Returns:
            For each face its box, (4,) left, top, right, bottom in pixels of the image, and its
            votes; most votes first.
        """
        height, width = image.shape[:2]
        size = _working_size(height, width)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mirrored = self._windows(np.ascontiguousarray(small[:, ::-1]))
        mirrored[:, [0, 2]] = size[0] - mirrored[:, [2, 0]]
        windows = np.concatenate([self._windows(small), mirrored])
        back = np.array([width, height, width, height]) / np.array([*size, *size])
        # Windows have pixel edges; in the image's coordinates the first pixel's centre is at 0.
        return [(box * back - 0.5, votes) for box, votes in elect(windows)]

    def _windows(self, image: np.ndarray) -> np.ndarray:
        """All windows that the cascade accepts: (N, 4), one by one instead of merged."""
        shorter = min(image.shape[:2])
        if shorter < _WINDOW:
            return np.zeros((0, 4))
        smallest = max(_WINDOW, shorter // SMALLEST_SHARE)
        found = self._cascade.detect_multi_scale(
            img=image,
            scale_factor=_SCALE_STEP,
            step_ratio=1,
            min_size=(smallest, smallest),
            max_size=(shorter, shorter),
            min_neighbor_number=0,
            intersection_score_threshold=1.01,  # more than any overlap: merge none
        )
        boxes = [(w["c"], w["r"], w["c"] + w["width"], w["r"] + w["height"]) for w in found]
        return np.array(boxes, np.float64).reshape(-1, 4)


def smallest_face(height: int, width: int) -> int:
    """Side in pixels of the smallest box that is searched for in an image of that size."""
    size = _working_size(height, width)
    return round(max(_WINDOW, min(size) // SMALLEST_SHARE) * width / size[0])


def _working_size(height: int, width: int) -> tuple[int, int]:
    """Width and height that the search works on."""
    scale = min(1.0, WORKING_SIZE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def elect(windows: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The faces that windows agree on.

    The window that most others overlap is a face, whose box is the mean of these windows. This is
    repeated among the windows that do not touch it, until too few agree.

    Args:
        windows: (N, 4) left, top, right, bottom, in any order.

    Returns:
        Box and votes of each face, most votes first.
    """
    # The cascade searches in parallel and gives its windows in any order.
    windows = windows[np.lexsort(windows.T)]
    faces: list[tuple[np.ndarray, int]] = []
    while len(windows) >= ENOUGH_VOTES:
        agree = _overlap(windows) >= _SAME_FACE
        best = int(agree.sum(1).argmax())
        votes = int(agree[best].sum())
        if votes < ENOUGH_VOTES:
            break
        box = windows[agree[best]].mean(0)
        faces.append((box, votes))
        windows = windows[_overlap(np.vstack([box, windows]))[0, 1:] == 0]
    return faces


def _overlap(boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each: (N, N)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (area[:, None] + area[None, :] - shared)
