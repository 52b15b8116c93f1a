"""A database whose clips are folders of frames, listed in an annotation table in its root."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from mersynth import logs
from mersynth.clips import Clip, Strength
from mersynth.sources.base import (
    ClipFiles,
    Release,
    Scan,
    Source,
    check_frames,
    folders,
    frames_by_number,
)
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.sheets import find_tables
from mersynth.sources.table import COLUMNS, Row, TableFormat, read_annotations


class TableSource(Source):
    """A database with a tree ``subject/clip/frames`` beside an annotation table.

    Attributes:
        fps: frames per second.
        table_pattern: name of the annotation table, as a glob that ends in .xlsx; the table may
            also have another extension that can be read (``sheets.TABLE_SUFFIXES``).
        subject_pattern: names of the subjects' folders.
        columns: the table's columns, by their meaning; see ``table.COLUMNS``.
        optional: columns that the table may lack.
        sheet: title of the sheet to read, if the table has one with that title.
        strength: strength of the expressions.
        spellings: other spellings of labels in the table, in lower case, by native label.
        clip_source: the ``source`` of the clips, shared by sources that show the same people, so
            that their subjects are known to be the same. The source's own name if empty.
    """

    fps: ClassVar[float]
    table_pattern: ClassVar[str]
    subject_pattern: ClassVar[re.Pattern[str]]
    columns: ClassVar[dict[str, str]] = COLUMNS
    optional: ClassVar[Mapping[str, str]] = {}
    sheet: ClassVar[str] = ""
    strength: ClassVar[Strength] = "micro"
    spellings: ClassVar[Mapping[str, str]] = {}
    clip_source: ClassVar[str] = ""

    @abstractmethod
    def subject_folder(self, subject: str) -> str:
        """Name of a subject's folder, from the subject as the table writes it."""

    @abstractmethod
    def frame_number(self, file: str) -> int | None:
        """A file's frame number, from its name without extension; None: not a frame."""

    @abstractmethod
    def release(self, file: str, width: int, height: int) -> Release:
        """The release that a frame belongs to, by its file's name and its size in pixels."""

    def clip_name(self, file: str, onset: int | None) -> str:
        """Name of the clip, from the file name in the table and the onset (None: no number)."""
        return file

    def tables(self, root: Path) -> list[Path]:
        """The candidates for the annotation table; there should be only one."""
        return find_tables(root, self.table_pattern)

    def find_annotations(self, root: Path) -> Path:
        """The annotation table in the database's root.

        Raises:
            SourceError: if there is none, or more than one.
        """
        tables = self.tables(root)
        if not tables:
            others = sorted(root.glob(self.table_pattern.replace(".xlsx", ".*")))
            found = f" ({others[0].name} is not one: save it as .xlsx or .csv)" if others else ""
            raise SourceError(
                f"no annotation table {self.table_pattern} in {root}{found}; it comes with "
                f"{self.name}: put it there.\n\n{self.tree}"
            )
        if len(tables) > 1:
            names = ", ".join(table.name for table in tables)
            raise SourceError(f"{root} holds several annotation tables ({names}); keep one of them")
        return tables[0]

    def read_annotations(self, table: Path) -> tuple[list[Row], list[Problem]]:
        """The rows of an annotation table of this database; see ``table.read_annotations``."""
        form = TableFormat(
            source=self.clip_source or self.name,
            fps=self.fps,
            strength=self.strength,
            subject_folder=self.subject_folder,
            columns=self.columns,
            optional=self.optional,
            sheet=self.sheet,
            clip_name=self.clip_name,
            spellings=self.spellings,
        )
        return read_annotations(table, form)

    def rows(self, root: Path) -> tuple[list[Row], list[Problem]]:
        """The annotations of all clips of the database.

        Raises:
            SourceError: see :meth:`find_annotations` and ``table.read_annotations``.
        """
        return self.read_annotations(self.find_annotations(root))

    def clip_folders(self, root: Path) -> dict[tuple[str, str], Path]:
        """The clips' folders, by the names of subject and clip.

        Raises:
            SourceError: if there is no subject's folder.
        """
        subjects = [path for path in folders(root) if self.subject_pattern.fullmatch(path.name)]
        if not subjects:
            raise SourceError(f"{root} holds no subject's folder.\n\n{self.tree}")
        return {
            (subject.name, clip.name): clip for subject in subjects for clip in folders(subject)
        }

    def row_folders(self, root: Path, rows: Sequence[Row]) -> dict[tuple[str, str], Path]:
        """The clips' folders, where they depend on the rows of the table; else all of them.

        Raises:
            SourceError: see :meth:`clip_folders`.
        """
        return self.clip_folders(root)

    def scan(self, root: Path) -> Scan:
        """Find the clips; see :meth:`Source.scan`.

        Frames outside onset..offset, which the raw releases hold, are ignored.

        Raises:
            SourceError: if the root, its annotation table or its subjects' folders are missing, no
                row of the table has a folder, or raw and cropped clips are mixed.
        """
        self.check_root(root)
        rows, problems = self.rows(root)
        places = self.row_folders(root, rows)
        if places and rows and not any((row.subject, row.name) in places for row in rows):
            row, (subject, name) = rows[0], min(places)
            raise SourceError(
                f"no clip of the annotation table (for instance {row.subject}/{row.name}) has a "
                f"folder in {root} (for instance {subject}/{name}); is it the table of another "
                "database?"
            )
        clips: list[ClipFiles] = []
        releases: dict[Release, str] = {}
        with logs.progress(f"checking {self.name}", total=len(rows), unit="clips") as advance:
            for row in rows:
                advance(1)
                folder = places.pop((row.subject, row.name), None)
                if folder is None:
                    reason = "the clip is in the annotation table, but not in the tree"
                    problems.append(Problem(f"{row.subject}/{row.name}", reason, row.number))
                elif row.clip is not None:
                    files, release, found = self._check_clip(row.clip, folder, root)
                    problems += found
                    if release is not None:
                        clips.append(files)
                        releases.setdefault(release, row.clip.id)
        if len(releases) > 1:
            examples = ", ".join(f"{clip} is {release}" for release, clip in releases.items())
            raise SourceError(f"{root} mixes two releases ({examples}); keep each in its own root")
        for subject, name in sorted(places):
            reason = "the clip is in the tree, but not in the annotation table"
            problems.append(Problem(f"{subject}/{name}", reason))
        return Scan(tuple(clips), tuple(problems), next(iter(releases), None))

    def _check_clip(
        self, clip: Clip, folder: Path, root: Path
    ) -> tuple[ClipFiles, Release | None, list[Problem]]:
        """The clip's files and release (None if it cannot be stored), and the problems."""
        files, problems = frames_by_number(folder, self.frame_number, root)
        checked = check_frames(clip, files, folder, root)
        problems += checked.problems
        if any(problem.fatal for problem in problems) or checked.size is None:
            return ClipFiles(clip, ()), None, problems
        release = self.release(checked.frames[0].stem, *checked.size)
        return self.clip_files(clip, checked.frames), release, problems

    def clip_files(self, clip: Clip, frames: tuple[Path, ...]) -> ClipFiles:
        """The clip with its frame files, in the class that reads them."""
        return ClipFiles(clip, frames)
