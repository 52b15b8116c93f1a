"""Which files are images and which are videos, decided in the same way for every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

from mersynth.checks import listed
from mersynth.sources.errors import Problem

Kind = Literal["image", "video", "system", "other"]

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".avi", ".divx", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m2v",
    ".vob", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mts", ".m2ts", ".ts", ".mxf",
    ".mjpg", ".mjpeg", ".y4m",
))  # fmt: skip
"""Extensions of videos, in lower case; OpenCV decides whether one can be read."""

RAW_SUFFIXES = frozenset((
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
))  # fmt: skip
"""Extensions of cameras' raw files. They are not read, because Pillow finds only a preview in them,
often a tiny one."""

# Images that Pillow may not be able to read. They are reported as images, with the reason.
_FURTHER_SUFFIXES = frozenset((".heic", ".heif", ".hif", ".avif", ".jxl"))
# Pillow recognises these formats but cannot read their pixels, or they are not photos.
_NO_PHOTOS = frozenset(("BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS"))
# Whatever their extension: these formats are reliably recognised by their first bytes.
_TOLD_BY_CONTENT = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")
_SYSTEM_NAMES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a folder, sorted by name, without those that operating systems leave behind.

    Attributes:
        images: images, whether or not they can be read.
        videos: videos, likewise.
        others: files that are neither.
    """

    images: tuple[Path, ...]
    videos: tuple[Path, ...]
    others: tuple[Path, ...]


def kind_of(path: Path) -> Kind:
    """What a file is: by its extension, in any case, or else by its content.

    ``system`` are files that operating systems leave behind: hidden files (``._ada.jpg``,
    ``.DS_Store``), ``Thumbs.db``, ``desktop.ini``.
    """
    if path.name.startswith(".") or path.name.lower() in _SYSTEM_NAMES:
        return "system"
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in _image_suffixes() or _holds_image(path) else "other"


def files_of(folder: Path) -> FolderFiles:
    """The files of a folder, without those in subfolders."""
    found: dict[Kind, list[Path]] = {"image": [], "video": [], "system": [], "other": []}
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            found[kind_of(path)].append(path)
    return FolderFiles(tuple(found["image"]), tuple(found["video"]), tuple(found["other"]))


def left_out(files: Sequence[Path], place: str, wanted: str = "images") -> list[Problem]:
    """One problem that lists the files of a folder that are left out; none without such files.

    Args:
        files: the files.
        place: the folder, relative to the database's root.
        wanted: what was expected instead.
    """
    if not files:
        return []
    names = listed([file.name for file in files], 5)
    return [Problem(place, f"left out, not {wanted}: {names}", fatal=False)]


@cache
def _image_suffixes() -> frozenset[str]:
    registered = Image.registered_extensions().items()
    read = {s for s, name in registered if name in Image.OPEN and name not in _NO_PHOTOS}
    return RAW_SUFFIXES | _FURTHER_SUFFIXES | read


def _holds_image(path: Path) -> bool:
    if not path.is_file():  # a FIFO would be waited for
        return False
    try:
        with Image.open(path, formats=_TOLD_BY_CONTENT):
            return True
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
