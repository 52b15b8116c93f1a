"""AU intensities from files of other tools: which file is a clip's, and which row a frame's."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mersynth import logs
from mersynth.checks import listed, ranges
from mersynth.clips import flat_name
from mersynth.face.boxes import best_overlap, box_around, overlap
from mersynth.face.intensity import Measurement
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.files import checksum_of, sha256_of_file
from mersynth.sources.errors import Problem
from mersynth.sources.media import files_of
from mersynth.sources.video import VideoFile

if TYPE_CHECKING:
    import pandas as pd

    from mersynth.face.framing import FramedClip

logger = logging.getLogger(__name__)

_PROVENANCE = "provenance.csv"  # of an export
_DEPTH = 6  # folders above a clip that may be repeated above its file
_SAME_PLACE = 0.4  # least overlap with the clip's face of landmarks that are kept
# As C++ programs write what is no number.
_NO_NUMBER = ("-nan", "nan(ind)", "-nan(ind)", "1.#IND", "-1.#IND")


@dataclass(frozen=True, eq=False, slots=True)
class AUTable:
    """The rows of a file, one for each face of a frame (R of them).

    Attributes:
        numbers: (R,) int64, frames as the tool counts them.
        faces: (R,) int64, which face of the frame it is.
        intensities: (R, 20) float32 in [0, 1], columns as ``CONDITION_AUS``; NaN where not given.
        failed: (R,) why a row is of no use; empty if it is.
        landmarks: (R, 68, 2) iBUG's landmarks, x, y in pixels of the frames that the tool saw; None
            if there are none.
        by_name: whether the tool read a folder of images in the order of their names as texts, in
            which ``img10`` precedes ``img2``.
        every_frame: whether the tool wrote a row for every frame, found or not.
    """

    numbers: np.ndarray
    faces: np.ndarray
    intensities: np.ndarray
    failed: np.ndarray
    landmarks: np.ndarray | None = None
    by_name: bool = False
    every_frame: bool = False


class AUFileTool(Protocol):
    """A tool whose files hold AU intensities.

    Attributes:
        name: in messages.
        key: of ``prepare --intensities``.
        first: number of a film's first frame.
        facts: more of it for the store's header.
    """

    name: str
    key: str
    first: int
    facts: Mapping[str, Any]

    def read(self, path: Path) -> AUTable:
        """Read a file.

        Raises:
            ValueError: if it is not the tool's, or damaged; the message gives no path.
        """


def read_columns(path: Path, wanted: Callable[[str], bool]) -> pd.DataFrame:
    """Columns of a CSV file as numbers, by their names without blanks; NaN for empty cells.

    Args:
        path: the file.
        wanted: whether a column of that name is read.

    Raises:
        ValueError: if the file is empty, is no text, has a line with fewer or more values than the
            header, or a wanted cell that is no number; the message gives no path.
    """
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\n")
            if not header.strip():
                raise ValueError("it is empty")
            commas = header.count(",")
            for number, line in enumerate(file, 2):
                if line.strip() and line.count(",") != commas:
                    raise ValueError(
                        f"line {number} has {line.count(',') + 1} values, the header "
                        f"{commas + 1}: the file is incomplete or damaged"
                    )
        table = pd.read_csv(
            path,
            encoding="utf-8-sig",
            skipinitialspace=True,
            index_col=False,
            usecols=lambda name: wanted(name.strip()),
            na_values=list(_NO_NUMBER),
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not a text file, or damaged") from error
    table.columns = table.columns.str.strip()
    for name in table:
        values = pd.to_numeric(table[name], errors="coerce")
        wrong = values.isna() & table[name].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise ValueError(f"line {row + 2}: {name} is {table[name].iloc[row]!r}, not a number")
        table[name] = values.astype(np.float64)
    return table


def whole_numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column (R,) as int64.

    Raises:
        ValueError: if a value is not a whole number.
    """
    values = table[name].to_numpy()
    wrong = ~(values == np.round(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"line {row + 2}: {name} must be a whole number, got {values[row]}")
    return values.astype(np.int64)


def scaled_intensities(table: pd.DataFrame, columns: Mapping[int, str], top: float) -> np.ndarray:
    """Intensities of 0 to ``top`` as (R, 20) float32 in [0, 1]; NaN for AUs without a column.

    Args:
        table: of :func:`read_columns`.
        columns: by AU of ``CONDITION_AUS``.
        top: the scale's end.

    Raises:
        ValueError: if a value lies outside the scale.
    """
    found = np.full((len(table), len(CONDITION_AUS)), np.nan, np.float32)
    for au, name in columns.items():
        values = table[name].to_numpy()
        wrong = (values < 0) | (values > top)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"line {row + 2}: {name} is {values[row]}, outside the tool's scale of 0 to {top:g}"
            )
        found[:, CONDITION_AUS.index(au)] = values / top
    return found


class FileReader:
    """Reads what another tool wrote: a CSV file for each clip, or for each of its frames.

    A clip's file is named after its folder or its file, with as many of the folders above as there
    are in ``folder``; or ``subject/name.csv``, ``subject_name.csv``, ``source_subject_name.csv`` as
    ``mersynth export --aus csv`` writes them, or ``name.csv``. Files of frames lie in a folder of
    such a name.

    Args:
        tool: the tool that wrote the files.
        folder: where they are.

    Raises:
        ValueError: if there is no such folder, or no CSV file in it.
    """

    def __init__(self, tool: AUFileTool, folder: Path) -> None:
        self.tool, self.folder, self.name = tool, folder, tool.key
        if not folder.is_dir():
            raise ValueError(
                f"{tool.key}={folder}: there is no such folder; name the one that holds "
                f"{tool.name}'s CSV files, one for each clip"
            )
        if not any(folder.rglob("*.csv")):
            raise ValueError(f"{tool.key}={folder}: the folder holds no CSV file")
        self._found: dict[str, Measurement] = {}
        self._given = np.zeros(len(CONDITION_AUS), bool)
        self._frames: Counter[str] = Counter()
        self._sha256: dict[str, str] = {}
        self._owners: dict[Path, Path] = {}
        self._last: tuple[Path, AUTable] | None = None  # clips of a recording follow each other
        self._listed: tuple[Path, list[str]] | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was read and how, for the store's header."""
        return {
            "tool": self.tool.name,
            "aus": [au for au, given in zip(CONDITION_AUS, self._given, strict=True) if given],
            "without": [
                au for au, given in zip(CONDITION_AUS, self._given, strict=True) if not given
            ],
            "sides": False,
            **self.tool.facts,
            "frames": dict(sorted(self._frames.items())),
            "files": len(self._sha256),
            "files_sha256": checksum_of(self._sha256),
        }

    def find(self, clips: Sequence[tuple[FramedClip, np.ndarray | None]]) -> list[Problem]:
        """Read the files of all clips.

        Args:
            clips: each with the box of its face in the stored frames; None: not known.

        Raises:
            ValueError: if no clip has a file.
        """
        problems: list[Problem] = []
        without = 0
        title = f"reading {self.tool.name}'s files"
        with logs.progress(title, total=len(clips), unit="clips") as advance:
            for item, box in clips:
                advance(1)
                try:
                    self._found[item.clip.id] = self._find_one(item, box, problems)
                except ValueError as error:
                    problems.append(Problem(item.clip.id, str(error)))
                    without += isinstance(error, _NoFileError)
        if clips and without == len(clips):
            raise ValueError(
                f"{self.folder} has a file for none of the clips; {problems[0].reason}"
            )
        files = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.csv")}
        others = files - set(self._sha256) - {_PROVENANCE}
        if others:
            logger.info("%d CSV files in %s belong to none of the clips", len(others), self.folder)
        return problems

    def read(
        self, item: FramedClip, frames: Iterable[np.ndarray], box: np.ndarray | None
    ) -> Measurement:
        """What :meth:`find` found; the frames are only read to their end."""
        for _ in frames:
            pass
        return self._found[item.clip.id]

    def _find_one(
        self, item: FramedClip, box: np.ndarray | None, problems: list[Problem]
    ) -> Measurement:
        table, wanted, place = self._table(item)
        try:
            rows, said = _rows_of_face(item, table, wanted, box)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        if said:
            problems.append(Problem(item.clip.id, f"{place}: {said}", fatal=False))
        why, seen = np.full(len(rows), "no face", object), rows >= 0
        why[seen] = table.failed[rows[seen]]
        intensities = np.full((len(rows), len(CONDITION_AUS)), np.nan, np.float32)
        intensities[why == ""] = table.intensities[rows[why == ""]]
        why[(why == "") & np.isnan(intensities).all(1)] = "no value"
        counts = Counter(str(reason) or "measured" for reason in why)
        self._frames += counts
        self._given |= np.isfinite(table.intensities).any(0)
        if "measured" not in counts:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.items())
            said = f"{place}: no frame is measured ({reasons})"
            problems.append(Problem(item.clip.id, said, fatal=False))
        landmarks = _placed_landmarks(item, table, np.where(why == "", rows, -1), box)
        return Measurement(intensities, landmarks)

    def _table(self, item: FramedClip) -> tuple[AUTable, np.ndarray, str]:
        """The clip's rows, the numbers of its frames (T,) in them, and where they are."""
        names = _names(item)
        for name in names:
            path = self.folder / f"{name}.csv"
            if path.is_file():
                self._claim(path, item)
                table, place = self._read(path), f"{name}.csv"
                try:
                    numbers = _numbers(item, table, self.tool.first, self._images)
                    return table, numbers, place
                except ValueError as error:
                    raise ValueError(f"{place} {error}") from error
        stems = [frame.stem for frame in item.files.frames]
        for name in names if len(stems) > 1 else ():
            files = [self.folder / name / f"{stem}.csv" for stem in stems]
            found = [file for file in files if file.is_file()]
            if found and len(found) < len(files):
                lost = [file.name for file in files if file not in found]
                raise ValueError(
                    f"{name}/ lacks the files of {len(lost)} frames: {listed(lost, 5)}"
                )
            if found:
                tables = [self._read(file) for file in files]
                return _joined(tables), np.arange(len(files)), f"{name}/"
        raise _NoFileError(item)

    def _read(self, path: Path) -> AUTable:
        place = path.relative_to(self.folder).as_posix()
        self._sha256[place] = sha256_of_file(path)
        try:
            if self._last is None or self._last[0] != path:
                self._last = path, self.tool.read(path)
            return self._last[1]
        except ValueError as error:
            raise ValueError(
                f"{place} cannot be read as {self.tool.name}'s: {error}; run that tool again, or "
                "name the folder of its files"
            ) from error

    def _images(self, folder: Path) -> list[str]:
        """Names of a folder's images, which the clips of a recording share."""
        if self._listed is None or self._listed[0] != folder:
            self._listed = folder, [path.name for path in files_of(folder).images]
        return self._listed[1]

    def _claim(self, path: Path, item: FramedClip) -> None:
        """Refuse a file that two recordings would share."""
        own = _own_path(item)
        first = self._owners.setdefault(path, own)
        if first != own:
            raise ValueError(
                f"{path.relative_to(self.folder).as_posix()} is also the file of another clip of "
                f"that name, {first.parent.name}/{first.name}; put each into a folder named after "
                f"its subject, {item.clip.subject}/{path.name}"
            )


class _NoFileError(ValueError):
    """No file is named after a clip; the message gives the likeliest names."""

    def __init__(self, item: FramedClip) -> None:
        clip, parts = item.clip, _own_path(item).parts[-2:]
        tried = ("/".join(parts), f"{clip.subject}_{clip.name}", flat_name(clip), parts[-1])
        files = ", ".join(f"{name}.csv" for name in dict.fromkeys(tried))
        super().__init__(f"no file for {clip.id}: looked for {files}")


def _own_path(item: FramedClip) -> Path:
    """A clip's folder of frames, or its film or photo without the ending."""
    first = item.files.frames[0]
    return first.parent if len(item.files.frames) > 1 else first.with_suffix("")


def _names(item: FramedClip) -> list[str]:
    """What a clip's file may be called, without ``.csv``, the surest name first."""
    clip, own = item.clip, _own_path(item)
    parts = [part for part in own.parts if part != own.anchor][-_DEPTH:]
    paths = ["/".join(parts[i:]) for i in range(len(parts))]
    subject = f"{clip.subject}/{clip.name}", f"{clip.subject}_{clip.name}", flat_name(clip)
    return list(dict.fromkeys([*paths[:-1], *subject, paths[-1], clip.name]))


def _numbers(
    item: FramedClip, table: AUTable, first: int, images: Callable[[Path], list[str]]
) -> np.ndarray:
    """The numbers (T,) that a clip's frames have in a file; ``images`` lists those of a folder.

    The tool saw the folder or film in which the clip lies, or a copy of the clip alone, and counted
    from ``first``; or the file has the numbers of the frames' names.
    """
    clip, frames = item.clip, item.files.frames
    inside = np.arange(clip.num_frames)
    last = int(table.numbers.max(initial=first))
    if isinstance(item.files, VideoFile):
        ways = [clip.onset + inside, inside]
        ends = [clip.offset, clip.num_frames - 1]
    elif len(frames) == 1:  # each photo is read for itself
        ways, ends = [inside], [0]
    else:
        own = [path.name for path in frames]
        orders = [sorted(n, key=_key(table.by_name)) for n in (images(frames[0].parent), own)]
        orders = [order for order in orders if set(own) <= set(order)]
        ranks = [{name: rank for rank, name in enumerate(order)} for order in orders]
        ways = [np.array([rank[name] for name in own]) for rank in ranks]
        ends = [len(order) - 1 for order in orders]
    for way, end in zip(ways, ends, strict=True):
        if last == first + end:
            return first + way
    named = clip.onset + inside
    by_names = len(frames) > 1 and not table.by_name
    if by_names and table.numbers.min(initial=last) <= named[0] and named[-1] <= last:
        return named
    if not table.every_frame:
        fitting = {tuple(first + way) for way, end in zip(ways, ends, strict=True)
                   if last <= first + end}  # fmt: skip
        if len(fitting) == 1:
            return np.array(fitting.pop())
    held = ranges(np.unique(table.numbers).tolist()) if len(table.numbers) else "no frame"
    raise ValueError(
        f"holds {held}, but the clip has {clip.num_frames} frames ({clip.onset} to {clip.offset}): "
        "it was cut short, or is that of another clip"
    )


def _key(by_name: bool) -> Callable[[str], Any]:
    """Sorts names as texts, or the numbers in them as numbers."""
    if by_name:
        return str
    return lambda name: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", name)]


def _joined(tables: Sequence[AUTable]) -> AUTable:
    """The tables of a clip's frames as one, in which they are counted from 0."""
    numbers = [np.full(len(table.faces), i) for i, table in enumerate(tables)]
    landmarks = [table.landmarks for table in tables if table.landmarks is not None]
    return AUTable(
        np.concatenate(numbers),
        np.concatenate([table.faces for table in tables]),
        np.concatenate([table.intensities for table in tables]),
        np.concatenate([table.failed for table in tables]),
        np.concatenate(landmarks) if len(landmarks) == len(tables) else None,
    )


def _rows_of_face(
    item: FramedClip, table: AUTable, wanted: np.ndarray, box: np.ndarray | None
) -> tuple[np.ndarray, str | None]:
    """The row (T,) of the clip's face in each frame, -1 without one; what to say of the others."""
    here: dict[int, list[int]] = {number: [] for number in wanted.tolist()}
    for row, number in enumerate(table.numbers.tolist()):
        if number in here:
            here[number].append(row)
    for number, rows in here.items():
        if len({int(table.faces[row]) for row in rows}) < len(rows):
            raise ValueError(f"frame {number} occurs twice with one face; run the tool again")
    faces = sorted({int(table.faces[row]) for rows in here.values() for row in rows})
    if len(faces) < 2:
        return np.array([rows[0] if rows else -1 for rows in here.values()]), None
    if table.landmarks is not None and box is not None:
        chosen = [_in_place(item, table.landmarks, rows, box) for rows in here.values()]
        if max(chosen) < 0:
            raise ValueError(
                f"none of its {len(faces)} faces lies where the clip's face is; was the tool given "
                "these frames, at their size?"
            )
        used = sorted({int(table.faces[row]) for row in chosen if row >= 0})
        how = "lies" if len(used) == 1 else "lie"
        which = f"{_named(used)}, which {how} where the clip's face is"
    else:
        most = Counter(int(table.faces[r]) for rows in here.values() for r in rows
                       if not table.failed[r])  # fmt: skip
        face = max(faces, key=lambda each: (most[each], _size(table, each), -each))
        chosen = [next((r for r in rows if table.faces[r] == face), -1) for rows in here.values()]
        which = (
            f"{_named([face])}, which is measured most often ({most[face]} of {len(here)} frames)"
        )
    gone = sum(row < 0 for row in chosen)
    absent = f"; it is absent from {gone} of {len(here)} frames" if gone else ""
    return np.array(chosen), f"{len(faces)} faces; taken is {which}{absent}"


def _in_place(
    item: FramedClip, landmarks: np.ndarray, rows: Collection[int], box: np.ndarray
) -> int:
    """The row whose face overlaps the clip's most; -1 if none does."""
    boxes = [box_around(item.transform.apply_points(landmarks[row])) for row in rows]
    best, shared = best_overlap(boxes, box) if boxes else (-1, 0.0)
    return list(rows)[best] if shared > 0 else -1


def _size(table: AUTable, face: int) -> float:
    """Mean area of a face's landmarks, where they are known."""
    if table.landmarks is None:
        return 0.0
    sides = np.ptp(table.landmarks[(table.faces == face) & (table.failed == "")], axis=1)
    return float(sides.prod(-1).mean()) if len(sides) else 0.0


def _named(faces: Sequence[int]) -> str:
    return f"{'face' if len(faces) == 1 else 'faces'} {listed(faces, 5)}"


def _placed_landmarks(
    item: FramedClip, table: AUTable, rows: np.ndarray, box: np.ndarray | None
) -> np.ndarray | None:
    """Landmarks (T, 68, 2) of the rows in the store's frames, where they lie on the clip's face."""
    if table.landmarks is None or box is None:
        return None
    found = np.full((len(rows), *table.landmarks.shape[1:]), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row >= 0:
            points = item.transform.apply_points(table.landmarks[row])
            if overlap(box_around(points), box) >= _SAME_PLACE:
                found[place] = points
    return found if np.isfinite(found).any() else None
