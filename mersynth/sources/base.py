"""What every database has in common: a folder that is scanned for annotated clips."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mersynth import paths
from mersynth.checks import listed
from mersynth.clips import Clip
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.frames import check_frame, read_frame
from mersynth.sources.media import files_of, left_out

Release = Literal["raw", "cropped"]


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """A clip on disk.

    Attributes:
        clip: its annotation.
        frames: the files of its frames, from onset to offset.
        landmarks: (T, 68, 2) float32, (x, y) in pixels of the frames that :meth:`read` gives, NaN
            where the database publishes none of a frame; None where it publishes none at all.
    """

    clip: Clip
    frames: tuple[Path, ...]
    landmarks: np.ndarray | None = None

    def read(self) -> Iterator[np.ndarray]:
        """The frames in their order, each (H, W, 3) uint8, RGB."""
        return (read_frame(path) for path in self.frames)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a database's folder holds.

    Attributes:
        clips: the clips that can be stored, in the order of the annotations.
        problems: all that is wrong; clips with a fatal problem are not among ``clips``.
        release: whether its frames show more than the face (raw) or were cut out (cropped); None if
            no clip can be stored.
    """

    clips: tuple[ClipFiles, ...]
    problems: tuple[Problem, ...]
    release: Release | None


class Source(ABC):
    """A database of annotated clips.

    A subclass draws the tree that it expects in its docstring, which errors show.

    Attributes:
        name: name of the database, as ``--source`` takes it.
        licence: what its licence lets one do.
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

        It is the source's own name, but for the subsets of a database, which share one folder.
        """
        return self.name

    @property
    def tree(self) -> str:
        """The tree that is expected, as a user should lay it out."""
        text = (inspect.getdoc(type(self)) or "").partition("\n\nArgs:")[0]
        return text.replace("::\n\n", "")

    @abstractmethod
    def find_annotations(self, root: Path) -> Path:
        """The annotation table in the database's root, or the folder that holds the annotations.

        Raises:
            SourceError: if it is not there, or is there more than once.
        """

    @abstractmethod
    def scan(self, root: Path) -> Scan:
        """Find the clips of the database, and all that is wrong with its files.

        Every frame from onset to offset is decoded once, so that what the scan calls good can be
        stored.

        Args:
            root: the database's folder.

        Raises:
            SourceError: if the root or what it must hold is not there.
        """

    def check_root(self, root: Path) -> None:
        """Raise a :class:`SourceError` that tells where to put the database, if it is not there."""
        if not root.is_dir():
            raise SourceError(
                f"no folder {root} for {self.name}; name the database's folder with --root, or put "
                f"it in ${paths.DATA_VARIABLE}/{self.home} or ./data/{self.home}.\n\n{self.tree}"
            )


@dataclass(frozen=True, slots=True)
class CheckedFrames:
    """The frames of a clip, looked at.

    Attributes:
        frames: the files from onset to offset; empty if there are problems.
        size: width and height in pixels, which all frames share; None if there are problems.
        problems: what is wrong; each of them costs the clip.
    """

    frames: tuple[Path, ...]
    size: tuple[int, int] | None
    problems: tuple[Problem, ...]


def check_frames(clip: Clip, files: Mapping[int, Path], folder: Path, root: Path) -> CheckedFrames:
    """Decode the frames of a clip from onset to offset.

    Args:
        clip: the annotation.
        files: the clip's frame files, by frame number; others than onset..offset are left alone.
        folder: the clip's folder, which problems name.
        root: the database's folder; a symbolic link must not lead out of it.
    """
    place = folder.relative_to(root).as_posix()
    problems: list[Problem] = []
    wanted = range(clip.onset, clip.offset + 1)
    missing = [number for number in wanted if number not in files]
    if missing:
        reason = f"{_numbers(missing)} of {clip.onset}..{clip.offset} missing"
        problems.append(Problem(place, reason))
    frames = tuple(files[number] for number in wanted if number in files)
    # A database has 100,000 frames and more; to follow each one's folders anew would take minutes.
    outside = {parent: leads_out(parent, root) for parent in {path.parent for path in frames}}
    sizes = set()
    for path in frames:
        try:
            if outside[path.parent] or (path.is_symlink() and leads_out(path, root)):
                raise ValueError("a symbolic link leads out of the database's folder; copy it here")
            sizes.add(check_frame(path))
        except ValueError as error:
            problems.append(Problem(path.relative_to(root).as_posix(), str(error)))
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        problems.append(Problem(place, f"frames of several sizes: {shown}"))
    if problems:
        return CheckedFrames((), None, tuple(problems))
    return CheckedFrames(frames, sizes.pop(), ())


def frames_by_number(
    folder: Path, number_of: Callable[[str], int | None], root: Path
) -> tuple[dict[int, Path], list[Problem]]:
    """The images of a folder that hold a frame, by its number.

    Args:
        folder: the clip's folder.
        number_of: from a file's name without its ending to the frame's number; None: it holds none.
        root: the database's folder.

    Returns:
        The files; and the problems: a number that comes twice, and, which costs no clip, files that
        are named as frames and are not images.
    """
    inside = files_of(folder)
    files: dict[int, Path] = {}
    problems: list[Problem] = []
    for path in inside.images:
        number = number_of(path.stem)
        if number is None:
            continue
        if number in files:
            reason = f"frame {number} comes twice, also as {files[number].name}"
            problems.append(Problem(path.relative_to(root).as_posix(), reason))
        files[number] = path
    numbers = {path: number_of(path.stem) for path in (*inside.videos, *inside.others)}
    # A frame's annotations may lie beside it, called alike.
    false = [p for p, number in numbers.items() if number is not None and number not in files]
    return files, [*problems, *left_out(false, folder.relative_to(root).as_posix())]


def leads_out(path: Path, root: Path) -> bool:
    """Whether a symbolic link makes a file of a folder lie outside of it."""
    return not path.resolve().is_relative_to(root.resolve())


def folders(path: Path) -> list[Path]:
    """The folders within a folder, sorted; hidden ones are left out."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _numbers(missing: list[int]) -> str:
    return f"{'frame' if len(missing) == 1 else 'frames'} {listed(missing, 5)}"
