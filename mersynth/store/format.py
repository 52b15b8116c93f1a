"""What the files of a store hold, and how what they must not hold is refused.

:mod:`mersynth.store.clip_store` lists the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.disk.json_files import converted, read_json
from mersynth.disk.space import mapped
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS, SIDES, on_both_sides
from mersynth.facs.emotions import LABELLED, SCHEMES, label, native_labels
from mersynth.facs.landmarks import NUM_LANDMARKS
from mersynth.store.clip_table import ClipTable

SCHEMA_VERSION = 2
_WITHOUT_SIDES = 1  # the schema version before AU intensities had sides
FARTHEST = 1e6
"""Pixels from a frame's corner that a landmark may lie; detectors place some outside."""
CHECKSUMMED_FILES = ("clips.parquet", "frames.npy", "intensities.npy", "landmarks.npy")


class StoreError(Exception):
    """A folder is not a complete, readable ClipStore, or a store cannot be written there."""


class _Version(Struct):
    """What every version of ``store.json`` holds."""

    schema_version: int


class _Header(Struct):
    """What is read of a store's header, which may hold more."""

    source: Annotated[str, Meta(min_length=1)]
    licence: str | None = None
    citation: str | None = None
    framing: Framing | None = HEAD
    scheme: Literal[SCHEMES] | None = None  # type: ignore[valid-type]
    parts: list[_Part] = []


class _Part(Struct):
    """A store that went into this one."""

    header: _Header


class _Meta(Struct):
    """The content of ``store.json``."""

    header: _Header
    sha256: dict[str, str]


def read_meta(path: Path) -> dict[str, Any]:
    """The content of ``store.json``.

    Raises:
        StoreError: if there is none, it is damaged, or of a schema version that is not read.
    """
    file = path / "store.json"
    if not path.is_dir():
        raise StoreError(
            f"no store at {path}; `mersynth prepare --source SOURCE --out {path}` makes one"
        )
    if not file.exists():
        raise StoreError(f"{path} is not a ClipStore: it has no store.json")
    try:
        meta: dict[str, Any] = read_json(file)
        version = converted(meta, _Version).schema_version
        if version not in (_WITHOUT_SIDES, SCHEMA_VERSION):
            raise StoreError(
                f"{file} has schema version {version}, this mersynth reads {_WITHOUT_SIDES} and "
                f"{SCHEMA_VERSION}; make the store again, or install the version that wrote it"
            )
        if lacking := set(CHECKSUMMED_FILES) - set(converted(meta, _Meta).sha256):
            raise ValueError(f"it lacks the SHA-256 of {listed(sorted(lacking))}")
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} is damaged ({error}); make the store again") from error
    return meta


def check_header(header: object) -> None:
    """Refuse a header that a store cannot be read with.

    Raises:
        ValueError: if a part is missing or of another type.
    """
    converted(header, _Header)


def check_emotions(
    found: Iterable[tuple[str, str]], header: Mapping[str, Any], where: str | Path
) -> None:
    """Refuse emotions that neither their database nor the store's label scheme has.

    Args:
        found: sources of clips, each with an emotion.
        header: of the store.
        where: what the message calls it.

    Raises:
        StoreError: with the emotion, and those there are.
    """
    schemes = sorted({"native", *schemes_in(header)})
    unlabelled = native_labels("folder")  # what clips of any database may be, to be predicted
    for source, emotion in set(found):
        known = source not in LABELLED or emotion in unlabelled
        if not known and not any(_has_label(source, emotion, s) for s in schemes):
            raise StoreError(
                f"{where}: {emotion!r} is neither a label of {source} "
                f"({', '.join(native_labels(source))}) nor a class of the label schemes "
                f"{', '.join(schemes)}; make the store again"
            )


def schemes_in(header: Mapping[str, Any]) -> Iterator[str]:
    """The label schemes that a store and its parts were made for."""
    if header.get("scheme"):
        yield header["scheme"]
    for part in header.get("parts", ()):
        yield from schemes_in(part["header"])


def _has_label(source: str, emotion: str, scheme: str) -> bool:
    try:
        label(source, emotion, scheme)
    except ValueError:
        return False
    return True


def read_clips(path: Path) -> ClipTable:
    """The clips in ``clips.parquet``.

    Raises:
        StoreError: if it is not a table of clips.
    """
    import pyarrow as pa

    try:
        return ClipTable.read(path)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); make the store again") from error


def array_layout(image_size: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Type and shape of each array's entry for one frame, by the name of the array."""
    return {
        "frames": (np.uint8, (image_size, image_size, 3)),
        "intensities": (np.float32, (len(CONDITION_AUS), len(SIDES))),
        "landmarks": (np.float32, (NUM_LANDMARKS, 2)),
    }


def open_arrays(path: Path, total: int, version: int) -> dict[str, np.ndarray]:
    """The arrays of a store, memory-mapped, by name; intensities without sides count for both.

    Args:
        path: the store's folder.
        total: number of frames of all its clips.
        version: its schema version.

    Raises:
        StoreError: if a file is no array, or of another type or shape.
    """
    sides = version != _WITHOUT_SIDES
    arrays: dict[str, np.ndarray] = {}
    for name in array_layout(0):
        file = path / f"{name}.npy"
        try:
            arrays[name] = mapped(file)
        except ValueError as error:
            raise StoreError(f"{error}; make the store again") from error
    side = arrays["frames"].shape[1] if arrays["frames"].ndim > 1 else 0
    layout = array_layout(side)
    if not sides:
        layout["intensities"] = (np.float32, (len(CONDITION_AUS),))
    for name, (kind, shape) in layout.items():
        array = arrays[name]
        if array.dtype != kind or array.shape != (total, *shape) or not side:
            raise StoreError(
                f"{path / f'{name}.npy'} holds {array.dtype} {array.shape}, the clips need "
                f"{np.dtype(kind)} {(total, *shape)}; make the store again"
            )
    if not sides:
        arrays["intensities"] = on_both_sides(arrays["intensities"])
    return arrays


def check_values(path: Path, clips: Sequence[Clip], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse what checksums do not show: values that no store has.

    Args:
        path: the store's folder, for the message.
        clips: all of the store.
        arrays: as of :func:`open_arrays`.

    Raises:
        StoreError: if an id occurs twice, or an intensity or a landmark lies out of range.
    """
    known: set[str] = set()
    for clip in clips:
        if clip.id in known:
            raise StoreError(f"{path}: the id {clip.id} occurs twice; make the store again")
        known.add(clip.id)
    intensities, landmarks = arrays["intensities"], arrays["landmarks"]
    if ((intensities < 0) | (intensities > 1)).any():
        raise StoreError(
            f"{path / 'intensities.npy'} holds {np.nanmin(intensities):g}.."
            f"{np.nanmax(intensities):g}, intensities lie in 0..1; make the store again"
        )
    if (np.abs(landmarks) > FARTHEST).any():
        raise StoreError(
            f"{path / 'landmarks.npy'} holds {np.nanmin(landmarks):g}..{np.nanmax(landmarks):g}; "
            f"landmarks are pixels, {FARTHEST:g} from the frame at most, or NaN; make the store "
            "again"
        )
