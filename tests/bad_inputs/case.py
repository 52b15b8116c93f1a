"""A bad input, or a good one that looks bad, and what has to come of it."""

from __future__ import annotations

import logging
import os
import re
import resource
import shutil
import tempfile
import traceback
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typer.testing import CliRunner

from mersynth.logs import is_message

Outcome = Literal[
    "refused clearly", "rightly accepted", "refused in words that do not help", "traceback",
    "nonsense accepted", "good input refused", "hang or memory",
]  # fmt: skip
CLEAN: tuple[Outcome, ...] = ("refused clearly", "rightly accepted")
LONGEST = 2000
"""Characters of a message, by which nobody has to scroll."""
# Words of Python, which tell a user nothing.
_INTERNAL = re.compile(
    r"Traceback|'NoneType'|has no attribute|not subscriptable|unhashable|index out of range|"
    r"object is not sub|not supported between|invalid literal|unexpected keyword|recursion|KeyError"
)
_USUAL = re.compile(
    "cannot be interpreted as an integer|expected str, bytes or os.PathLike object|is not iterable"
    "|is not callable"
)
_BORDERS = re.compile("[\u2500-\u257f]")

Act = tuple[str, ...] | Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        name: what is tried, unique.
        needs: names of the good inputs that are laid into the case's folder (``world``).
        act: a command with its arguments, or a call; it runs within that folder.
        said: what the refusal must contain, or words of which it must contain one; None: the input
            is good, and must be accepted.
        spoil: what is done to the folder before.
        exit: codes with which a command may end that refuses.
    """

    name: str
    needs: tuple[str, ...]
    act: Act
    said: str | tuple[str, ...] | None
    spoil: Callable[[], object] | None = None


def attempt(case: Case, world: Path) -> tuple[Outcome, str]:
    """Try a case in a folder of its own; the outcome, and what was said."""
    with tempfile.TemporaryDirectory(prefix="bad-") as name:
        folder = Path(name)
        for need in case.needs:
            good = world / need
            (shutil.copytree if good.is_dir() else shutil.copy)(good, folder / need)
        with chdir(folder):
            if case.spoil is not None:
                case.spoil()
            outcome, said = _judged(case)
            halves = [] if outcome == "traceback" else sorted(map(str, Path().rglob("*.partial")))
        if halves and "kept" not in said:
            return "refused in words that do not help", f"left {halves} behind; {said}"
        return outcome, said


def _judged(case: Case) -> tuple[Outcome, str]:
    try:
        refusal = _command(case.act) if isinstance(case.act, tuple) else _call(case.act)
    except (MemoryError, RecursionError) as error:
        return "hang or memory", _last(error)
    except Exception as error:
        text = _last(error)
        lack = "memory" in str(error) and "alloc" in str(error)
        return ("hang or memory" if lack else "traceback"), text
    if refusal is None:
        return ("rightly accepted" if case.said is None else "nonsense accepted"), ""
    if case.said is None:
        return "good input refused", refusal
    words = (case.said,) if isinstance(case.said, str) else case.said
    written = [word.encode("utf-8", "backslashreplace").decode() for word in words]
    known = any(_plain(word) in _plain(refusal) for word in written)
    python = not isinstance(case.act, tuple) and _USUAL.search(refusal)
    clear = known and len(refusal) <= LONGEST and (python or not _INTERNAL.search(refusal))
    return ("refused clearly" if clear else "refused in words that do not help"), refusal


def _command(words: tuple[str, ...]) -> str | None:
    """What a command said that refused; None if it did its work."""
    from mersynth.cli import app as mersynth
    from recognizers.cli import app as recognizers

    app = {"mersynth": mersynth, "recognizers": recognizers}[words[0]]
    result = CliRunner().invoke(app, list(words[1:]), env={"COLUMNS": "4000"})
    logging.getLogger().handlers.clear()
    if result.exit_code == 0:
        return None
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    text = _BORDERS.sub(" ", result.output)
    error = text.rpartition("error: ")[2] if "error: " in text else text
    if result.exit_code not in (1, 2):
        raise RuntimeError(f"exit code {result.exit_code}: {text}")
    return " ".join(error.split())


def _call(function: Callable[[], object]) -> str | None:
    """What a call raised that refused; None if it returned."""
    try:
        function()
    except Exception as error:
        if not (is_message(error) or _is_usual(error)):
            raise
        return str(error)
    return None


def _is_usual(error: Exception) -> bool:
    """Whether the project itself raised the error, or it is Python's usual one for a wrong type."""
    if isinstance(error, TypeError) and _USUAL.search(str(error)):
        return True
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if not isinstance(error, TypeError | IndexError | KeyError):
        return False
    return f"{os.sep}tests{os.sep}" not in frame.filename and "raise " in (frame.line or "")


def _plain(text: str) -> str:
    return "".join(text.split())


def _last(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__}: {str(error)[:300]}  [{places}]"


def limit_memory(further: int) -> None:
    """Let this process allocate so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + further
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


Values = dict[str, Any]
