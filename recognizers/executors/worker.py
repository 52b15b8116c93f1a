"""What runs in the processes of :class:`recognizers.executors.local.LocalExecutor`."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from recognizers.executors.base import ExecutorError, apply_logging_levels, portable

BROKEN_OFF = 75
"""Exit status of a worker that its parent ended during a call."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A stand-in for a value that is stored in a file."""

    path: Path

    def load(self) -> Any:
        """The value, its arrays mapped from the file, so that processes share the memory."""
        import joblib

        return joblib.load(self.path, mmap_mode="r")


# A worker maps each value once. Not used in the parent, where the mapping would outlive the file.
_load_once = functools.cache(Shared.load)


@dataclass(frozen=True, slots=True)
class Reports:
    """A pipe to the parent: log records, and (process id, position) of a call that begins."""

    pipe: Connection
    lock: AbstractContextManager[Any]  # of all workers: long reports are written in parts

    def put_nowait(self, report: logging.LogRecord | tuple[int, int]) -> None:
        """Send a report; QueueHandler expects this method of a queue."""
        with self.lock:
            self.pipe.send(report)


_reports: Reports
_threads = 1
_calling = False
_calling_lock = threading.Lock()


def start(reports: Reports, lifeline: Connection, levels: dict[str, int], threads: int) -> None:
    """Prepare a process that has just started.

    Args:
        reports: where log records go.
        lifeline: closed when this process is to end; nothing is ever sent over it.
        levels: of loggers, see ``logging_levels``.
        threads: threads of torch's operations, see ``call``.
    """
    global _reports, _threads
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its workers
    _reports, _threads = reports, threads
    queue: Any = reports  # QueueHandler only calls put_nowait
    logging.root.addHandler(QueueHandler(queue))
    apply_logging_levels(levels)
    threading.Thread(target=_exit_at_the_end_of, args=(lifeline,), daemon=True).start()


def _exit_at_the_end_of(lifeline: Connection) -> None:
    """End the process during a call when the parent asks for it, or has died.

    A process killed while it sends a result would leave the parent waiting for the rest, so
    between calls a worker of a living parent ends with its pool instead.
    """
    parent = multiprocessing.parent_process()
    with suppress(EOFError, OSError):
        lifeline.recv()
    while True:
        with _calling_lock:
            if _calling or parent is None or not parent.is_alive():
                os._exit(BROKEN_OFF)
        time.sleep(0.05)


def _set_calling(value: bool) -> None:
    global _calling
    with _calling_lock:
        _calling = value


def call(position: int, payload: bytes) -> bytes:
    """Make a call.

    If the function's module imports torch, torch's operations use the requested threads, even more
    than there are cores, to which torch limits ``OMP_NUM_THREADS``. Other functions do not spend
    seconds on importing torch.

    Args:
        position: of the call.
        payload: the function and its arguments, pickled. They are unpickled here, since a failure
            to do so in the pool would break it.

    Returns:
        The result, pickled likewise.
    """
    _set_calling(True)
    try:
        _reports.put_nowait((os.getpid(), position))
        function, arguments = _read(payload)
        values = [_load_once(a) if isinstance(a, Shared) else a for a in arguments]
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(_threads)
        return _write(function(*values))
    except Exception as error:
        safe = portable(error)
        if safe is error:
            raise
        raise safe from None
    finally:
        _set_calling(False)


def _read(payload: bytes) -> Any:
    try:
        return pickle.loads(payload)
    except (AttributeError, ImportError) as error:
        raise ExecutorError(
            f"a worker cannot import what it needs ({error}): functions and classes must be at the "
            "top level of a module that can be imported, not in a notebook or in a program read "
            "from standard input"
        ) from error


def _write(result: Any) -> bytes:
    try:
        return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ExecutorError(
            f"a result of type {type(result).__name__} cannot be sent from a worker: {error}"
        ) from error
