"""The annotation tables of the databases, a row a clip: one reader, told the columns' names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mersynth.clips import Clip, Strength
from mersynth.facs.action_units import parse_au_cell
from mersynth.facs.emotions import native_labels
from mersynth.sources.errors import Problem, SourceError

COLUMNS = {
    "subject": "subject",
    "name": "filename",
    "onset": "onsetframe",
    "apex": "apexframe",
    "offset": "offsetframe",
    "aus": "actionunits",
    "emotion": "estimatedemotion",
}
"""What a table says of a clip, and the column that says it: its name without spaces and in lower
case (CASME II writes "OnsetFrame", SAMM "Onset Frame"). These are the columns of both; a database
without an apex or AUs has no such entry."""

_NO_APEX = ("", "/")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an annotation table.

    Attributes:
        number: row in the sheet, counted from 1; None where no sheet says it.
        subject: subject as its folder is called.
        name: name of the clip.
        clip: the annotation; None where it cannot be stored (a fatal problem says why).
        cells: what the row says, by what it is; a source may know more columns than this module.
    """

    number: int | None
    subject: str
    name: str
    clip: Clip | None
    cells: Mapping[str, Any] = field(default_factory=dict)


def _whole_file(name: str, onset: int | None) -> str:
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """How a database writes its annotation table.

    Attributes:
        source: name of the database, as its clips carry it.
        fps: frames a second of its clips.
        strength: strength of its expressions.
        subject_folder: from the subject as the table writes it to the name of its folder.
        columns: the columns, by what they hold; see :data:`COLUMNS`.
        optional: columns that the table may lack; their cells are None then.
        sheet: title of the sheet to read, where the table has one of that title.
        clip_name: from the file name and the onset (None if it is no number) to the clip's name,
            for databases with several expressions in a file.
        spellings: labels that the table writes in another way, in lower case, by native label.
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
        table: the .xlsx file. The columns are found by their names, in whatever row these stand.
        form: how the database writes it.

    Returns:
        The rows in their order, and what is wrong with them. An apex that the table does not give
        (``/``) and an AU cell that cannot be read in full are told, and the clip is kept.

    Raises:
        SourceError: if the file is no readable table, or has not the columns.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], int] = {}
    for number, cells in table_rows(table, form.columns, form.optional, form.sheet):
        row, found = _read_row(number, cells, table.name, form)
        problems += found
        if row is None:
            continue
        first = seen.setdefault((row.subject, row.name), number)
        if first != number:
            reason = f"clip {row.subject}/{row.name} stands in row {first} already"
            problems.append(Problem(table.name, reason, number))
            continue
        rows.append(row)
    return rows, problems


def table_rows(
    table: Path,
    columns: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
    sheet: str = "",
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The cells of each row below the header, by what they hold; empty rows are left out.

    Args:
        table: the .xlsx file; its first sheet with all the columns is read.
        columns: the columns, by what they hold; see :data:`COLUMNS`.
        optional: columns that the table may lack; their cells are None then.
        sheet: title of the sheet to read, where the table has one of that title.

    Yields:
        The row's number in the sheet, counted from 1, and its cells.

    Raises:
        SourceError: if the file is no readable table, or no sheet has the columns.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(table, data_only=True)
    # On damaged files openpyxl lets through whatever zipfile, zlib and the XML parser raise.
    except Exception as error:
        raise SourceError(f"{table} is no readable .xlsx table: {error}") from error
    for page in [book[sheet]] if sheet in book.sheetnames else book.worksheets:
        places: dict[str, int] | None = None
        for number, cells in enumerate(page.iter_rows(values_only=True), 1):
            if places is None:
                places = _header(cells, columns, optional or {})
            elif any(cells[place] is not None for place in places.values()):
                found = {name: cells[place] for name, place in places.items()}
                yield number, {**dict.fromkeys(optional or {}), **found}
        if places is not None:
            return
    raise SourceError(
        f"{table} has no row with the columns {', '.join(columns.values())}; is it the table of "
        "another database?"
    )


def _header(
    cells: Sequence[Any], columns: Mapping[str, str], optional: Mapping[str, str]
) -> dict[str, int] | None:
    names = [str(cell).replace(" ", "").lower() for cell in cells]
    if not set(columns.values()) <= set(names):
        return None
    wanted = {**columns, **optional}
    return {what: names.index(column) for what, column in wanted.items() if column in names}


def _read_row(
    number: int, cells: dict[str, Any], file: str, form: TableFormat
) -> tuple[Row | None, list[Problem]]:
    problems: list[Problem] = []

    def report(reason: str, fatal: bool = True) -> None:
        problems.append(Problem(file, reason, number, fatal))

    written, name = cell_text(cells["subject"]), cell_text(cells["name"])
    if not written or not name:
        report("the row has no subject or no file name")
        return None, problems
    frames = {}
    for what in ("onset", "offset", "apex"):
        if what not in form.columns:
            continue
        value = cells[what]
        if what == "apex" and cell_text(value) in _NO_APEX:
            report(f"no apex is given ({cell_text(value)!r}): stored without one", fatal=False)
            continue
        frames[what] = cell_integer(value)
        if frames[what] is None:
            report(f"{form.columns[what]} {value!r} is no frame number")
    written_emotion = cell_text(cells["emotion"]).lower()
    emotion = form.spellings.get(written_emotion, written_emotion)
    labels = native_labels(form.source)
    if emotion not in labels:
        report(f"emotion {emotion!r} is not one of {', '.join((*labels, *form.spellings))}")
    aus = cell_text(cells.get("aus"))
    for fragment in parse_au_cell(aus).unread:
        report(f"AU cell {aus!r}: {fragment!r} cannot be read", fatal=False)
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
    return Row(number, subject, name, clip, cells), problems


def cell_text(value: Any) -> str:
    """A cell as text: a whole number without its decimal point, an empty cell as ``""``."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def cell_integer(value: Any) -> int | None:
    """A cell as a whole number, None where it is none."""
    text = cell_text(value)
    return int(text) if text.isdecimal() else None
