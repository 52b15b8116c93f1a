"""Alignment: the similarity transform that brings a face to its place in the square of a store.

A clip has one transform, taken from its onset frame and applied to all of its frames: a transform
a frame would add its own jitter, which looks like the small motions that micro-expressions are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mersynth.face.template import CASCADE_BOX, FACE_BOX, FLAT, RIGID, TEMPLATE, five_points
from mersynth.facs.landmarks import NUM_LANDMARKS

if TYPE_CHECKING:
    from mersynth.face.detect import Face

_SHRUNK_AT_MOST = 32  # a face of 32 times the store's size is a mistake, not a face


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """A similarity transform from an image to the square of a store.

    Attributes:
        matrix: (2, 3) float64, from (x, y, 1) in the image to (x, y) in the square, in pixels; the
            first pixel's centre is at 0 in both.
        image_size: side of the square, in pixels.
    """

    matrix: np.ndarray
    image_size: int

    @property
    def scale(self) -> float:
        """Pixels of the square for one pixel of the image."""
        return float(math.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """The aligned frame.

        What is shrunk is averaged over the area that a pixel covers, so that fine patterns (hair,
        the sensor's noise) do not alias. What lies outside of the frame repeats its border.

        Args:
            frame: (H, W, 3) uint8.

        Returns:
            (S, S, 3) uint8, S being the image size.

        Raises:
            ValueError: if the frame has another type or shape.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}; repeat a grey "
                "frame over three channels"
            )
        # Sampled finely enough that no pixel of the image is skipped, then averaged.
        fine = max(1, math.ceil(1 / self.scale - 1e-6))
        matrix = fine * self.matrix
        matrix[:, 2] += (fine - 1) / 2  # the centre of a pixel among its fine ones
        side = fine * self.image_size
        warped = cv2.warpAffine(
            frame, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if fine == 1:
            return warped
        return cv2.resize(warped, (self.image_size,) * 2, interpolation=cv2.INTER_AREA)

    def apply_points(self, points: np.ndarray) -> np.ndarray:
        """Points of the image in the square: (..., 2) x, y in pixels; NaN stays NaN."""
        moved = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved.astype(np.float32)


def alignment_of(face: Face, image_size: int) -> Alignment:
    """The alignment of a face, from the best that is known of it.

    That is its 68 landmarks, else its five points, else its box, which cannot tell how the head is
    tilted.

    Args:
        face: the face in the clip's onset frame.
        image_size: side of the store's frames, in pixels.
    """
    points = face.landmarks if face.landmarks is not None else face.points
    if points is not None:
        return alignment_from_landmarks(points, image_size)
    place = CASCADE_BOX if face.detector == "lbp" else FACE_BOX
    return alignment_from_box(face.box, image_size, place)


def alignment_from_landmarks(points: np.ndarray, image_size: int) -> Alignment:
    """The similarity that brings landmarks nearest to the template's, in the least squares.

    Args:
        points: (68, 2) iBUG's landmarks, of which the jaw's are not used; or (5, 2) points in the
            order of :func:`mersynth.face.template.five_points`, of which the nose's tip is not
            used. x, y in pixels.
        image_size: side of the square, in pixels.

    Raises:
        ValueError: if there are neither 68 nor 5 points, they are not finite, all lie in one place,
            or the size is not positive.
    """
    points = np.asarray(points, np.float64)
    if points.shape == (NUM_LANDMARKS, 2):
        target = TEMPLATE[list(RIGID)]
        points = points[list(RIGID)]
    elif points.shape == (5, 2):
        target = five_points(TEMPLATE)[list(FLAT)]
        points = points[list(FLAT)]
    else:
        raise ValueError(f"points must have shape (68, 2) or (5, 2), got {points.shape}")
    _check_size(image_size)
    return _checked(_umeyama(points, target * image_size - 0.5), image_size)


def alignment_from_box(
    box: tuple[float, float, float, float],
    image_size: int,
    place: tuple[float, float, float, float] = FACE_BOX,
) -> Alignment:
    """The alignment of an upright face of which only the box is known.

    Args:
        box: left, top, right and bottom of the face, in pixels.
        image_size: side of the square, in pixels.
        place: where that box shall lie in the square, as shares of its side; detectors differ in
            what they box (:mod:`mersynth.face.template`).

    Raises:
        ValueError: if the box is empty or not finite, or the size is not positive.
    """
    left, top, right, bottom = (float(side) for side in box)
    if not (left < right and top < bottom):
        raise ValueError(f"box must have left < right and top < bottom, all finite; got {(*box,)}")
    _check_size(image_size)
    corners = np.array(place).reshape(2, 2) * image_size - 0.5
    wide, high = corners[1] - corners[0]
    scale = math.sqrt(wide * high / ((right - left) * (bottom - top)))
    shift = corners.mean(0) - scale * np.array([left + right, top + bottom]) / 2
    return _checked(np.column_stack([scale * np.eye(2), shift]), image_size)


def _umeyama(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity from points to their target: Umeyama 1991, equations 40 to 42."""
    mean_x, mean_y = points.mean(0), target.mean(0)
    x, y = points - mean_x, target - mean_y
    variance = x.var(0).sum()
    if not np.isfinite(variance) or variance < 1e-6:
        raise ValueError("landmarks must be finite and lie apart, to say where the face is")
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # never a mirror image
    rotation = u @ np.diag(s) @ vt
    scale = (d * s).sum() / variance
    return np.column_stack([scale * rotation, mean_y - scale * rotation @ mean_x])


def _checked(matrix: np.ndarray, image_size: int) -> Alignment:
    alignment = Alignment(matrix, image_size)
    if not 1 / _SHRUNK_AT_MOST <= alignment.scale <= image_size:
        raise ValueError(
            f"no face is brought to {image_size} pixels by a scale of {alignment.scale:.3g}; "
            "check the landmarks or the box"
        )
    return alignment


def _check_size(image_size: int) -> None:
    if image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}")
