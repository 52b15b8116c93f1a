"""What is said when a disk is full, whichever library was writing."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mersynth.disk.partial import place_of

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors of a disk without room."""

_IN_RUST = re.compile(r"(?:\(os error |\bOs \{ code: )(\d+)\b")


class NoSpaceError(OSError):
    """A disk has no room for a file; the message says for which."""


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Say which output found no room, where the library that wrote it does not.

    Args:
        path: the output.

    Raises:
        NoSpaceError: if what is written in the block fails for lack of room.
    """
    try:
        yield
    except NoSpaceError:
        raise
    except Exception as error:
        if _number(error) not in FULL:
            raise
        raise NoSpaceError(no_space(path, error)) from error


def no_space(path: Path, error: Exception, size: int | None = None) -> str:
    """That a file found no room, in words; ``size``, in bytes, if it is known."""
    free = _free(path)
    needs = "" if size is None else f"it needs {_shown(size)} ({size} bytes), and "
    # Where more is free than a file needs, a quota or the file system's limit forbids it.
    allowed = size is not None and free >= size
    why = str(getattr(error, "strerror", error)).lower() if allowed else f"{_shown(free)} are free"
    return (
        f"no space for {place_of(path)}: {needs}{why}; free space there, or choose an --out on "
        "another disk"
    )


def _number(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust give it in words."""
    if isinstance(error, OSError):
        return error.errno
    found = _IN_RUST.search(str(error))
    return int(found[1]) if found else None


def free_space(path: Path) -> str:
    """The room where a file is or would be, in words."""
    return _shown(_free(path))


def _free(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return shutil.disk_usage(folder).free


def _shown(size: int) -> str:
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
