"""Arrays in files whose disk space is reserved before anything is written to them.

Writing to a memory-mapped file without reserved space ends the process (SIGBUS) when the disk is
full, and no Python code can say why.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from mersynth.disk.files import check_regular
from mersynth.disk.full_disk import FULL, NoSpaceError, no_space

_BLOCK = 1 << 24  # bytes written at once


def new_array(path: Path, kind: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """Create an ``.npy`` file, memory-mapped for writing, with its disk space reserved.

    Args:
        path: the file.
        kind: type of the values.
        shape: of the array.

    Raises:
        NoSpaceError: if the disk is too full; the file is removed.
    """
    try:
        array = np.lib.format.open_memmap(path, "w+", kind, shape)
        size = path.stat().st_size
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in FULL:
            size = int(np.dtype(kind).itemsize * np.prod(shape, dtype=np.int64))
            raise NoSpaceError(no_space(path, error, size)) from error
        raise
    try:
        claim(path)
    except OSError:
        del array
        path.unlink(missing_ok=True)
        raise
    return array


def mapped(path: Path) -> np.ndarray:
    """An existing ``.npy`` file as an array, memory-mapped and read-only.

    Raises:
        ValueError: if it cannot be read, or claims more than it holds.
    """
    try:
        check_regular(path)
        array: np.ndarray = np.load(path, mmap_mode="r")
        return array
    except (OSError, EOFError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error


class RowFile:
    """An existing ``.npy`` file to write rows into; disk space that it lacks is reserved.

    Pages of a memory map count as the process's own memory until they are on the disk; what is
    written here does not.

    Args:
        path: the file.

    Attributes:
        shape: of the array.

    Raises:
        NoSpaceError: if the disk is too full; the file is left alone.
    """

    def __init__(self, path: Path) -> None:
        claim(path)
        array = np.lib.format.open_memmap(path, "r+")
        self.shape, self._kind, self._begin = array.shape, array.dtype, array.offset
        self._row = array[:1].nbytes
        self._file = path.open("r+b")

    def write(self, first: int, rows: np.ndarray) -> None:
        """Write rows (n, ...) from the row ``first`` on."""
        self._file.seek(self._begin + first * self._row)
        at_once = max(1, _BLOCK // self._row)
        for start in range(0, len(rows), at_once):
            self._file.write(np.ascontiguousarray(rows[start : start + at_once], self._kind).data)

    def flush(self) -> None:
        """Bring what was written onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def claim(path: Path) -> None:
    """Reserve the disk space of an existing file, where the platform can (``posix_fallocate``).

    Raises:
        NoSpaceError: if the disk is too full.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            elif size > shutil.disk_usage(path).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if error.errno in FULL:
                raise NoSpaceError(no_space(path, error, size)) from error
            raise
