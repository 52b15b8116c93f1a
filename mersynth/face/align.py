"""Alignment: the transform that brings a face to its place in the square of a store.

It is a similarity, followed by the squeeze of the store's framing. A clip has one transform, taken
from its onset frame and applied to all of its frames: one transform per frame would add jitter that
looks like the small motions of micro-expressions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from mersynth.face.face import Face
from mersynth.face.template import (
    CASCADE_BOX,
    FACE_BOX,
    FLAT,
    HEAD,
    RIGID,
    TEMPLATE,
    Framing,
    five_points,
    misplacement,
)
from mersynth.facs.landmarks import NUM_LANDMARKS

_SHRUNK_AT_MOST = 32  # a face of 32 times the store's size is a mistake, not a face


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """A transform from an image to the square of a store.

    Attributes:
        matrix: (2, 3) float64, from (x, y, 1) in the image to (x, y) in the square, in pixels; the
            first pixel's centre is at 0 in both.
        image_size: side of the square, in pixels.
    """

    matrix: np.ndarray
    image_size: int

    @property
    def scale(self) -> float:
        """Pixels of the square per pixel of the image, in the direction where they are fewest."""
        return float(np.hypot(*self.matrix[:, :2].T).min())

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """The aligned frame.

        Shrinking averages over the area that a pixel covers, so that fine patterns (hair, sensor
        noise) do not alias. Outside the frame its border is repeated.

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


def alignment_of(face: Face, image_size: int, framing: Framing = HEAD) -> Alignment:
    """The alignment of a face, from the best information available.

    That is its 68 landmarks, else its five points, else its box, which does not show how the head
    is tilted.

    Args:
        face: the face in the clip's onset frame.
        image_size: side of the store's frames, in pixels.
        framing: of the store's frames.
    """
    points = face.landmarks if face.landmarks is not None else face.points
    if points is not None:
        return alignment_from_landmarks(points, image_size, framing)
    place = CASCADE_BOX if face.detector == "lbp" else FACE_BOX
    return alignment_from_box(face.box, image_size, place, framing)


def alignment_from_landmarks(
    points: np.ndarray, image_size: int, framing: Framing = HEAD
) -> Alignment:
    """The transform that brings a face to its place.

    For ``HEAD``, a least-squares fit of all points used to the template's; for other framings, by
    the eyes alone, which then lie exactly where the framing puts them, as in cropped releases.

    Args:
        points: (68, 2) iBUG's landmarks, without using the jaw's; or (5, 2) points in the order of
            :func:`mersynth.face.template.five_points`, without using the nose's tip. x, y in
            pixels.
        image_size: side of the square, in pixels.
        framing: of the square.

    Raises:
        ValueError: if there are neither 68 nor 5 points, they are not finite, all lie in one place,
            or the size is not positive.
    """
    points = np.asarray(points, np.float64)
    if points.shape not in ((NUM_LANDMARKS, 2), (5, 2)):
        raise ValueError(f"points must have shape (68, 2) or (5, 2), got {points.shape}")
    target = TEMPLATE if len(points) == NUM_LANDMARKS else five_points(TEMPLATE)
    if framing != HEAD:
        points, target = _eyes(points), _eyes(target)
    else:
        used = list(RIGID if len(points) == NUM_LANDMARKS else FLAT)
        points, target = points[used], target[used]
    _check_size(image_size)
    return _framed(_umeyama(points, target * image_size - 0.5), image_size, framing)


def _eyes(points: np.ndarray) -> np.ndarray:
    """(2, 2) centres of the eyes, of 68 or 5 points."""
    return (five_points(points) if len(points) == NUM_LANDMARKS else points)[:2]


def what_is_odd(points: np.ndarray, image_size: int, framing: Framing = HEAD) -> str | None:
    """Which parts of an aligned face are misplaced, in words; None if none.

    Args:
        points: as for :func:`alignment_from_landmarks`.
        image_size: side of the square, in pixels.
        framing: of the square, in which eyes and mouth must be seen.
    """
    five = five_points(points) if len(points) == NUM_LANDMARKS else points
    odd = misplacement(alignment_from_landmarks(points, image_size).apply_points(five), image_size)
    if odd is None and framing != HEAD:
        flat = alignment_from_landmarks(points, image_size, framing).apply_points(five)[list(FLAT)]
        if (flat < -0.5).any() or (flat > image_size - 0.5).any():
            odd = f"framed as {framing}, eyes or mouth would lie outside the square"
    return odd


def alignment_from_box(
    box: tuple[float, float, float, float],
    image_size: int,
    place: tuple[float, float, float, float] = FACE_BOX,
    framing: Framing = HEAD,
) -> Alignment:
    """The alignment of an upright face from its box alone.

    Args:
        box: left, top, right and bottom of the face, in pixels.
        image_size: side of the square, in pixels.
        place: where that box lies in the square framed as ``HEAD``, as shares of its side; it
            differs between detectors (:mod:`mersynth.face.template`).
        framing: of the square.

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
    return _framed(np.column_stack([scale * np.eye(2), shift]), image_size, framing)


def _umeyama(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity from points to their target: Umeyama 1991, equations 40 to 42."""
    mean_x, mean_y = points.mean(0), target.mean(0)
    x, y = points - mean_x, target - mean_y
    variance = x.var(0).sum()
    if not np.isfinite(variance) or variance < 1e-6:
        raise ValueError("landmarks must be finite and lie apart to locate the face")
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # never a mirror image
    rotation = u @ np.diag(s) @ vt
    scale = (d * s).sum() / variance
    return np.column_stack([scale * rotation, mean_y - scale * rotation @ mean_x])


def _framed(matrix: np.ndarray, image_size: int, framing: Framing) -> Alignment:
    """The alignment of a framing, from a similarity to the square framed as ``HEAD``."""
    scale = framing.scale[:, None]
    shift = framing.place(np.full(2, 0.5 / image_size)) * image_size - 0.5
    squeezed = scale * matrix + np.column_stack([np.zeros((2, 2)), shift])
    alignment = Alignment(squeezed, image_size)
    if not 1 / _SHRUNK_AT_MOST <= alignment.scale <= image_size:
        raise ValueError(
            f"aligning the face to {image_size} pixels needs an implausible scale of "
            f"{alignment.scale:.3g}; check the landmarks or the box"
        )
    return alignment


def _check_size(image_size: int) -> None:
    if image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}")
