"""Finding the face in an image: py-feat's RetinaFace, else scikit-image's LBP cascade."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mersynth.face import weights

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Detector = Literal["feat", "lbp"]

NAMES: dict[Detector, str] = {
    "feat": "py-feat's RetinaFace",
    "lbp": "scikit-image's LBP cascade",
}


class FaceError(Exception):
    """No face was found; the message says what was searched and what to do."""


@dataclass(frozen=True, eq=False, slots=True)
class Face:
    """A face in an image. All places are x, y in pixels, the first pixel's centre at 0.

    Attributes:
        box: left, top, right and bottom; what it encloses depends on the detector.
        landmarks: (68, 2) iBUG's landmarks (:mod:`mersynth.facs.landmarks`), where a model that
            gives them was there.
        points: (5, 2) eyes, nose tip and mouth corners, as
            :func:`mersynth.face.template.five_points`; RetinaFace gives them, the cascade does not.
        score: of RetinaFace the probability of a face; of the cascade the number of votes.
        detector: which detector found it.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    points: np.ndarray | None
    score: float
    detector: Detector


def choose_detector(detector: str = "auto") -> Detector:
    """The detector to use; ``auto`` takes py-feat's where its weights are on this machine.

    Raises:
        ValueError: if the name is unknown.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.
    """
    if detector == "lbp":
        return "lbp"
    if detector == "feat":
        weights.require([weights.RETINAFACE], f"faces by {NAMES['feat']}")
        return "feat"
    if detector != "auto":
        raise ValueError(f"detector must be 'auto', 'feat' or 'lbp', got {detector!r}")
    return "lbp" if weights.locate(weights.RETINAFACE) is None else "feat"


class FaceFinder:
    """Finds the face of an image; loads its detector once and says which it is.

    Args:
        detector: ``"auto"``, ``"feat"`` or ``"lbp"``, see :func:`choose_detector`.
        device: where py-feat computes; the cascade runs on the CPU.

    Attributes:
        detector: the one in use, for the store's header.

    Raises:
        ValueError: if the name is unknown, or a file of weights cannot be used.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.

    Example:
        >>> from skimage.data import astronaut
        >>> face = FaceFinder("lbp").find(astronaut())
        >>> [round(side, -1) for side in face.box]
        [170.0, 70.0, 270.0, 170.0]
    """

    def __init__(self, detector: str = "auto", device: str | torch.device = "auto") -> None:
        self.detector = choose_detector(detector)
        if self.detector == "feat":
            from mersynth.face.feat_finder import FeatFinder

            self._feat = FeatFinder(device)
            gives = self._feat.gives
        else:
            from mersynth.face.cascade import CascadeFinder

            self._cascade = CascadeFinder()
            gives = "boxes only, so that a tilted head stays tilted"
        why = "as asked" if detector != "auto" else _why(self.detector)
        logger.info("faces by %s (%s): %s", NAMES[self.detector], why, gives)

    def find(self, image: np.ndarray) -> Face:
        """The face of an image: of several the largest (RetinaFace), or the clearest (cascade).

        Args:
            image: (H, W, 3) uint8, RGB; a grey image has three equal channels.

        Raises:
            ValueError: if the image has another type or shape.
            FaceError: if there is no face.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        faces = self._feat.find(image) if self.detector == "feat" else self._by_cascade(image)
        if not faces:
            raise FaceError(self._not_found(image))
        if len(faces) > 1:
            logger.warning("%d faces found, the first is used: %s", len(faces), _places(faces))
        return faces[0]

    def _by_cascade(self, image: np.ndarray) -> list[Face]:
        found = self._cascade.find(image)
        return [Face(_sides(box), None, None, float(votes), "lbp") for box, votes in found]

    def _not_found(self, image: np.ndarray) -> str:
        height, width = image.shape[:2]
        searched = f"no face found by {NAMES[self.detector]} in an image of {width}x{height} pixels"
        if self.detector == "lbp":
            from mersynth.face.cascade import smallest_face

            searched += (
                f", searched for upright frontal faces of {smallest_face(height, width)} pixels "
                "and more (`mersynth doctor` says how to get a better detector)"
            )
        return (
            f"{searched}; crop the frames to the face by hand, or prepare without alignment: "
            "geometry=crop (the centred square) or geometry=resize (the whole frame)"
        )


def find_face(image: np.ndarray, detector: str = "auto") -> Face:
    """The face of one image; the detector is kept for the next image.

    Args:
        image: (H, W, 3) uint8, RGB.
        detector: ``"auto"``, ``"feat"`` or ``"lbp"``.

    Raises:
        ValueError: if the image has another type or shape, or the detector is unknown.
        WeightsMissingError: if ``feat`` is wanted and its weights are missing.
        FaceError: if there is no face.
    """
    files = (weights.RETINAFACE, *(file for files in weights.BACKENDS.values() for file in files))
    return _kept_finder(detector, tuple(map(weights.locate, files))).find(image)


@functools.lru_cache(maxsize=1)
def _kept_finder(detector: str, files: tuple[Path | None, ...]) -> FaceFinder:
    """A finder, made anew where the weights on this machine have changed."""
    return FaceFinder(detector)


def _why(detector: Detector) -> str:
    if detector == "feat":
        return f"{weights.RETINAFACE.file} was found"
    return f"the weights of {NAMES['feat']} are not here, see `mersynth doctor`"


def _sides(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom


def _places(faces: list[Face]) -> str:
    return "; ".join(", ".join(f"{side:.0f}" for side in face.box) for face in faces)
