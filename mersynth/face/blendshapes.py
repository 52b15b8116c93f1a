"""AU intensities with sides by MediaPipe's face landmarker, an independent reader of real faces."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth.disk.files import sha256_of_file
from mersynth.face.boxes import best_overlap, box_around
from mersynth.face.intensity import Measurement
from mersynth.facs.action_units import CONDITION_AUS, SIDES
from mersynth.facs.blendshapes import BLENDSHAPES, aus_of_blendshapes
from mersynth.sources.errors import Problem

if TYPE_CHECKING:
    from mersynth.face.framing import FramedClip

logger = logging.getLogger(__name__)

INSTALL = "pip install --no-deps 'mediapipe>=1.2'"
"""Without its dependencies: those needed here are mersynth's too, and opencv-contrib-python would
overwrite the files of opencv-python, perhaps by another version, which finds faces in slightly
other places. An extra cannot say so, hence there is none."""

_MODEL = "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker"
SILENT = (6, 9, 14)
"""AUs that MediaPipe's blendshapes do not follow: they read 0.01 at most of what the phantom shows,
with correlations under 0.04 (``scripts/measure_au_reader.py``), and hardly rise on posed faces.
A 0 that was not measured would hide what is annotated."""

_GIVEN = tuple(au for au in BLENDSHAPES if au not in SILENT)
_MARGIN = 0.25  # of a frame's side, its border repeated: MediaPipe overlooks faces that fill it
_MOST_FACES = 5


class BlendshapeReader:
    """Reads each stored frame by itself, without smoothing over time, and turns blendshapes to AUs.

    :mod:`mersynth.facs.blendshapes` has the table; those of :data:`SILENT` stay NaN.

    Args:
        model: the bundle of the face landmarker, ``face_landmarker.task``.

    Raises:
        ValueError: if the file is missing or is no such bundle, or mediapipe cannot be imported.
    """

    name = "blendshapes"

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise ValueError(
                f"blendshapes={model}: there is no such file; MediaPipe's face_landmarker.task is "
                f"to be had from {_MODEL}"
            )
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise ValueError(
                f"blendshapes need mediapipe 1.2 or newer, which cannot be imported ({error}): "
                f"{INSTALL}"
            ) from error
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            output_face_blendshapes=True,
            num_faces=_MOST_FACES,
        )
        try:
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(
                f"blendshapes={model}: no bundle of MediaPipe's face landmarker, or damaged "
                f"({error}); get face_landmarker.task again from {_MODEL}"
            ) from error
        # Left to the interpreter's end, its closing fails with a traceback.
        weakref.finalize(self, self._landmarker.close)
        self._mediapipe = mediapipe
        self._sha256 = sha256_of_file(model)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is read and how, for the store's header."""
        return {
            "tool": f"MediaPipe {metadata.version('mediapipe')}, face landmarker",
            "model": self._sha256,
            "scale": "blendshapes, 0 to 1",
            "aus": list(_GIVEN),
            "without": [au for au in CONDITION_AUS if au not in _GIVEN],
            "sides": True,
        }

    def find(self, clips: Sequence[tuple[FramedClip, np.ndarray | None]]) -> list[Problem]:
        """Nothing is needed but the frames."""
        return []

    def read(
        self, item: FramedClip, frames: Iterable[np.ndarray], box: np.ndarray | None
    ) -> Measurement:
        """Read one clip; of several faces in a frame, the one that lies most in the box.

        Args:
            item: the clip.
            frames: its stored frames, (S, S, 3) uint8, RGB.
            box: (4,) left, top, right, bottom of the face; None: the largest face counts.
        """
        values, crowded = [], 0
        for frame in frames:
            found, faces = self._read_frame(frame, box)
            values.append(found)
            crowded += faces > 1
        if crowded:
            which = "the largest one" if box is None else "the one in the clip's place"
            logger.warning(
                "%s: %d of %d frames show several faces; %s is read",
                *(item.clip.id, crowded, len(values), which),
            )
        return Measurement(np.stack(values), None)

    def _read_frame(self, frame: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, int]:
        """AU intensities (20, 2), NaN without a face; and the number of faces."""
        margin = round(_MARGIN * min(frame.shape[:2]))
        picture = np.pad(frame, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        seen = self._landmarker.detect(
            self._mediapipe.Image(
                image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
            )
        )
        if not seen.face_blendshapes:
            return np.full((len(CONDITION_AUS), len(SIDES)), np.nan, np.float32), 0
        sides = np.array(picture.shape[1::-1])
        boxes = [
            box_around(np.array([(p.x, p.y) for p in mesh]) * sides - margin)
            for mesh in seen.face_landmarks
        ]
        chosen = best_overlap(boxes, box)[0]
        scores = {shape.category_name: shape.score for shape in seen.face_blendshapes[chosen]}
        found = aus_of_blendshapes(scores)
        found[[CONDITION_AUS.index(au) for au in SILENT]] = np.nan
        return found, len(boxes)
