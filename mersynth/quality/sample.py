"""The sample that is measured: some clips of a store, each at the same few moments."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np

from mersynth.clips import Clip
from mersynth.curves import movement
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell, stronger_side
from mersynth.facs.emotions import label
from mersynth.features.kinds import warn_still
from mersynth.store.clip_store import ClipStore, StoredClip

logger = logging.getLogger(__name__)


class NotMeasuredError(Exception):
    """A measure does not apply to these stores; the message is the reason in the result."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """N clips of a store at K moments from onset to offset, including the apex.

    Attributes:
        clips: their annotations.
        classes: class of each in the common label scheme.
        frames: (N, K, H, W, 3) uint8.
        moved: (N, K, 20, 2) float32 in [0, 1]: the store's intensities, left and right, above
            those of the first frame; asked for in a synthetic store, measured or true in a real
            one. NaN where the store has none.
        apex: (N,) which of the K moments is the apex.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    frames: np.ndarray
    moved: np.ndarray
    apex: np.ndarray

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def subjects(self) -> np.ndarray:
        """(N,) ids of the subjects."""
        return np.array([clip.subject_id for clip in self.clips])

    @property
    def apex_frames(self) -> np.ndarray:
        """(N, H, W, 3) uint8."""
        return self.frames[np.arange(len(self)), self.apex]

    @property
    def apex_moved(self) -> np.ndarray:
        """(N, 20, 2) intensities at the apex."""
        return self.moved[np.arange(len(self)), self.apex]

    def choose(self, keep: np.ndarray) -> Sample:
        """The clips of a mask (N,) or of indices."""
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        return Sample(
            tuple(self.clips[i] for i in rows),
            tuple(self.classes[i] for i in rows),
            self.frames[rows],
            self.moved[rows],
            self.apex[rows],
        )


def take_sample(
    store: ClipStore, scheme: str, max_clips: int, moments: int, max_size: int, seed: int
) -> Sample:
    """Take a random sample of a store's clips.

    Args:
        store: the store.
        scheme: label scheme; clips without a class in it are left out.
        max_clips: largest number of clips.
        moments: frames per clip, K, 3 or more.
        max_size: larger frames are reduced to this side, in pixels.
        seed: of the choice.

    Returns:
        The clips, in the store's order.

    Raises:
        ValueError: if fewer than two clips have a class and two frames or more.
    """
    named = [label(clip.source, clip.emotion, scheme) for clip in store.clips]
    usable = [
        i for i, clip in enumerate(store.clips) if named[i] is not None and clip.num_frames > 1
    ]
    if len(usable) < 2:
        raise ValueError(
            f"{store.path} has {len(usable)} clips of two frames or more with a class in the label "
            f"scheme {scheme!r}, at least two are needed; give a store of annotated clips, or "
            "another scheme=..."
        )
    if len(usable) < len(store):
        logger.info("%s: %d of %d clips can be measured", store.path, len(usable), len(store))
    warn_still((store[i] for i in usable), str(store.path))
    rng = np.random.default_rng([seed, len(usable)])
    rows = np.sort(rng.permutation(usable)[:max_clips])
    taken = [_moments(store[int(row)], moments, max_size) for row in rows]
    return Sample(
        clips=tuple(store.clips[i] for i in rows),
        classes=tuple(str(named[i]) for i in rows),
        frames=np.stack([frames for frames, _, _ in taken]),
        moved=np.stack([moved for _, moved, _ in taken]),
        apex=np.array([apex for _, _, apex in taken]),
    )


def _moments(item: StoredClip, moments: int, max_size: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Frames, movement and the apex's position, at even steps; the apex replaces the nearest."""
    last = item.clip.num_frames - 1
    at = np.linspace(0, last, moments).round().astype(int)
    moved = known_movement(np.array(item.intensities))
    apex = item.clip.apex_index
    if apex is None:
        apex = last // 2 if np.isnan(moved).all() else int(np.nansum(moved, axis=(1, 2)).argmax())
    place = 1 + int(np.abs(at[1:] - apex).argmin())  # the onset stays
    at[place] = max(apex, 1)
    at.sort()
    frames = np.array(item.frames[at])
    if frames.shape[1] > max_size:
        side = (max_size, max_size)
        frames = np.stack([cv2.resize(f, side, interpolation=cv2.INTER_AREA) for f in frames])
    return frames, moved[at], place


def known_movement(curve: np.ndarray) -> np.ndarray:
    """(T, 20, 2) intensities above the first frame's, NaN where an AU was not measured."""
    moved = movement(curve)
    moved[:, np.isnan(curve[0])] = np.nan
    moved[np.isnan(curve)] = np.nan
    return moved


def asked_aus(sample: Sample, min_asked: float) -> np.ndarray:
    """(N, 20) whether each AU is asked for at the apex: by its intensity, else by annotation."""
    asked = np.nan_to_num(stronger_side(sample.apex_moved)) >= min_asked
    for row, clip in enumerate(sample.clips):
        if np.isnan(sample.apex_moved[row]).all():
            numbers = parse_au_cell(clip.aus).numbers
            asked[row] = [au in numbers for au in CONDITION_AUS]
    return asked
