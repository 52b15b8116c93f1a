"""The AU warp as a generator: the baseline that a trained one must beat."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth.augment.au_fields import checksum
from mersynth.augment.au_motion import Fit
from mersynth.augment.au_warp import au_flow, au_warp, fit_faces, template_landmarks
from mersynth.curves import movement
from mersynth.face.detect import DETECTORS, FaceFinder, find_landmarks
from mersynth.face.template import HEAD, Framing
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from mersynth.synthesis.generators import ClipGenerator, Shown, stillness

logger = logging.getLogger(__name__)


class WarpGenerator(ClipGenerator):
    """Moves a face along the AUs' displacement fields (:mod:`mersynth.augment.au_warp`).

    It is not trained, so its clips can be used in any fold; its checksum is that of the fields. A
    curve's first intensities are the face's own: the face moves by the change from them. The
    landmarks are those of the face's first frame. If the store has none, the face is searched for;
    if it is not found, it is assumed to be where faces are aligned, with a warning.
    """

    name = "warp"
    image_size = None
    framing = None
    phantom = None
    training_subjects = ()
    unseen_subjects = ()

    def __init__(self) -> None:
        self.sha256 = checksum()
        self._warned = False
        self._finder: FaceFinder | None = None
        self._fitted: tuple[StoredClip, Fit] | None = None
        self._found: dict[str, Tensor] = {}  # landmarks missing in the store, by clip

    def load(self, image_size: int, device: torch.device, framing: Framing = HEAD) -> None:
        """Keep the device, and the framing for faces without landmarks."""
        self._device, self._aligned, self._fitted = device, framing, None

    def animate(self, faces: Sequence[StoredClip], curves: np.ndarray) -> Tensor:
        """See :meth:`ClipGenerator.animate`."""
        # One at a time, so that a clip's bytes do not depend on its batch, and it fits the cache.
        return torch.stack([self._animate(f, c) for f, c in zip(faces, curves, strict=True)])

    def show(self, face: StoredClip, curve: np.ndarray, frame: int) -> Shown:
        """The mask is :func:`stillness`."""
        size = face.frames.shape[1:3]
        at_frame = _movement(curve).to(self._device)[:, frame : frame + 1]
        flow = au_flow(self._fit(face), at_frame, (size[0], size[1]))
        return Shown(self._animate(face, curve[[0, frame]])[1], stillness(flow[0, 0]))

    def _animate(self, face: StoredClip, curve: np.ndarray) -> Tensor:
        image = to_float(face.frames[0])[None].to(self._device)
        moved = _movement(curve)
        frames = image.repeat(len(curve), 1, 1, 1)
        moves = moved[0].flatten(1).any(1)  # a frame at rest is the face itself
        if bool(moves.any()):
            frames[moves] = au_warp(image, self._fit(face), moved[:, moves])[0]
        return frames

    def _fit(self, face: StoredClip) -> Fit:
        """Of the last face alone: a face that moves again does so at once."""
        if self._fitted is None or self._fitted[0] is not face:
            height, width = face.frames.shape[1:3]
            fit = fit_faces(self._landmarks(face), (height, width), self._device)
            self._fitted = face, fit
        return self._fitted[1]

    def _landmarks(self, face: StoredClip) -> Tensor:
        """(1, 68, 2) of the first frame."""
        points = torch.from_numpy(np.array(face.landmarks[:1]))
        if bool(points.isfinite().all()):
            return points
        if face.clip.id not in self._found:
            self._found[face.clip.id] = self._look_for(face)
        return self._found[face.clip.id]

    def _look_for(self, face: StoredClip) -> Tensor:
        """Landmarks (1, 68, 2) of a face without any in the store."""
        self._finder = self._finder or FaceFinder()
        landmarks = find_landmarks(self._finder, np.array(face.frames[0]))
        if landmarks is not None:
            return torch.from_numpy(landmarks)[None]
        if not self._warned:
            logger.warning(
                "clip %s has no landmarks in its first frame, and %s finds none: for this and "
                "further such clips, the face is assumed to be where `mersynth prepare` aligns "
                "faces; check the clips that show it",
                face.clip.id,
                DETECTORS[self._finder.detector],
            )
            self._warned = True
        size = face.frames.shape[1:3]
        return template_landmarks((size[0], size[1]), self._aligned)[None]


def _movement(curve: np.ndarray) -> Tensor:
    """(1, K, 20, 2) of a curve (K, 20, 2)."""
    return torch.from_numpy(movement(curve))[None]
