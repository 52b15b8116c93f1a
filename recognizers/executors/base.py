"""What executors have in common."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from mersynth.config import ConfigError

R = TypeVar("R")


class ExecutorError(Exception):
    """Calls could not be run: something could not be sent, or a worker died."""


class Executor(Protocol):
    """Runs calls of a function in parallel; a context manager.

    All executors give the same results for the same calls: randomness comes from seeds among a
    call's arguments, and every call has the same number of threads.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def at_once(self) -> int:
        """Number of calls that run at once; Ray's can change with its cluster.

        Raises:
            ExecutorError: if the executor is not entered.
        """

    def share(self, value: Any) -> Any:
        """Put a large value where every worker can read it, without a copy for each call.

        Its numpy arrays, in any containers and dataclasses, are shared by the workers of a machine
        and are **read-only**. ``torch.from_numpy`` warns about such arrays, so index a copy
        (``torch.from_numpy(array[rows])`` with an array of rows). Share numpy arrays: a torch
        tensor is copied by every worker.

        Args:
            value: anything that can be pickled.

        Returns:
            A stand-in to pass instead of the value, as an argument of a call. It is not replaced
            by the value when nested in another argument.

        Raises:
            ExecutorError: if the executor is not entered, or there is no room for the value.
        """

    def run(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        """Call a function with each tuple of arguments.

        An exception in a call reaches the caller with its own type, after the results that are
        ready. After it, on Ctrl-C, or when the iterator is closed, no further calls are handed to
        workers. What happens to calls already handed over depends on the executor.

        Args:
            function: at the top level of a module that can be imported.
            calls: the arguments of each call.

        Returns:
            (position of the call, its result), in the order in which calls end.

        Raises:
            ExecutorError: if the executor is not entered, something cannot be sent to or from a
                worker, or a worker died.
        """


def check_number(name: str, value: Any, low: float, whole: bool = True) -> None:
    """Raises ConfigError if a setting is not a number from ``low``."""
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value < float("inf"):
        kind = "whole number" if whole else "number"
        raise ConfigError(f"executor.{name} must be a {kind} from {low:g}, got {value!r}")


def available_cores() -> int:
    """Cores that this process may use, by its affinity and its container's limits."""
    import joblib

    return int(joblib.cpu_count())


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch's operations use that many threads each."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def logging_levels() -> dict[str, int]:
    """The levels set on loggers of this process; ``""`` is the root."""
    named = logging.Logger.manager.loggerDict.items()
    levels = {name: log.level for name, log in named if isinstance(log, logging.Logger)}
    return {"": logging.root.level, **{name: level for name, level in levels.items() if level}}


def apply_logging_levels(levels: dict[str, int]) -> None:
    """Set a worker's loggers to the levels of its parent's."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def portable(error: Exception) -> Exception:
    """The exception itself, if it can be pickled between processes; else one that names it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its constructor or attributes may raise anything
        text = "".join(traceback.format_exception(error))
        return ExecutorError(f"{type(error).__name__}: {error}; a worker raised it:\n{text}")
    return error
