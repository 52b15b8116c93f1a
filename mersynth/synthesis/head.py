"""Head motion: transfers the motion of a real clip's head to a synthetic clip.

A generator moves only the face. In real clips the head drifts and turns by as much as the face
moves, and a recognizer gains nothing from synthetic clips without such motion (docs/capture.md).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth.augment.affine import warp_affine
from mersynth.curves import resample
from mersynth.motion.head import HeadMotionError, head_motion, scale_maps
from mersynth.store.clip_store import ClipStore, StoredClip

logger = logging.getLogger(__name__)

_STRENGTH = (0.5, 1.5)


class HeadMotions:
    """The head motions of real clips, computed on first use.

    Args:
        stores: real clips; a clip in several stores counts once.
    """

    def __init__(self, *stores: ClipStore) -> None:
        self._clips: dict[str, dict[str, StoredClip]] = {}
        for store in stores:
            for item in store:
                if item.clip.num_frames > 1:
                    self._clips.setdefault(item.clip.subject_id, {})[item.clip.id] = item
        self._found: dict[tuple[str, int], np.ndarray] = {}

    def transfer(self, frames: Tensor, people: Sequence[str], rng: np.random.Generator) -> Tensor:
        """Move the head of a synthetic clip like the head in a real clip of one of these people.

        The motion is made weaker or stronger by up to a half, and reversed half of the time, so
        that clips with the same source differ. If the people have no clip of two frames, or the
        head in the drawn clip cannot be followed (which is logged), the head stays still.

        Args:
            frames: (K, 3, H, W) in [0, 1]; the first is not changed.
            people: ids of the subjects whose face is shown and whose AU curve is followed, so that
                nobody else's motion gets into the clip.
            rng: draws the clip and the variation.

        Returns:
            (K, 3, H, W) in [0, 1]; edges are repeated.
        """
        sources = [item for name in people for item in self._clips.get(name, {}).values()]
        if not sources:
            return frames
        source = sources[rng.integers(len(sources))]
        strength = np.float32(rng.uniform(*_STRENGTH) * rng.choice([-1, 1]))
        maps = scale_maps(self._of(source, len(frames)), frames.shape[-1] / source.frames.shape[2])
        still = np.eye(2, 3, dtype=np.float32)
        varied = torch.from_numpy(still + strength * (maps[1:] - still)).to(frames)
        later = warp_affine(frames[1:, None], varied, "border")[:, 0]
        return torch.cat([frames[:1], later])

    def _of(self, source: StoredClip, count: int) -> np.ndarray:
        """(count, 2, 3) maps at even steps of a clip, in its own pixels."""
        key = source.clip.id, count
        if key not in self._found:
            # In a clip with fewer frames, each is used once: repeats would make the head jump.
            last = source.clip.num_frames - 1
            at = np.linspace(0, last, min(count, last + 1)).round().astype(int)
            try:
                maps = head_motion(source.frames[at])
            except HeadMotionError as error:
                logger.warning("the head motion of %s is not used: %s", source.clip.id, error)
                maps = np.tile(np.eye(2, 3, dtype=np.float32), (len(at), 1, 1))
            self._found[key] = resample(maps.reshape(len(at), 6), count).reshape(count, 2, 3)
        return self._found[key]
