"""Problems of a database on disk, and the errors raised for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mersynth.checks import listed_lines


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a database's files.

    Attributes:
        file: the file or folder, relative to the database's root; or the id of the clip, where its
            files can be read but not stored.
        reason: what is wrong with it.
        row: row of the annotation table, counted from 1, that has or led to the problem.
        fatal: whether the clip cannot be stored; else it is stored and the problem is reported.
        place: where in the file, for instance ``sheet HS, cell D17``; empty if not known.
    """

    file: str
    reason: str
    row: int | None = None
    fatal: bool = True
    place: str = ""

    def __str__(self) -> str:
        row = "" if self.row is None else f" (row {self.row})"
        return f"{self.file}{f', {self.place}' if self.place else row}: {self.reason}"

    def as_dict(self) -> dict[str, str | int | bool | None]:
        """The problem as JSON-able values."""
        return asdict(self)


_SHOWN = 50  # problems in a message: enough to see what is wrong with a database


class SourceError(Exception):
    """A database cannot be read at all: its folder or its annotation table is missing."""


class PrepareError(SourceError):
    """Clips of a database cannot be stored, and the user did not ask to leave them out.

    Attributes:
        problems: everything that is wrong, including what is not fatal.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        fatal = [problem for problem in problems if problem.fatal]
        super().__init__(
            "\n".join(
                [
                    f"{source}: problems: {len(fatal)}; nothing was written",
                    *listed_lines(fatal, _SHOWN, indent="  "),
                    "Correct the files, or leave out what cannot be read with --skip-bad.",
                ]
            )
        )

    @property
    def reasons(self) -> str:
        """What is fatal, in one line."""
        return "; ".join(str(problem) for problem in self.problems if problem.fatal)
