"""AU intensities from files of other tools."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mersynth import logs
from mersynth.checks import listed
from mersynth.clips import flat_name
from mersynth.disk.files import checksum_of, sha256_of_file
from mersynth.face.au_rows import (
    joined,
    names_of,
    numbers_of,
    own_path,
    placed_landmarks,
    rows_of_face,
)
from mersynth.face.au_table import AUTable
from mersynth.face.intensity import Measurement
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.errors import Problem
from mersynth.sources.media import files_of

if TYPE_CHECKING:
    from mersynth.face.framing import FramedClip

logger = logging.getLogger(__name__)

_PROVENANCE = "provenance.csv"  # of an export


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
            rows, said = rows_of_face(item, table, wanted, box)
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
        landmarks = placed_landmarks(item, table, np.where(why == "", rows, -1), box)
        return Measurement(intensities, landmarks)

    def _table(self, item: FramedClip) -> tuple[AUTable, np.ndarray, str]:
        """The clip's rows, the numbers of its frames (T,) in them, and where they are."""
        names = names_of(item)
        for name in names:
            path = self.folder / f"{name}.csv"
            if path.is_file():
                self._claim(path, item)
                table, place = self._read(path), f"{name}.csv"
                try:
                    numbers = numbers_of(item, table, self.tool.first, self._images)
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
                return joined(tables), np.arange(len(files)), f"{name}/"
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
        own = own_path(item)
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
        clip, parts = item.clip, own_path(item).parts[-2:]
        tried = ("/".join(parts), f"{clip.subject}_{clip.name}", flat_name(clip), parts[-1])
        files = ", ".join(f"{name}.csv" for name in dict.fromkeys(tried))
        super().__init__(f"no file for {clip.id}: looked for {files}")
