"""Reading the databases' annotation tables: from rows to clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mersynth.checks import shown
from mersynth.clips import Clip, Strength
from mersynth.facs.action_units import parse_au_cell, why_unread
from mersynth.facs.emotions import native_labels
from mersynth.sources.errors import Problem
from mersynth.sources.sheets import TableRow, cell_integer, cell_text, read_table

COLUMNS = {
    "subject": "subject",
    "name": "filename",
    "onset": "onsetframe",
    "apex": "apexframe",
    "offset": "offsetframe",
    "aus": "actionunits",
    "emotion": "estimatedemotion",
}
"""The facts about a clip in a table, and the name of each one's column, without spaces and in lower
case (CASME II writes "OnsetFrame", SAMM "Onset Frame"). These are the columns of both; a database
without an apex or AUs has no such entry."""

_LONGEST = 100_000  # frames of an expression: eight minutes at 200 frames per second
_LONGEST_NAME = 255  # file systems have no longer ones
_NO_APEX = ("", "/", "-", "\N{EN DASH}", "\N{EM DASH}", "?", "n/a", "na", "nan", "none", "null")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an annotation table.

    Attributes:
        subject: subject, as in its folder's name.
        name: name of the clip.
        clip: the annotation; None if it cannot be stored (a fatal problem says why).
        written: the row in the table; None if the clip is not from a table.
        within: for a further expression in a clip, the name of that clip.
    """

    subject: str
    name: str
    clip: Clip | None
    written: TableRow | None = None
    within: str = ""

    @property
    def number(self) -> int | None:
        """Row in the sheet, counted from 1; None if the clip is not from a table."""
        return None if self.written is None else self.written.number

    def cell(self, what: str) -> Any:
        """The table's value, see ``TableFormat``; None if it has none."""
        return None if self.written is None else self.written.cells.get(what)


def _whole_file(name: str, onset: int | None) -> str:
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """How a database writes its annotation table.

    Attributes:
        source: name of the database in its clips.
        fps: frames per second of its clips.
        strength: strength of its expressions.
        subject_folder: from the subject as the table writes it to the name of its folder.
        columns: the columns, by their meaning; see :data:`COLUMNS`.
        optional: columns that the table may lack; a missing column gives None.
        sheet: title of the sheet to read, if the table has one with that title.
        clip_name: from the file name and the onset (None if it is not a number) to the clip's name,
            for databases with several expressions per file.
        spellings: other spellings of labels in the table, in lower case, by native label.
    """

    source: str
    fps: float
    strength: Strength = "micro"
    subject_folder: Callable[[str], str]
    columns: Mapping[str, str] = field(default_factory=lambda: COLUMNS)
    optional: Mapping[str, str] = field(default_factory=dict)
    sheet: str = ""
    clip_name: Callable[[str, int | None], str] = _whole_file
    spellings: Mapping[str, str] = field(default_factory=dict)


def read_annotations(table: Path, form: TableFormat) -> tuple[list[Row], list[Problem]]:
    """Read an annotation table.

    Args:
        table: the file; see ``sheets.read_table``.
        form: how the database writes it.

    Returns:
        The rows in order, and what is wrong with them. A missing apex (``/``) and an AU cell that
        cannot be read completely are reported, and the clip is kept.

    Raises:
        SourceError: if the file is not a readable table, or lacks the columns.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], int] = {}
    for written in read_table(table, form.columns, form.optional, form.sheet):
        row, found = _read_row(written, form)
        problems += found
        if row is None:
            continue
        first = seen.setdefault((row.subject, row.name), written.number)
        if first != written.number:
            reason = f"clip {row.subject}/{row.name} is already in row {first}"
            problems.append(written.problem(reason))
            continue
        rows.append(row)
    return rows, problems


def _read_row(row: TableRow, form: TableFormat) -> tuple[Row | None, list[Problem]]:
    problems: list[Problem] = []

    def report(reason: str, what: str = "", fatal: bool = True) -> None:
        problems.append(row.problem(reason, what, fatal))

    cells = row.cells
    written, name = cell_text(cells["subject"]), cell_text(cells["name"])
    if not written or not name:
        report("the row has no subject or no file name", "name" if written else "subject")
        return None, problems
    for what, text in {"subject": written, "name": name}.items():
        if len(text) > _LONGEST_NAME:
            report(f"{what} {shown(text)} is longer than {_LONGEST_NAME} characters", what)
            return None, problems
    frames = {}
    for what in ("onset", "offset", "apex"):
        if what not in form.columns:
            continue
        text = cell_text(cells[what])
        if what == "apex" and text.lower() in _NO_APEX:
            report(f"no apex is given ({text!r}): stored without one", what, fatal=False)
            continue
        frames[what] = number = cell_integer(cells[what])
        if number is None:
            report(_why_no_number(what, text), what)
        elif what == "offset" and _too_late(number, frames["onset"]):
            report(f"offset {text} lies more than {_LONGEST} frames after the onset", what)
    written_emotion = cell_text(cells["emotion"]).lower()
    emotion = form.spellings.get(written_emotion, written_emotion)
    labels = native_labels(form.source)
    if emotion not in labels:
        known = ", ".join((*labels, *form.spellings))
        report(f"emotion {shown(emotion)} is not one of {known}", "emotion")
    aus = cell_text(cells.get("aus"))
    for fragment in parse_au_cell(aus).unread:
        report(f"AU cell {shown(aus)}: {why_unread(fragment)}", "aus", fatal=False)
    subject, clip = form.subject_folder(written), None
    onset, offset = frames.get("onset"), frames.get("offset")
    name = form.clip_name(name, onset)
    if onset is not None and offset is not None and not any(p.fatal for p in problems):
        try:
            clip = Clip(
                source=form.source,
                subject=subject,
                name=name,
                onset=onset,
                apex=frames.get("apex"),
                offset=offset,
                emotion=emotion,
                aus=aus,
                fps=form.fps,
                strength=form.strength,
            )
        except ValueError as error:
            report(str(error))
    return Row(subject, name, clip, row), problems


def _too_late(offset: int, onset: int | None) -> bool:
    return onset is not None and offset - onset > _LONGEST


def _why_no_number(what: str, text: str) -> str:
    if not text:
        return f"{what} is empty"
    if text.startswith("="):
        return f"{what} {text!r} was never computed; save the table in a spreadsheet program"
    return f"{what} {shown(text)} is not a frame number"
