"""Stores with onsets and apexes other than the annotated ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mersynth import logs
from mersynth.clips import Clip
from mersynth.motion.apex import spot_apex
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.dataset import to_float
from mersynth.store.merge import merge

logger = logging.getLogger("recognizers.scripts.reproduction")


@dataclass(frozen=True, slots=True)
class Move:
    """A shift of an annotated frame.

    Attributes:
        frame: the frame that is moved.
        share: how far, as a share of the way from onset to apex; below 0 towards the clip's start.
    """

    frame: Literal["onset", "apex"]
    share: float


def moved(store: ClipStore, move: Move) -> ClipStore:
    """A view of a store in which a frame of every clip is moved; nothing is copied.

    An apex does not move beyond the offset. Clips without an apex stay as they are.

    Raises:
        ValueError: if an onset would move before the clip, whose frames begin at the onset.
    """
    if move.frame == "onset" and not 0 <= move.share <= 1:
        raise ValueError(f"an onset can move towards the apex, by 0 to 1, got {move.share}")
    clips, starts = [], []
    for clip, start in zip(store.clips, store.starts, strict=True):
        steps = 0 if clip.apex is None else round(move.share * (clip.apex - clip.onset))
        if move.frame == "onset":
            clips.append(replace(clip, onset=clip.onset + steps))
            starts.append(start + steps)
        else:
            apex = None if clip.apex is None else min(clip.apex + steps, clip.offset)
            clips.append(replace(clip, apex=apex))
            starts.append(start)
    return store.view(clips, starts)


def write_spotted(store: ClipStore, method: str, out: Path) -> Path:
    """Write a store in which all apexes are spotted, unless it is there.

    A clip in which none is found keeps none, and recognizers leave it out.

    Args:
        store: the annotated clips.
        method: one of ``mersynth.motion.apex.APEX_METHODS``.
        out: folder of the new store.

    Raises:
        StoreError: if the folder holds a store that was made from another one.
    """
    if out.exists():
        if ClipStore.open(out).meta["header"]["parts"][0]["checksum"] != store.checksum:
            raise StoreError(f"{out} was not made from the store {store.path}; remove it")
        return out
    clips = []
    with logs.progress("spotting apexes", len(store), "clips") as advance:
        for item in store:
            clips.append(_spotted(item.clip, item.frames, method))
            advance(1)
    lacking = sum(clip.apex is None for clip in clips)
    merge([store.view(clips, store.starts)], out, {"apex_spotting": method})
    logger.info("%s: apexes spotted by %s, none found in %d clips", out, method, lacking)
    return out


def _spotted(clip: Clip, frames: np.ndarray, method: str) -> Clip:
    try:
        index = spot_apex(to_float(frames), method)
    except ValueError as error:
        logger.warning("%s: no apex spotted: %s", clip.id, error)
        return replace(clip, apex=None, apex_method=None)
    return replace(clip, apex=clip.onset + index, apex_method=method)
