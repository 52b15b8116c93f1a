"""AffectNet's annotations: lists in the first release, arrays in the release of cropped faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mersynth.facs.landmarks import NUM_LANDMARKS
from mersynth.sources.errors import Problem
from mersynth.sources.media import FolderFiles, files_of, left_out
from mersynth.sources.sheets import TableRow, cell_integer, cell_text, read_table

EMOTIONS = {
    0: "neutral",
    1: "happiness",
    2: "sadness",
    3: "surprise",
    4: "fear",
    5: "disgust",
    6: "anger",
    7: "contempt",
}
"""The database's codes of expressions; it calls 1 happy and 2 sad."""

WITHOUT_EXPRESSION = {8: "none", 9: "uncertain", 10: "no-face"}
"""Codes whose images are left out, and counted."""

_BOX = ("face_x", "face_y", "face_width", "face_height")
COLUMNS = ("subDirectory_filePath", *_BOX, "facial_landmarks", "expression")
"""Columns of the lists that are read (not valence and arousal)."""

LISTS = {"train": "training.csv", "val": "validation.csv"}
SETS = {"train": "train_set", "val": "val_set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedImage:
    """An image as annotated; its file has not been opened yet.

    Attributes:
        name: split and file, ``"train-103-29a3..."``: unique in the database.
        file: the image.
        code: a key of :data:`EMOTIONS` or :data:`WITHOUT_EXPRESSION`.
        landmarks: (68, 2) float32, (x, y) in pixels of the file; None if there are none.
        box: left, top, right and bottom of the face, in pixels of the file, as annotated; None
            where the image shows only the face.
    """

    name: str
    file: Path
    code: int
    landmarks: np.ndarray | None = None
    box: tuple[int, int, int, int] | None = None


def images_of_list(
    root: Path, split: str, problems: list[Problem]
) -> Iterator[AnnotatedImage | None]:
    """The rows of a list of the first release, one by one.

    Args:
        root: the database's folder.
        split: a key of :data:`LISTS`; without its list there are no images.
        problems: where problems are added.

    Yields:
        The image, or None for a row with a fatal problem.

    Raises:
        SourceError: if the list cannot be read.
    """
    file = root / "Manually_Annotated_file_lists" / LISTS[split]
    seen: dict[str, int] = {}
    columns = {column: column for column in COLUMNS}
    for row in read_table(file, columns) if file.is_file() else ():
        path = cell_text(row.cells["subDirectory_filePath"])
        box, landmarks = None, None
        try:
            if not path or ".." in Path(path).parts or Path(path).is_absolute():
                raise ValueError(f"{path!r} is not an image in Manually_Annotated_Images")
            name = "-".join((split, *Path(path).with_suffix("").parts))
            first = seen.setdefault(name, row.number)
            if first != row.number:
                raise ValueError(f"image {path} is already in row {first}")
            code = _code(row.cells["expression"])
            if code in EMOTIONS:
                box = _box(row)
        except ValueError as error:
            problems.append(row.problem(str(error)))
            yield None
            continue
        if code in EMOTIONS:
            try:
                landmarks = _points(str(row.cells["facial_landmarks"] or "").split(";"))
            except ValueError as error:
                reason = f"{path}: {error}: stored without landmarks"
                problems.append(row.problem(reason, "facial_landmarks", fatal=False))
        yield AnnotatedImage(
            name=name,
            file=root / "Manually_Annotated_Images" / path,
            code=code,
            landmarks=landmarks,
            box=box,
        )


def images_of_arrays(
    root: Path, split: str, problems: list[Problem]
) -> Iterator[AnnotatedImage | None]:
    """The images of a set of the release of cropped faces, one by one.

    Args:
        root: the database's folder.
        split: a key of :data:`SETS`; without its folder there are no images.
        problems: where problems are added.

    Yields:
        The image, or None for one with a fatal problem.
    """
    images, annotations = (root / SETS[split] / kind for kind in ("images", "annotations"))
    if not annotations.is_dir():
        return
    inside = files_of(images) if images.is_dir() else FolderFiles((), (), ())
    problems += left_out((*inside.videos, *inside.others), images.relative_to(root).as_posix())
    files = inside.images
    known = Counter(file.stem for file in files)
    for array in sorted(annotations.glob("[!.]*_exp.npy")):
        if array.name.removesuffix("_exp.npy") not in known:
            place = array.relative_to(root).as_posix()
            problems.append(Problem(place, "there is no image for this annotation"))
    for file in files:
        landmarks = None
        array = annotations / f"{file.stem}_exp.npy"
        try:
            if known[file.stem] > 1:
                raise ValueError(f"there are {known[file.stem]} images for this annotation")
            code = _code(_load(array, 1)[0])
        except ValueError as error:
            problems.append(Problem(array.relative_to(root).as_posix(), str(error)))
            yield None
            continue
        array = annotations / f"{file.stem}_lnd.npy"
        try:
            landmarks = _points(_load(array, 2 * NUM_LANDMARKS))
        except ValueError as error:
            reason = f"{error}: stored without landmarks"
            problems.append(Problem(array.relative_to(root).as_posix(), reason, fatal=False))
        yield AnnotatedImage(name=f"{split}-{file.stem}", file=file, code=code, landmarks=landmarks)


def _load(file: Path, count: int) -> list[object]:
    """The values of an array that was saved without pickling.

    Raises:
        ValueError: if it is missing, damaged, or holds another number of values; the message gives
            no path.
    """
    try:
        array = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError("the annotation is missing") from error
    except (OSError, ValueError, EOFError) as error:
        raise ValueError("the array is truncated or damaged") from error
    if not isinstance(array, np.ndarray) or array.size != count:
        raise ValueError(f"the array does not hold {count} values")
    values: list[object] = array.reshape(-1).tolist()
    return values


def _code(value: object) -> int:
    """The code of an expression, which the arrays hold as a string."""
    known = {**EMOTIONS, **WITHOUT_EXPRESSION}
    text = cell_text(value)
    if not text.isdecimal() or int(text) not in known:
        shown = ", ".join(f"{code} {name}" for code, name in known.items())
        raise ValueError(f"expression {text!r} is not one of {shown}")
    return int(text)


def _box(row: TableRow) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the face."""
    texts = [cell_text(row.cells[column]) for column in _BOX]
    # The corner of a face at the edge may lie outside the image.
    sizes = [cell_integer(text.removeprefix("-")) for text in texts]
    if None in sizes:
        raise ValueError(f"the face's box is not four whole numbers: {', '.join(texts)}")
    left, top, width, height = (
        -size if text.startswith("-") else size
        for text, size in zip(texts, sizes, strict=True)
        if size is not None
    )
    if width < 1 or height < 1:
        raise ValueError(f"the face's box is empty: {', '.join(texts)}")
    return left, top, left + width, top + height


def _points(values: Sequence[object]) -> np.ndarray:
    """(68, 2) float32, from x, y, x, y, ..."""
    try:
        points = np.array([float(str(value)) for value in values], np.float32)
    except ValueError as error:
        raise ValueError("the landmarks are not numbers") from error
    if points.size != 2 * NUM_LANDMARKS or not np.isfinite(points).all():
        raise ValueError(f"these are not {NUM_LANDMARKS} landmarks")
    return points.reshape(NUM_LANDMARKS, 2)
