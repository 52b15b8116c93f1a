"""The base class of all databases: a folder that is scanned for annotated clips."""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mersynth import paths
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.disk.files import real_path
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.frames import check_frame, read_frame
from mersynth.sources.media import files_of, left_out
from mersynth.threads import map_ahead

Release = Literal["raw", "cropped"]


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """A clip on disk.

    Attributes:
        clip: its annotation.
        frames: the files of its frames, from onset to offset.
        landmarks: (T, 68, 2) float32, (x, y) in pixels of the frames that :meth:`read` gives; NaN
            for frames without published landmarks; None if no frame has any.
        anyone: a photo that does not say whom it shows: each of several faces may be a person.
    """

    clip: Clip
    frames: tuple[Path, ...]
    landmarks: np.ndarray | None = None
    anyone: bool = False

    def read(self) -> Iterator[np.ndarray]:
        """The frames in order, each (H, W, 3) uint8, RGB."""
        return map_ahead(read_frame, self.frames)


@dataclass(frozen=True, slots=True)
class Scan:
    """The contents of a database's folder.

    Attributes:
        clips: the clips that can be stored, in the order of the annotations.
        problems: everything that is wrong; clips with a fatal problem are not in ``clips``.
        release: ``"raw"`` if the frames show more than the face, ``"cropped"`` if they show only
            the face; None if no clip can be stored.
    """

    clips: tuple[ClipFiles, ...]
    problems: tuple[Problem, ...]
    release: Release | None


class Source(ABC):
    """A database of annotated clips.

    A subclass draws the tree that it expects in its docstring, which error messages show.

    Attributes:
        name: name of the database for ``--source``.
        licence: what its licence allows.
        citation: the paper to cite.
        request: how to ask for it.
    """

    name: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    request: ClassVar[str]

    @property
    def home(self) -> str:
        """Name of the folder in ``$MERSYNTH_DATA`` or ``./data`` that holds the database.

        It is the source's own name, except for subsets of a database, which share one folder.
        """
        return self.name

    @property
    def tree(self) -> str:
        """The expected tree, to show to the user."""
        text = (inspect.getdoc(type(self)) or "").partition("\n\nArgs:")[0]
        return text.replace("::\n\n", "")

    @abstractmethod
    def find_annotations(self, root: Path) -> Path:
        """The annotation table in the database's root, or the folder that holds the annotations.

        Raises:
            SourceError: if it is missing, or there are several.
        """

    @abstractmethod
    def scan(self, root: Path) -> Scan:
        """Find the clips of the database, and everything that is wrong with its files.

        Every frame from onset to offset is decoded once, so that all clips returned can be stored.

        Args:
            root: the database's folder.

        Raises:
            SourceError: if the root or its required contents are missing.
        """

    def check_root(self, root: Path) -> None:
        """Raise a :class:`SourceError` that says where to put the database, if it is missing."""
        if not root.is_dir():
            raise SourceError(
                f"no folder {root} for {self.name}; name the database's folder with --root, or put "
                f"it in ${paths.DATA_VARIABLE}/{self.home} or ./data/{self.home}.\n\n{self.tree}"
            )


@dataclass(frozen=True, slots=True)
class CheckedFrames:
    """The frames of a clip, checked.

    Attributes:
        frames: the files from onset to offset; empty if there are problems.
        size: width and height in pixels, which all frames share; None if there are problems.
        problems: what is wrong; each is fatal to the clip.
    """

    frames: tuple[Path, ...]
    size: tuple[int, int] | None
    problems: tuple[Problem, ...]


def check_frames(clip: Clip, files: Mapping[int, Path], folder: Path, root: Path) -> CheckedFrames:
    """Decode the frames of a clip from onset to offset.

    Args:
        clip: the annotation.
        files: the clip's frame files, by frame number; those outside onset..offset are ignored.
        folder: the clip's folder, which problems name.
        root: the database's folder; a symbolic link must not lead out of it.
    """
    place = folder.relative_to(root).as_posix()
    problems: list[Problem] = []
    there = sorted(number for number in files if clip.onset <= number <= clip.offset)
    if missing := clip.num_frames - len(there):
        wanted = itertools.count(clip.onset)
        first = list(itertools.islice((n for n in wanted if n not in files), min(missing, 5)))
        more = f" and {missing - len(first)} more" if missing > len(first) else ""
        reason = f"{'frame' if missing == 1 else 'frames'} {listed(first)}{more}"
        problems.append(Problem(place, f"{reason} of {clip.onset}..{clip.offset} missing"))
    frames = tuple(files[number] for number in there)
    # A database has 100,000 frames or more; resolving each one's folders again would take minutes.
    outside = {parent: leads_out(parent, root) for parent in {path.parent for path in frames}}
    sizes = set()

    def check(path: Path) -> tuple[int, int] | Problem:
        try:
            if outside[path.parent] or (path.is_symlink() and leads_out(path, root)):
                raise ValueError("a symbolic link leads out of the database's folder; copy it here")
            return check_frame(path)
        except ValueError as error:
            return Problem(path.relative_to(root).as_posix(), str(error))

    for found in map_ahead(check, frames):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            sizes.add(found)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        problems.append(Problem(place, f"frames of several sizes: {shown}"))
    if problems:
        return CheckedFrames((), None, tuple(problems))
    return CheckedFrames(frames, sizes.pop(), ())


def frames_by_number(
    folder: Path, number_of: Callable[[str], int | None], root: Path
) -> tuple[dict[int, Path], list[Problem]]:
    """The frame images in a folder, by frame number.

    Args:
        folder: the clip's folder.
        number_of: from a file's name without extension to its frame number; None: not a frame.
        root: the database's folder.

    Returns:
        The files; and the problems: a number that occurs twice and, not fatal, files that are named
        like frames but are not images.
    """
    inside = files_of(folder)
    files: dict[int, Path] = {}
    problems: list[Problem] = []
    for path in inside.images:
        number = number_of(path.stem)
        if number is None:
            continue
        if number in files:
            reason = f"frame {number} occurs twice, also as {files[number].name}"
            problems.append(Problem(path.relative_to(root).as_posix(), reason))
        files[number] = path
    numbers = {path: number_of(path.stem) for path in (*inside.videos, *inside.others)}
    # A frame's annotations may lie beside it under the same name.
    false = [p for p, number in numbers.items() if number is not None and number not in files]
    return files, [*problems, *left_out(false, folder.relative_to(root).as_posix())]


def leads_out(path: Path, root: Path) -> bool:
    """Whether a symbolic link leads from a folder to a file outside it."""
    return not real_path(path).is_relative_to(real_path(root))


def folders(path: Path) -> list[Path]:
    """The folders within a folder, sorted; hidden ones are left out."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
