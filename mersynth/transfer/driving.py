"""The clip that is followed: found in a store or a film, and its AU curve."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mersynth.augment.au_reading import read_intensities
from mersynth.checks import check_choice, listed
from mersynth.clips import Clip
from mersynth.curves import ConditionSettings, clip_curve, movement
from mersynth.face.detect import FaceFinder, find_landmarks
from mersynth.face.template import HEAD, Framing
from mersynth.motion.head import HeadMotionError
from mersynth.prepare.database import PrepareSettings, prepare_database
from mersynth.sources import PHANTOM, SOURCES, PrepareError
from mersynth.sources.composite import COMPOSITE
from mersynth.sources.errors import SourceError
from mersynth.sources.one_clip import OneClip
from mersynth.store.clip_store import ClipStore, StoredClip, StoreError, require_real
from mersynth.synthesis.inputs import find_store, open_real

logger = logging.getLogger(__name__)

MOST_FRAMES = 500
"""Of a clip that is followed: 2.5 s at 200 frames a second, 17 s at 30."""

CURVES = ("auto", "motion")
"""``"auto"``: what the store measured, else read from motion; ``"motion"``: always from motion."""

_SIDE = 256  # pixels, of a film's frames
_STILL = 0.01  # no AU of this intensity can be seen


@dataclass(frozen=True)
class Moments:
    """Onset, apex and offset of the expression in a film; None: the first, spotted, the last.

    Frames of a folder are counted as their names say, those of a video from 0.
    """

    onset: int | None = None
    apex: int | None = None
    offset: int | None = None


@dataclass(frozen=True, eq=False)
class Driving:
    """A clip to follow.

    Attributes:
        store: that holds it.
        index: of the clip in it.
        framing: where its face lies.
    """

    store: ClipStore
    index: int
    framing: Framing

    @property
    def item(self) -> StoredClip:
        """The clip."""
        return self.store[self.index]


def open_driving(
    driving: str, store: Path | None, moments: Moments, aligned: bool, folder: Path
) -> Driving:
    """Find the clip to follow.

    Args:
        driving: the id of a clip, ``source/subject/name``; or a video, or a folder of frames.
        store: of the id; None: ``./stores/<source>``.
        moments: of a film.
        aligned: whether a film's frames are cut to the face already.
        folder: in which a film is prepared.

    Raises:
        StoreError: if there is no such store or clip, the store is damaged or holds synthetic
            clips, or the clip has one frame, or too many.
        SourceError: if a film cannot be read, or shows no face.
        ValueError: if moments lie outside a film, or were given for a clip of a store.
    """
    place = Path(driving)
    if store is None and place.exists():
        found, index = _film(place, moments, aligned, folder), 0
    else:
        if moments != Moments() or aligned:
            raise ValueError(
                "--onset, --apex, --offset and --aligned are for films; a clip of a store has its "
                "own"
            )
        found = _store_of(driving, store)
        index = _index_of(found, driving)
    _check_length(driving, found.clips[index])
    if found.framing is None:
        logger.warning(
            "%s does not say where faces lie in its frames: a whole head is assumed", found.path
        )
    return Driving(found, index, found.framing or HEAD)


def read_curve(driving: Driving, curve: str = "auto") -> tuple[np.ndarray, str]:
    """The movement of a clip, and where it comes from.

    Args:
        driving: the clip.
        curve: one of :data:`CURVES`.

    Returns:
        (T, 20, 2) float32 in [0, 1], what each AU adds to its first frame, left and right; and
        ``"measured"`` or ``"motion"``.

    Raises:
        StoreError: if nothing moves, or the head cannot be followed.
    """
    check_choice("curve", curve, CURVES)
    item = driving.item
    if curve == "auto" and bool(np.isfinite(item.intensities).any()):
        how, found = "measured", movement(clip_curve(item, ConditionSettings()))
    else:
        how, found = "motion", _read(driving)
    if found.max() < _STILL:
        raise StoreError(
            f"no AU moves in {item.clip.id} after its first frame, so there is nothing to follow; "
            "choose another clip, or in a film another --onset and --offset"
        )
    return found, how


def _read(driving: Driving) -> np.ndarray:
    item = driving.item
    frames, points = np.array(item.frames), _landmarks(item)
    try:
        return read_intensities(frames, item.clip.fps, points, driving.framing)
    except HeadMotionError as error:
        raise StoreError(
            f"{item.clip.id}: {error} (frames counted from 0 at its onset); of a film, choose a "
            "part in which the head stays in view: --onset and --offset"
        ) from error


def _film(place: Path, moments: Moments, aligned: bool, folder: Path) -> ClipStore:
    if (place / "store.json").exists():
        some = listed([clip.id for clip in ClipStore.open(place).clips], 3)
        raise StoreError(f"{place} is a store: name a clip of it: --store {place} --driving {some}")
    source = OneClip(
        place, moments.onset, moments.apex, moments.offset, "cropped" if aligned else "raw"
    )
    for files in source.scan(place).clips:  # before its faces are searched for
        _check_length(str(place), files.clip)
    settings = PrepareSettings(
        image_size=_SIDE, geometry="resize" if aligned else "align", intensities="none"
    )
    try:
        return prepare_database(source, None, folder, settings, False, 0, False)
    except PrepareError as error:
        raise SourceError(
            f"{place} cannot be followed: {error.reasons}. Frames that are cut to the face already "
            "need no search: --aligned"
        ) from error


def _check_length(name: str, clip: Clip) -> None:
    count = clip.num_frames
    if not 1 < count <= MOST_FRAMES:
        raise StoreError(
            f"{name} has {count} frame{'s' if count > 1 else ''}; a clip to follow has 2 to "
            f"{MOST_FRAMES}: choose a part of a film by --onset and --offset"
        )


def _store_of(driving: str, store: Path | None) -> ClipStore:
    source = driving.partition("/")[0]
    if store is None and source not in (*SOURCES, COMPOSITE, PHANTOM):
        raise SourceError(
            f"there is no {driving}: give a video, a folder of frames, or the id of a clip, such "
            "as samm/006/006_1_2 (with --store STORE if it is not in ./stores/samm)"
        )
    return require_real(open_real(find_store(source if store is None else None, store), None))


def _index_of(store: ClipStore, name: str) -> int:
    for index, clip in enumerate(store.clips):
        if clip.id == name:
            return index
    some = listed([clip.id for clip in store.clips], 3)
    raise StoreError(f"{store.path} has no clip {name!r}; it has {some}")


def _landmarks(item: StoredClip) -> np.ndarray | None:
    """(68, 2) of the first frame; None if no face is found in it."""
    points = np.array(item.landmarks[0])
    if bool(np.isfinite(points).all()):
        return points
    found = find_landmarks(FaceFinder(), np.array(item.frames[0]))
    if found is None:
        logger.warning(
            "no landmarks in the first frame of %s: its face is assumed to be where faces are "
            "aligned",
            item.clip.id,
        )
    return found
