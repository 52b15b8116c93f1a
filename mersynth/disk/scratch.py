"""Temporary folders that do not outlive a killed process for long.

``mersynth-scratch-<random>`` lies in the system's temporary folder (``TMPDIR``) and is held by its
process (:mod:`mersynth.disk.lock`). Whoever makes one first removes those whose holders have ended
without removing them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mersynth.disk.lock import InUseError, hold

_PREFIX = "mersynth-scratch-"
_own: set[Path] = set()  # this process could take a second hold of them


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that only this user can read, removed at the end.

    Raises:
        OSError: if there is no room for it.
    """
    place = Path(os.path.realpath(tempfile.gettempdir()))
    _remove_left_behind(place)
    folder = place / f"{_PREFIX}{secrets.token_hex(8)}"
    _own.add(folder)
    try:
        with hold(folder):
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _own.discard(folder)


def _remove_left_behind(place: Path) -> None:
    # A folder is held before it exists, so that one with a free lock has lost its process.
    for lock in place.glob(f".{_PREFIX}*.lock"):
        folder = place / lock.name.removeprefix(".").removesuffix(".lock")
        if folder not in _own and _is_ours(lock):
            with suppress(InUseError, OSError), hold(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(lock: Path) -> bool:
    """Whether it is a file of this user, and no link that others have laid."""
    try:
        found = lock.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (os.name == "nt" or found.st_uid == os.getuid())
