"""What a database of annotated clips has in common with every other: a tree and a table."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mersynth import logs, paths
from mersynth.clips import Clip
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.frames import check_frame
from mersynth.sources.table import Row, read_annotations

Release = Literal["raw", "cropped"]

FRAME_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".png")


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """A clip on disk: its annotation, and its frames' files from onset to offset."""

    clip: Clip
    frames: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What a database's folder holds.

    Attributes:
        clips: the clips that can be stored, in the order of the annotation table.
        problems: all that is wrong; clips with a fatal problem are not among ``clips``.
        release: which release of the database it is; None if no clip can be stored.
    """

    clips: tuple[ClipFiles, ...]
    problems: tuple[Problem, ...]
    release: Release | None


class Source(ABC):
    """A database whose clips are folders of frames, annotated by a table in its root.

    A subclass draws the tree that it expects in its docstring, which errors show.

    Attributes:
        name: name of the database, as ``--source`` takes it.
        fps: frames a second.
        licence: what its licence lets one do.
        citation: the paper to cite.
        table_pattern: name of the annotation table, as a glob.
        subject_pattern: names of the subjects' folders.
    """

    name: ClassVar[str]
    fps: ClassVar[float]
    licence: ClassVar[str]
    citation: ClassVar[str]
    table_pattern: ClassVar[str]
    subject_pattern: ClassVar[re.Pattern[str]]

    @property
    def tree(self) -> str:
        """The tree that is expected, as a user should lay it out."""
        return (inspect.getdoc(type(self)) or "").replace("::\n\n", "")

    @abstractmethod
    def subject_folder(self, subject: str) -> str:
        """Name of a subject's folder, from the subject as the table writes it."""

    @abstractmethod
    def frame_number(self, file: str) -> int | None:
        """Number of the frame that a file holds, from its name without the ending; None: none."""

    @abstractmethod
    def release(self, file: str, width: int, height: int) -> Release:
        """Which release a frame belongs to, by its file's name and its size in pixels."""

    def find_table(self, root: Path) -> Path:
        """The annotation table in the database's root.

        Raises:
            SourceError: if there is none, or more than one.
        """
        tables = sorted(root.glob(self.table_pattern))
        if not tables:
            raise SourceError(
                f"no annotation table {self.table_pattern} in {root}; it comes with {self.name}: "
                f"put it there.\n\n{self.tree}"
            )
        if len(tables) > 1:
            names = ", ".join(table.name for table in tables)
            raise SourceError(f"{root} holds several annotation tables ({names}); keep one of them")
        return tables[0]

    def read_annotations(self, table: Path) -> tuple[list[Row], list[Problem]]:
        """The rows of an annotation table of this database; see ``table.read_annotations``."""
        return read_annotations(
            table, source=self.name, fps=self.fps, subject_folder=self.subject_folder
        )

    def scan(self, root: Path) -> Scan:
        """Find the clips of the database, and all that is wrong with its files.

        Every frame from onset to offset is decoded once, so that what the scan calls good can be
        stored. Frames outside of onset..offset, which the raw releases hold, are left alone.

        Args:
            root: the database's folder.

        Raises:
            SourceError: if the root, its annotation table or its subjects' folders are not there,
                or raw and cropped clips are mixed.
        """
        if not root.is_dir():
            raise SourceError(
                f"no folder {root} for {self.name}; name the database's folder with --root, or put "
                f"it in ${paths.DATA_VARIABLE}/{self.name} or ./data/{self.name}.\n\n{self.tree}"
            )
        rows, problems = self.read_annotations(self.find_table(root))
        folders = self._clip_folders(root)
        clips: list[ClipFiles] = []
        releases: dict[Release, str] = {}
        with logs.progress(f"checking {self.name}", total=len(rows), unit="clips") as advance:
            for row in rows:
                advance(1)
                folder = folders.pop((row.subject, row.name), None)
                if folder is None:
                    reason = "the annotation table has this clip, the tree has not"
                    problems.append(Problem(f"{row.subject}/{row.name}", reason, row.number))
                elif row.clip is not None:
                    files, release, found = self._check_clip(row.clip, folder, root)
                    problems += found
                    if release is not None:
                        clips.append(ClipFiles(row.clip, files))
                        releases.setdefault(release, row.clip.id)
        if len(releases) > 1:
            examples = ", ".join(f"{clip} is {release}" for release, clip in releases.items())
            raise SourceError(f"{root} mixes two releases ({examples}); keep each in its own root")
        for subject, name in sorted(folders):
            reason = "the tree has this clip, the annotation table has not"
            problems.append(Problem(f"{subject}/{name}", reason))
        return Scan(tuple(clips), tuple(problems), next(iter(releases), None))

    def _clip_folders(self, root: Path) -> dict[tuple[str, str], Path]:
        subjects = [path for path in _folders(root) if self.subject_pattern.fullmatch(path.name)]
        if not subjects:
            raise SourceError(f"{root} holds no subject's folder.\n\n{self.tree}")
        return {
            (subject.name, clip.name): clip for subject in subjects for clip in _folders(subject)
        }

    def _check_clip(
        self, clip: Clip, folder: Path, root: Path
    ) -> tuple[tuple[Path, ...], Release | None, list[Problem]]:
        """The clip's files and release, or no release and the problems that stand in the way."""
        place = folder.relative_to(root).as_posix()
        files: dict[int, Path] = {}
        problems: list[Problem] = []
        for path in sorted(folder.iterdir()):
            number = self.frame_number(path.stem)
            if number is None or path.suffix.lower() not in FRAME_SUFFIXES:
                continue
            if number in files:
                reason = f"frame {number} comes twice, also as {files[number].name}"
                problems.append(Problem(f"{place}/{path.name}", reason))
            files[number] = path
        wanted = range(clip.onset, clip.offset + 1)
        missing = [number for number in wanted if number not in files]
        if missing:
            reason = f"{_numbers(missing)} of {clip.onset}..{clip.offset} missing"
            problems.append(Problem(place, reason))
        frames = tuple(files[number] for number in wanted if number in files)
        sizes = []
        for path in frames:
            try:
                sizes.append(check_frame(path))
            except ValueError as error:
                problems.append(Problem(f"{place}/{path.name}", str(error)))
        if len(set(sizes)) > 1:
            shown = ", ".join(f"{width}x{height}" for width, height in sorted(set(sizes)))
            problems.append(Problem(place, f"frames of several sizes: {shown}"))
        if problems:
            return (), None, problems
        return frames, self.release(frames[0].stem, *sizes[0]), []


def _folders(path: Path) -> Iterable[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _numbers(missing: list[int]) -> str:
    shown = ", ".join(str(number) for number in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"{'frame' if len(missing) == 1 else 'frames'} {shown}{more}"
