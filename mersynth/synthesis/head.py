"""Head motion: transfers the motion of a real clip's head to a synthetic clip.

A generator moves only the face. In real clips the head drifts and turns by as much as the face
moves, and a recognizer gains little from synthetic clips without such motion (docs/capture.md).
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
    """The head motions of real clips, computed on first use.

    Args:
        stores: real clips; a clip in several stores counts once.
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

    def transfer(self, frames: Tensor, people: Sequence[str], rng: np.random.Generator) -> Tensor:
        """Move the head of a synthetic clip like the head in a real clip of one of these people.

        The motion is made weaker or stronger by up to a half, and reversed half of the time, so
        that clips with the same source differ. If the people have no clip of two frames, or the
        head in the drawn clip cannot be followed (which is logged), the head stays still.

        Args:
            frames: (K, 3, S, S) in [0, 1]; the first is not changed.
            people: ids of the subjects whose face is shown and whose AU curve is followed, so that
                nobody else's motion gets into the clip.
            rng: draws the clip and the variation.

        Returns:
            (K, 3, S, S) in [0, 1].
        """
        source = self._draw(people, rng)
        if source is None:
            return frames
        strength = np.float32(rng.uniform(*_STRENGTH) * rng.choice([-1, 1]))
        motion = torch.from_numpy(strength * self._of(*source, len(frames))[1:])
        return torch.cat([frames[:1], move_head(frames[1:], motion, self._framing)])

    def followed(self, people: Sequence[str], rng: np.random.Generator) -> str | None:
        """Id of the real clip whose head :meth:`transfer` follows with the same arguments."""
        source = self._draw(people, rng)
        return source[0].clip.id if source is not None else None

    def _draw(
        self, people: Sequence[str], rng: np.random.Generator
    ) -> tuple[StoredClip, Framing] | None:
        sources = [each for name in people for each in self._clips.get(name, {}).values()]
        return sources[rng.integers(len(sources))] if sources else None

    def _of(self, source: StoredClip, framing: Framing, count: int) -> np.ndarray:
        """(count, 4, 2) motion at even steps of a clip."""
        key = source.clip.id, count
        if key not in self._found:
            # In a clip with fewer frames, each is used once: repeats would make the head jump.
            last = source.clip.num_frames - 1
            at = np.linspace(0, last, min(count, last + 1)).round().astype(int)
            try:
                motion = head_motion(source.frames[at], framing)
            except HeadMotionError as error:
                logger.warning("the head motion of %s is not used: %s", source.clip.id, error)
                motion = np.zeros((len(at), 4, 2), np.float32)
            self._found[key] = resample(motion.reshape(len(at), 8), count).reshape(count, 4, 2)
        return self._found[key]
