"""Log lines and progress bars of the command line, both on standard error."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

logger = logging.getLogger(__name__)

# One console for both: a log line written while a bar is shown appears above the bar.
console = Console(stderr=True)

# Without a terminal a bar would be noise, and no output would look like a hang.
_SECONDS_BETWEEN_LINES = 30.0
_PACKAGES = "mersynth", "recognizers"


def set_up(debug: bool = False) -> None:
    """Send log lines to standard error. Only the command line calls this, never a library.

    Args:
        debug: also show the debug lines of this project.
    """
    place = "  (%(name)s:%(lineno)d)" if debug else ""
    handler = _Handler()
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-8s %(message)s{place}", "%X"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Of the processes that torchrun starts, the first speaks for all.
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(logging.DEBUG if debug else level)


class _Handler(logging.Handler):
    """Prints records on the console, unwrapped, so that commands and paths can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        style = {logging.WARNING: "yellow"}.get(record.levelno)
        style = "red" if record.levelno > logging.WARNING else style
        try:
            console.print(self.format(record), style=style, markup=False, soft_wrap=True)
        except Exception:  # as logging's own handlers: it is shown, and the work goes on
            self.handleError(record)


@contextmanager
def warnings_only() -> Iterator[None]:
    """Keep quiet of what succeeds, where one step of long work is a command of its own."""
    before = {name: logging.getLogger(name).level for name in _PACKAGES}
    try:
        for name in _PACKAGES:
            logging.getLogger(name).setLevel(logging.WARNING)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show the progress of long work: a bar on a terminal, else a log line now and then.

    The last line logged gives the rate, for instance ``rendering: 2400 frames in 13.2 s
    (181.8 frames/s)``.

    Args:
        description: what is being done, for instance ``"rendering"``.
        total: number of units in all.
        unit: the unit's name in the plural, for instance ``"frames"``.

    Yields:
        A function to call with the number of units done since the last call.

    Example:
        >>> with progress("reading", total=2, unit="clips") as advance:
        ...     for _ in range(2):
        ...         advance(1)
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    start = last_line = time.monotonic()
    done = 0
    shown = console.is_terminal and logger.isEnabledFor(logging.INFO)
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(description, total=total)

        def advance(count: int) -> None:
            nonlocal done, last_line
            done += count
            bar.advance(task, count)
            now = time.monotonic()
            if bar.disable and now - last_line > _SECONDS_BETWEEN_LINES:
                last_line = now
                logger.info("%s: %d of %d %s", description, done, total, unit)

        yield advance
    seconds = time.monotonic() - start
    rate = done / seconds if seconds else 0.0
    logger.info("%s: %d %s in %.1f s (%.1f %s/s)", description, done, unit, seconds, rate, unit)


def exit_code(error: Exception) -> int:
    """How a command ends that raised a message (:func:`is_message`).

    2 if the request is wrong, as for an unknown option: an argument or a config value that no data
    could make right; 1 if the work failed.
    """
    from mersynth.config import ConfigError

    return 2 if isinstance(error, ConfigError) or type(error) is ValueError else 1


def is_message(error: Exception) -> bool:
    """Whether an error is a message to the user, not a bug in the code."""
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _PACKAGES:
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return isinstance(error, ValueError) and raised_in.split(".")[0] in _PACKAGES
