"""A face that a detector found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Detector = Literal["mtcnn", "feat", "lbp"]


@dataclass(frozen=True, eq=False, slots=True)
class Face:
    """A face in an image. All places are x, y in pixels, the first pixel's centre at 0.

    Attributes:
        box: left, top, right and bottom; what it encloses depends on the detector.
        landmarks: (68, 2) iBUG's landmarks (:mod:`mersynth.facs.landmarks`), if a model for them
            was available.
        points: (5, 2) eyes, nose tip and mouth corners, as
            :func:`mersynth.face.template.five_points`; from MTCNN and RetinaFace, not from the
            cascade.
        score: probability of a face (MTCNN, RetinaFace) or number of votes (cascade).
        detector: which detector found it.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    points: np.ndarray | None
    score: float
    detector: Detector
