"""The composite database of the challenge MEGC2019: CASME II, SMIC and SAMM in three classes."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mersynth import __version__, paths
from mersynth.clips import Clip
from mersynth.disk.lock import hold
from mersynth.facs.emotions import label
from mersynth.store.clip_store import ClipStore, StoreError, require_real, warn_framings
from mersynth.store.merge import merge
from mersynth.store.names import Named, find_alike

logger = logging.getLogger(__name__)

COMPOSITE = "composite"
"""Name of the source that is made from prepared stores."""

CITATION = (
    "See, J., Yap, M. H., Li, J., Hong, X., Wang, S.-J. (2019). MEGC 2019 - The second Facial "
    "Micro-Expressions Grand Challenge. IEEE International Conference on Automatic Face and "
    "Gesture Recognition: 1-5"
)


@dataclass(frozen=True, slots=True)
class Part:
    """What the challenge takes from a database.

    Attributes:
        classes: clips of each class.
        subjects: number of subjects.
    """

    classes: Mapping[str, int]
    subjects: int

    @property
    def clips(self) -> int:
        """Number of clips."""
        return sum(self.classes.values())


PARTS: Mapping[str, Part] = {
    "casme2": Part({"negative": 88, "positive": 32, "surprise": 25}, subjects=24),
    "smic": Part({"negative": 70, "positive": 51, "surprise": 43}, subjects=16),
    "samm": Part({"negative": 92, "positive": 26, "surprise": 15}, subjects=28),
}
"""The databases of the challenge, in its order: 442 clips of 68 subjects."""

# The challenge leaves them out because they have no apex after the onset. They are listed by name
# because a store may hold an apex that was spotted, not annotated.
_WITHOUT_MOVEMENT = ("casme2/sub04/EP12_01f", "casme2/sub05/EP09_05f")
_SMIC_NAME = re.compile(r"s\d\d_(ne|po|sur)_\d\d")
# Clips of the challenge that are in no row of SMIC's table, and clips that are the second or third
# micro-expression of a row.
_IN_NO_TABLE = ("s01_ne_02", "s02_sur_05", "s03_ne_20")
_FURTHER = ("s03_ne_03", "s04_ne_05", "s04_ne_06", "s09_sur_02")


def make_composite(
    stores_root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    skip_bad: bool = False,
) -> ClipStore:
    """Join prepared stores of CASME II, SMIC and SAMM into the database of MEGC2019.

    The clips keep their ids and their database's own labels, which the label scheme ``three`` maps
    to the challenge's classes: 442 clips of 68 subjects, CASME II 88/32/25, SMIC 70/51/43 and SAMM
    92/26/15 (negative, positive, surprise). Two clips of CASME II are left out, as the challenge
    does (see ``facs.emotions``).

    SMIC's table lists 157 of its 164 clips; only SMIC_all_raw and SMIC_all_cropped have all of
    them. ``skip_bad`` makes a composite of the clips available; its header says what is missing.

    Args:
        stores_root: folder that holds the stores ``casme2``, ``smic`` and ``samm``; default
            ``./stores``.
        out: the new store; default ``./stores/composite``.
        skip_bad: continue, instead of stopping, if the clips are not the challenge's.

    Returns:
        The store, opened.

    Raises:
        StoreError: if a store is missing, holds other clips or synthetic ones, if their image sizes
            differ, the clips are not the challenge's, or ``out`` exists.
    """
    out = paths.store_path(COMPOSITE, out)
    with hold(out):
        if out.exists():
            raise StoreError(f"{out} exists already; remove it or choose another --out")
        return _make(stores_root, out, skip_bad)


def _make(stores_root: str | Path | None, out: Path, skip_bad: bool) -> ClipStore:
    chosen = [_open(name, stores_root) for name in PARTS]
    _check_sizes(chosen)
    warn_framings(
        {str(store.path): store.framing for store in chosen},
        "Prepare raw releases with the framing of the others, for instance framing=tight",
    )
    missing = [line for store in chosen for line in _gaps(store)]
    named = [Named(str(store.path), store.clips) for store in chosen]
    missing += [f"names look alike: {each}" for each in find_alike(named)]
    for line in missing if skip_bad else ():
        logger.warning("%s", line)
    if missing and not skip_bad:
        raise StoreError(
            "\n  ".join(["these are not the clips of MEGC2019; nothing was written", *missing])
            + "\nCorrect the stores, or use --skip-bad to make a composite of the clips available."
        )
    header = {
        "source": COMPOSITE,
        "image_size": chosen[0].image_size,
        "licence": _joined(chosen, "licence"),
        "citation": f"{CITATION}; {_joined(chosen, 'citation')}",
        "scheme": "three",
        "warnings": missing,
        "mersynth": __version__,
    }
    store = merge(chosen, out, header)
    logger.info("%s: %d clips, %d subjects", out, len(store), len(store.subjects))
    return store


def _open(name: str, stores_root: str | Path | None) -> ClipStore:
    """The challenge's clips of a database's store."""
    folder = paths.store_path(name, None if stores_root is None else Path(stores_root) / name)
    if not folder.is_dir():
        raise StoreError(
            f"no store at {folder}; the composite needs its clips of {name}; make it with "
            f"`mersynth prepare --source {name} --out {folder}`"
        )
    store = require_real(ClipStore.open(folder))
    foreign = next((clip for clip in store.clips if clip.source != name), None)
    if foreign is not None:
        raise StoreError(f"{folder} should hold clips of {name}, but holds {foreign.id}")
    kept = store.filter(_in_challenge)
    if not kept.clips:
        raise StoreError(f"{folder} holds no clip of the challenge; prepare {name} again")
    return kept


def _in_challenge(clip: Clip) -> bool:
    if clip.source == "smic" and not _SMIC_NAME.fullmatch(clip.name):
        return False
    return clip.id not in _WITHOUT_MOVEMENT and _label(clip) is not None


def _label(clip: Clip) -> str | None:
    return label(clip.source, clip.emotion, "three")


def _check_sizes(stores: list[ClipStore]) -> None:
    sizes = [store.image_size for store in stores]
    if len(set(sizes)) > 1:
        shown = ", ".join(f"{store.path} has {store.image_size}" for store in stores)
        raise StoreError(
            f"the frames of the stores differ in size: {shown} pixels; prepare them again with one "
            f"--image-size, for instance {max(sizes)}"
        )


def _gaps(store: ClipStore) -> list[str]:
    """How a database's clips differ from the challenge's, one line for each difference."""
    name = store.clips[0].source
    part = PARTS[name]
    counts = Counter(_label(clip) for clip in store.clips)
    subjects = len(store.subjects)
    if counts == part.classes and subjects == part.subjects:
        return []
    found = "/".join(str(counts[cls]) for cls in part.classes)
    wanted = "/".join(str(count) for count in part.classes.values())
    line = (
        f"{name}: {len(store)} clips ({found} {', '.join(part.classes)}) of {subjects} subjects; "
        f"expected: {part.clips} ({wanted}) of {part.subjects}"
    )
    return [line, *(_smic_gaps(store) if name == "smic" else ())]


def _smic_gaps(store: ClipStore) -> list[str]:
    names = {clip.name for clip in store.clips}
    further = [name for name in _FURTHER if name not in names]
    nowhere = [name for name in _IN_NO_TABLE if name not in names]
    lines = []
    if further:
        lines.append(
            f"smic: {', '.join(further)}: second or third micro-expressions of long clips; "
            f"`mersynth prepare --source smic-further --out {store.path}` stores them too"
        )
    if nowhere:
        lines.append(
            f"smic: {', '.join(nowhere)}: in no row of the table of SMIC-E; SMIC_all_raw and "
            "SMIC_all_cropped hold them"
        )
    return lines


def _joined(stores: list[ClipStore], key: str) -> str:
    values = (store.meta["header"].get(key) for store in stores)
    return "; ".join(dict.fromkeys(str(value) for value in values if value))
