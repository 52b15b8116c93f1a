"""Whether files match their checksums; files are hashed once and the result is remembered.

A result holds as long as a file keeps its size, its modification and change times, and its inode; a
copied, changed or restored file is hashed again. Results are kept beside the files, in
``.verified.json``; if that folder cannot be written, in the user's cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mersynth import logs, paths
from mersynth.disk.files import sha256_of_file, write_json_atomically
from mersynth.disk.json_files import read_json

logger = logging.getLogger(__name__)

VERDICTS = ".verified.json"
_LONG = 500_000_000  # bytes: hashing more shows its progress
_MIB = 1 << 20

Seal = dict[str, Any]
"""A file's SHA-256, and what shows that it has not changed since: size, times, inode."""


class DamagedError(Exception):
    """A file is missing, or does not match its checksum."""


def check_files(folder: Path, expected: Mapping[str, str], again: bool = False) -> dict[str, Seal]:
    """Compare files with their checksums, except those remembered as correct.

    Args:
        folder: where the files are.
        expected: SHA-256 of each file, by its name.
        again: hash all of them, even if remembered.

    Returns:
        The seals of those that were hashed, for :func:`remember`.

    Raises:
        DamagedError: if a file is missing or damaged.
    """
    for name in expected:
        if not (folder / name).is_file():
            raise DamagedError(f"{folder / name} is missing")
    known = {} if again else _remembered(folder)
    doubtful = [n for n, sha256 in expected.items() if known.get(n, {}).get("sha256") != sha256]
    if not doubtful:
        return {}
    seals = hash_files(folder, doubtful)
    for name in doubtful:
        found = seals[name]["sha256"]
        if found != expected[name]:
            raise DamagedError(
                f"{folder / name} is damaged: its SHA-256 is {found[:12]}..., and was "
                f"{expected[name][:12]}... when it was written"
            )
    return seals


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, Seal]:
    """Hash files; the seal of each by its name, for :func:`remember`."""
    chosen = list(names)
    total = sum((folder / name).stat().st_size for name in chosen)
    seals = {}
    with _shown("computing SHA-256", total) as advance:
        for name in chosen:
            before = _seal(folder / name, "")  # first, so that a change is noticed
            seals[name] = before | {"sha256": sha256_of_file(folder / name, advance)}
    return seals


def remember(folder: Path, seals: Mapping[str, Seal]) -> None:
    """Keep the results, so that these files are not hashed again."""
    kept = _remembered(folder)
    error: OSError | None = None
    for place in _places(folder):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomically(place, kept | dict(seals))
            return
        except OSError as problem:
            error = problem
    logger.warning(
        "cannot record that the files of %s match their checksums (%s): they are hashed each time; "
        "set XDG_CACHE_HOME to a writable folder",
        folder,
        error,
    )


def _remembered(folder: Path) -> dict[str, Seal]:
    """The results that still hold.

    A file that changed while its result was being recorded may show the same times, because the
    clock ticks only every few milliseconds: a result counts only if it is newer than its file.
    """
    known: dict[str, Seal] = {}
    for place in _places(folder):
        with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            noted = place.stat().st_mtime_ns
            for name, seal in read_json(place).items():
                file = folder / name
                if file.is_file() and _seal(file, seal["sha256"]) == seal and _age(seal) < noted:
                    known[name] = seal
    return known


def _age(seal: Seal) -> int:
    return max(seal["mtime_ns"], seal["ctime_ns"])


def _seal(file: Path, sha256: str) -> Seal:
    stat = file.stat()
    return {
        "sha256": sha256,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }


def _places(folder: Path) -> tuple[Path, Path]:
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:32]
    return folder / VERDICTS, paths.cache_path() / "verified" / f"{name}.json"


@contextmanager
def _shown(description: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Progress in MiB, shown for large files only."""
    if total < _LONG:
        yield None
        return
    with logs.progress(description, total // _MIB, "MiB") as advance:
        yield lambda count: advance(count // _MIB)
