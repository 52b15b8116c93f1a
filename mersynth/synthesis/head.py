"""Heads that are never still: the motion of a real clip's head, lent to a synthetic one.

A generator moves the face alone. In real clips the head drifts and turns by as much as the face
moves, and a recognizer that never saw that in its synthetic clips gains nothing by them
(docs/capture.md).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth.curves import resample
from mersynth.face.template import HEAD, Framing
from mersynth.motion.head import HeadMotionError, head_motion, move_head
from mersynth.store.clip_store import ClipStore, StoredClip

logger = logging.getLogger(__name__)

_STRENGTH = (0.5, 1.5)


class HeadMotions:
    """The head motions of real clips, found when they are first lent.

    Args:
        stores: real clips; a clip that is in several counts once.
        framing: of the synthetic clips.
    """

    def __init__(self, *stores: ClipStore, framing: Framing = HEAD) -> None:
        self._framing = framing
        self._clips: dict[str, dict[str, tuple[StoredClip, Framing]]] = {}
        for store in stores:
            for item in store:
                if item.clip.num_frames > 1:
                    own = self._clips.setdefault(item.clip.subject_id, {})
                    own[item.clip.id] = item, store.framing or framing
        self._found: dict[tuple[str, int], np.ndarray] = {}

    def lend(self, frames: Tensor, people: Sequence[str], rng: np.random.Generator) -> Tensor:
        """Move the head of a synthetic clip as that of a real one moves.

        The lent motion is made weaker or stronger by up to a half, and turned round half of the
        time, so that clips that borrow from the same one differ. Where people have no clip of two
        frames, or the drawn one's head cannot be followed (which is logged), the head stays still.

        Args:
            frames: (K, 3, S, S) in [0, 1], of which the first stays as it is.
            people: ids of the subjects, one of which lends: those whose face is worn and whose AU
                curve is followed, so that nobody else's motion gets into the clip.
            rng: draws the clip and the variation.

        Returns:
            (K, 3, S, S) in [0, 1].
        """
        lenders = [each for name in people for each in self._clips.get(name, {}).values()]
        if not lenders:
            return frames
        lender = lenders[rng.integers(len(lenders))]
        strength = np.float32(rng.uniform(*_STRENGTH) * rng.choice([-1, 1]))
        motion = torch.from_numpy(strength * self._of(*lender, len(frames))[1:])
        return torch.cat([frames[:1], move_head(frames[1:], motion, self._framing)])

    def _of(self, lender: StoredClip, framing: Framing, count: int) -> np.ndarray:
        """(count, 4, 2) motion at even steps of a clip."""
        key = lender.clip.id, count
        if key not in self._found:
            # Of a clip with fewer frames all are followed: repeated ones would let the head jump.
            last = lender.clip.num_frames - 1
            at = np.linspace(0, last, min(count, last + 1)).round().astype(int)
            try:
                motion = head_motion(lender.frames[at], framing)
            except HeadMotionError as error:
                logger.warning("no head moves as in %s: %s", lender.clip.id, error)
                motion = np.zeros((len(at), 4, 2), np.float32)
            self._found[key] = resample(motion.reshape(len(at), 8), count).reshape(count, 4, 2)
        return self._found[key]
