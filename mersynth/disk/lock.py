"""Locks that allow one writer per output; a second writer is told who holds it.

The lock of ``stores/samm`` is the file ``stores/.samm.lock``, locked by the operating system, which
unlocks it when the process ends, however it ends. The file is removed when the lock is released;
one left behind by a killed process locks nothing.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from mersynth.disk.json_files import decoded
from mersynth.disk.partial import short_name

logger = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of some network file systems
_LONGEST = 300  # characters of a command that are shown
_INFO = 1  # byte at which the holder's card begins: Windows hides the locked first


class InUseError(Exception):
    """Another process is writing this output; the message says which."""


class _Held(threading.local):
    """The outputs that this thread holds, each with its process: a forked child holds none."""

    def __init__(self) -> None:
        self.outputs: set[tuple[int, Path]] = set()


_held = _Held()


@contextmanager
def hold(output: str | Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes and threads from writing an output; a thread may nest calls.

    Take the lock before the first look at the output, and hold it until the output is in place.

    Args:
        output: the file or folder that will be written; it need not exist.
        wait: wait for the holder instead of raising.

    Raises:
        InUseError: if another process or thread holds it; names its command, process, host and
            start.

    Example:
        >>> with hold("stores/samm"):       # doctest: +SKIP
        ...     write("stores/samm")
    """
    if os.path.islink(output) and not os.path.exists(output):
        raise OSError(f"{output} is a link that leads nowhere; remove it, or choose another --out")
    path = Path(os.path.realpath(output))
    key = (os.getpid(), path)
    if key in _held.outputs:
        yield
        return
    made = [folder for folder in path.parents if not folder.exists()]
    file = path.with_name(f".{short_name(path.name)}.lock")
    descriptor = _take(file, output, wait)
    _held.outputs.add(key)
    try:
        yield
    finally:
        _held.outputs.discard(key)
        if descriptor is not None:
            _give_back(file, descriptor)
        _remove_empty(made)


def _take(file: Path, output: str | Path, wait: bool) -> int | None:
    """The locked file; None where the file system has no locks."""
    patience = 40  # attempts to read a card that its holder is about to write, or to make the file
    reported = False
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"{output} cannot be written, since {file.parent} cannot be a folder "
                f"({error.strerror}); choose another --out"
            ) from error
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            # The last holder may have removed the folder, which was empty; some take no files.
            if isinstance(error, FileNotFoundError) and patience:
                patience -= 1
                continue
            raise OSError(
                f"{output} cannot be written, since {file.parent} takes no new files "
                f"({error.strerror}); choose another --out"
            ) from error
        try:
            locked = lock_descriptor(descriptor, blocking=False)
            if locked and _is_at(file, descriptor):
                _write_card(descriptor)
                return descriptor
            holder = None if locked else _read_card(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            file.unlink(missing_ok=True)
            logger.warning(
                "%s lies on a file system without locks (%s): nothing keeps another command from "
                "writing it at the same time",
                output,
                error.strerror,
            )
            return None
        os.close(descriptor)
        if locked:  # its holder removed it after we opened it and before we locked it
            continue
        if holder is None and patience:
            patience -= 1
            time.sleep(0.02)
        elif not wait:
            raise InUseError(
                f"{output} is being written by {holder or 'another process'}; wait until that "
                "ends, or choose another --out"
            )
        else:
            if not reported:
                logger.info("waiting for %s, which is being written by %s", output, holder)
                reported = True
            time.sleep(0.2)


def _is_at(file: Path, descriptor: int) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_card(descriptor: int) -> None:
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    command = shlex.join([name, *sys.argv[1:]])
    if len(command) > _LONGEST:
        command = f"{command[:_LONGEST]} ..."
    card = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, _INFO, os.SEEK_SET)
    with suppress(OSError):  # on a full disk writing the output fails too, with a better message
        os.write(descriptor, json.dumps(card).encode())


def _read_card(descriptor: int) -> str | None:
    """Who holds a lock, in words; None if that is not written yet."""
    os.lseek(descriptor, _INFO, os.SEEK_SET)
    try:
        card = decoded(os.read(descriptor, 1 << 16))
        return f"`{card['command']}` (pid {card['pid']} on {card['host']}, since {card['since']})"
    except (ValueError, KeyError, TypeError):
        return None


def _give_back(file: Path, descriptor: int) -> None:
    if os.name == "nt":  # a file that we or the next holder have open cannot be removed
        os.close(descriptor)
        with suppress(OSError):
            file.unlink()
        return
    # Remove it while it is locked: afterwards it may belong to the next holder.
    file.unlink(missing_ok=True)
    unlock_descriptor(descriptor)
    os.close(descriptor)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were created for the lock, innermost first, if they are still empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
