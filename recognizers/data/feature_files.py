"""Feature files, ``FILE.npz`` of ``--data``: features computed elsewhere, read as model inputs."""

from __future__ import annotations

import logging
import math
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mersynth.augment import au_sets
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.disk.files import check_regular
from mersynth.sources.folder import UNLABELLED
from mersynth.sources.sheets import cell_text
from recognizers.data.inputs import ModelData
from recognizers.data.map_form import MapForm, brought
from recognizers.models.base import InputSpec

logger = logging.getLogger(__name__)

_KNOWN = (
    "y", "subject", "dataset", "clip", "classes", "channels", "aus", "template", "generator",
    "unseen", "face", "card", "scale", "framing", "units",
)  # fmt: skip
_MOST_CLASSES = 100  # without names; more are taken where there are as many clips
_END = 22 + 0xFFFF  # bytes: the largest end of an archive, with its comment
_TEXT = ("dataset", "clip", "aus", "template", "generator", "unseen")


class FeatureFileError(ValueError):
    """A file of features cannot be read, or does not fit the model."""


def read_features(
    path: str | Path,
    specs: Mapping[str, InputSpec],
    alone: bool = True,
    first_label: int | None = None,
) -> ModelData:
    """Read a file of features, such as ``mersynth export --layout npz`` writes.

    ============  ==========  ======================================================================
    array         shape       contents
    ============  ==========  ======================================================================
    x             N, C, H, W  the model's input; with several inputs, one array by each one's name
    y             N           class: a number from ``first_label`` on, or a name of ``classes``
    subject       N           the person, unique within ``dataset``
    dataset       N           optional in a run of one file; by default the file's name
    clip          N           optional, unique within the person; else the row's number
    classes       K           optional; names of the classes, else their numbers in y
    channels      C           optional; names of x's channels, which must be the model's
    aus           N           optional; AU cells as the databases write them, such as ``4+L7``
    template, generator, unseen  N  optional; the provenance of synthetic clips (``Clip``),
                              ``unseen`` joined by ``;``
    scale         none        optional; that of maps of motion (:data:`mersynth.motion.maps.Scale`),
                              else it is told from their values
    framing       3           optional; the part of the face that they show: eyes, apart and aspect
                              of :class:`mersynth.face.template.Framing`
    ============  ==========  ======================================================================

    Args:
        path: the file.
        specs: ``Recognizer.inputs``.
        alone: whether the run has no other clips; else the file must have ``dataset``, which
            together with ``subject`` identifies people across files.
        first_label: number of the first class in y. None: 0, and then a file that names no classes
            must have a clip of class 0, since numbers that start at 1 would leave class 0 empty.

    Returns:
        The data, its inputs float32.

    Raises:
        FileNotFoundError: if there is no such file.
        FeatureFileError: if an array is missing, damaged or does not fit the others or the model,
            a label is not a class, a clip comes twice, values are not finite or out of range, or
            maps of motion cannot be brought to the spec's scale, or show another part of the face.
    """
    path = Path(path)
    arrays = _load(path)
    names = _input_names(path, arrays, specs)
    needed = ("y", "subject", *names.values(), *(() if alone else ("dataset",)))
    _check_rows(path, arrays, needed)
    if ignored := sorted(set(arrays) - {*_KNOWN, *names.values()}):
        known = ", ".join((*names.values(), *_KNOWN))
        logger.warning("%s: %s is not read; known are %s", path, ", ".join(ignored), known)
    labels, classes = _labels(path, arrays, first_label)
    clips = _clips(path, arrays, [classes[i] for i in labels])
    return ModelData(
        inputs={name: _input(path, arrays, key, specs[name]) for name, key in names.items()},
        label=torch.from_numpy(labels),
        au_set=au_sets([clip.aus for clip in clips]),
        clips=clips,
        classes=classes,
    )


def read_clips(
    path: str | Path, specs: Mapping[str, InputSpec]
) -> tuple[dict[str, torch.Tensor], tuple[Clip, ...]]:
    """Read the inputs of a feature file, labelled or not.

    Args:
        path: the file, as for :func:`read_features`; ``y`` is not read.
        specs: ``Recognizer.inputs``.

    Returns:
        The inputs (N, ...) float32 by name, and the N clips.

    Raises:
        FileNotFoundError, FeatureFileError: as :func:`read_features`.
    """
    path = Path(path)
    arrays = _load(path)
    names = _input_names(path, arrays, specs)
    _check_rows(path, arrays, ("subject", *names.values()))
    inputs = {name: _input(path, arrays, key, specs[name]) for name, key in names.items()}
    return inputs, _clips(path, arrays, [UNLABELLED] * len(arrays["subject"]))


def _check_rows(path: Path, arrays: Mapping[str, np.ndarray], needed: Sequence[str]) -> None:
    """Refuse a file that lacks an array needed, or in which one has not one row per clip."""
    for key in needed:
        if key not in arrays:
            why = (
                ", which identifies people across several files: give the name of the database "
                "for each clip, the same name where files show the same people"
            )
            raise FeatureFileError(
                f"{path} lacks the array {key!r}{why * (key == 'dataset')}; it has "
                f"{', '.join(arrays)}"
            )
    count = len(arrays[needed[0]]) if arrays[needed[0]].ndim else 0
    for key in dict.fromkeys((*needed, *_TEXT)):
        if key in arrays and (arrays[key].ndim < 1 or len(arrays[key]) != count):
            raise FeatureFileError(
                f"{path}: {key} has the shape {arrays[key].shape}, {needed[0]} has {count} rows"
            )
    if not count:
        raise FeatureFileError(f"{path} holds no clip")
    for key in ("subject", "classes", "channels", *_TEXT):
        if key in arrays and arrays[key].ndim != 1:
            raise FeatureFileError(
                f"{path}: {key} must be a list of names, got an array of {arrays[key].ndim} "
                "dimensions"
            )


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; `mersynth export --layout npz` writes one")
    try:
        check_regular(path)
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive of arrays")
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FeatureFileError:
        raise
    # zipfile raises RuntimeError for what it cannot unpack, such as a damaged kind of compression.
    except (
        OSError, ValueError, EOFError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        raise FeatureFileError(
            f"{path} is not a readable npz file; write it with numpy.savez, of arrays of numbers "
            "and text, without objects"
        ) from error
    except MemoryError as error:
        raise FeatureFileError(f"{path} does not fit into memory ({error}); divide it") from error


def _check_sizes(path: Path) -> None:
    """Refuse arrays whose headers claim more than the file holds, before room is made for them.

    Raises:
        ValueError: of such an array.
        FeatureFileError: if the arrays are larger than the machine's memory.
    """
    with zipfile.ZipFile(path) as arrays:
        for member in arrays.infolist():
            with arrays.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0
                if version >= (2, 0):
                    read = np.lib.format.read_array_header_2_0
                shape, _, kind = read(file)
                claimed = math.prod(shape) * kind.itemsize
                if not kind.hasobject and claimed != member.file_size - file.tell():
                    raise ValueError(f"{member.filename} claims {claimed} bytes")
        if (lost := _members(path) - len(arrays.infolist())) > 0:
            raise ValueError(f"{lost} arrays of the table of contents are lost")
        whole = sum(member.file_size for member in arrays.infolist())
    if whole > (memory := _memory()):
        raise FeatureFileError(
            f"{path} unpacks to {whole / 1e9:.1f} GB, this machine has {memory / 1e9:.1f} GB of "
            "memory; divide it into several files (--data is repeatable)"
        )


def _members(path: Path) -> int:
    """The number of members that the end of an archive tells, which zipfile does not check."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END))
        content = file.read()
    end = content[content.rfind(b"PK\x05\x06") :]
    return int.from_bytes(end[10:12], "little")


def _memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _input_names(
    path: Path, arrays: Mapping[str, np.ndarray], specs: Mapping[str, InputSpec]
) -> dict[str, str]:
    """The array of each input."""
    if all(name in arrays for name in specs):
        return {name: name for name in specs}
    if len(specs) == 1:
        return {name: "x" for name in specs}
    raise FeatureFileError(
        f"{path}: the model reads {', '.join(specs)}: give an array of each name; the file has "
        f"{', '.join(arrays)}"
    )


def _labels(
    path: Path, arrays: Mapping[str, np.ndarray], first_label: int | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) class indices, and the names of the classes."""
    y, first = arrays["y"], first_label or 0
    named, whole = y.dtype.kind in "US", y.dtype.kind in "iu" and y.ndim == 1
    if "classes" in arrays:
        classes = tuple(_texts(arrays["classes"]))
    elif named:
        classes = tuple(sorted(set(_texts(y))))
    else:
        last = int(y.max()) if whole else first + 1
        if last - first >= max(len(y), _MOST_CLASSES):
            raise FeatureFileError(
                f"{path}: y names a class {last}, which would be one of {last - first + 1}, for "
                f"{len(y)} clips: number the classes from {first} without gaps, or name them in "
                "the array 'classes'"
            )
        classes = tuple(map(str, range(first, last + 1)))
        _check_first(path, y, first_label)
    if len(set(classes)) != len(classes) or len(classes) < 2 or not all(classes):
        raise FeatureFileError(f"{path}: classes must be 2 or more different names, got {classes}")
    if named:
        numbers = {name: i for i, name in enumerate(classes)}
        labels = np.array([numbers.get(name, -1) for name in _texts(y.ravel())])
    else:
        labels = y.astype(np.int64) - first if whole else np.array([-1])
    if y.ndim != 1 or labels.min() < 0 or labels.max() >= len(classes):
        starts_at_1 = first == 0 and whole and y.min() == 1 and y.max() == len(classes)
        raise FeatureFileError(
            f"{path}: y must be whole numbers (int) in {first}..{first + len(classes) - 1}, or "
            f"names, of the classes {', '.join(classes)}; it holds {_values(y)} of type {y.dtype}"
            + "; if its numbers start at 1, say so: --first-label 1"
            * bool(starts_at_1)
        )
    return labels, classes


def _check_first(path: Path, y: np.ndarray, first_label: int | None) -> None:
    """Refuse labels that never name the first class, unless its number was given."""
    if first_label is None and y.dtype.kind in "iu" and y.min() > 0:
        raise FeatureFileError(
            f"{path}: y holds {_values(y)} and no 0, and classes are numbered from 0: no clip "
            f"would have class 0. Where they are numbered from {y.min()}, say so: --first-label "
            f"{y.min()}; where no clip has class 0, --first-label 0; or name all classes in the "
            "array 'classes', the first for 0"
        )


def _values(y: np.ndarray) -> str:
    return listed([repr(value) for value in sorted(set(y.ravel().tolist()))])


def _texts(array: np.ndarray) -> list[str]:
    """An array's cells as text, read like a table's: 6.0 is ``6``, blanks are stripped."""
    values = array.astype(str) if array.dtype.kind in "SU" else array
    return [cell_text(value) for value in values.tolist()]


def _clips(path: Path, arrays: Mapping[str, np.ndarray], emotions: list[str]) -> tuple[Clip, ...]:
    count = len(emotions)
    given = {key: _texts(arrays[key]) for key in _TEXT if key in arrays}
    subjects = _texts(arrays["subject"])
    datasets = given.get("dataset", [path.stem] * count)
    if not all((*subjects, *datasets)):
        raise FeatureFileError(f"{path}: subject and dataset must name every clip; one is empty")
    names = given.get("clip", [f"{i:05}" for i in range(count)])
    empty = [""] * count
    try:
        clips = tuple(
            Clip(
                source=datasets[i],
                subject=subjects[i],
                name=names[i],
                onset=0,
                apex=0,
                offset=0,
                emotion=emotions[i],
                aus=given.get("aus", empty)[i],
                template=given.get("template", empty)[i] or None,
                generator=given.get("generator", empty)[i] or None,
                unseen=tuple(filter(None, given.get("unseen", empty)[i].split(";"))),
            )
            for i in range(count)
        )
    except ValueError as error:
        raise FeatureFileError(f"{path}: {error}") from error
    if twice := [name for name, n in Counter(clip.id for clip in clips).items() if n > 1]:
        raise FeatureFileError(f"{path}: clips come more than once: {listed(twice)}")
    return clips


def read_classes(path: str | Path, first_label: int | None = None) -> tuple[str, ...]:
    """The names of a file's classes.

    Args:
        path: the file.
        first_label: as for :func:`read_features`.

    Raises:
        FileNotFoundError, FeatureFileError: as :func:`read_features`.
    """
    path = Path(path)
    arrays = _load(path)
    _check_rows(path, arrays, ("y",))
    return _labels(path, arrays, first_label)[1]


def read_form(path: str | Path, specs: Mapping[str, InputSpec]) -> MapForm:
    """The form of a file's maps of motion.

    Raises:
        FileNotFoundError, FeatureFileError: if it cannot be read, or says something impossible.
    """
    path = Path(path)
    arrays = _load(path)
    keys = list(_input_names(path, arrays, specs).values())
    _check_rows(path, arrays, keys)
    try:
        return MapForm.told(arrays, arrays[keys[0]])
    except ValueError as error:
        raise FeatureFileError(f"{path}: {error}") from error


def _input(path: Path, arrays: Mapping[str, np.ndarray], key: str, spec: InputSpec) -> torch.Tensor:
    channels = tuple(arrays["channels"].astype(str).tolist()) if "channels" in arrays else None
    if channels is None:
        logger.info("%s names no channels; taken as %s", path, ", ".join(spec.channels))
    elif key == "x" and channels != spec.channels:
        raise FeatureFileError(
            f"{path}: the channels of x are {', '.join(channels)}, the model reads "
            f"{', '.join(spec.channels)}, in this order"
        )
    values = arrays[key]
    if values.dtype.kind not in "fiu":
        raise FeatureFileError(f"{path}: {key} must hold numbers, got {values.dtype}")
    if wrong := np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1)).tolist():
        raise FeatureFileError(
            f"{path}: {key} must be finite, got NaN or infinite values in {len(wrong)} of "
            f"{len(values)} clips: rows {listed(wrong)}"
        )
    tensor = torch.from_numpy(values.astype(np.float32))
    try:
        spec.check(key, tensor)
    except ValueError as error:
        raise FeatureFileError(
            f"{path}: {error}; the model's options, such as model.options.image_size, may "
            "change what it reads"
        ) from error
    if spec.scale is None:
        return tensor
    maps = tensor.numpy()
    try:
        return torch.from_numpy(brought(maps, MapForm.told(arrays, maps), spec))
    except ValueError as error:
        raise FeatureFileError(f"{path}: {error}") from error
