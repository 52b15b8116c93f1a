"""The annotation tables of CASME II and SAMM: one reader, since both have the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mersynth.clips import Clip
from mersynth.facs.action_units import parse_au_cell
from mersynth.facs.emotions import native_labels
from mersynth.sources.errors import Problem, SourceError

# Column names without spaces and in lower case: CASME II writes "OnsetFrame", SAMM "Onset Frame".
_COLUMNS = (
    "subject",
    "filename",
    "onsetframe",
    "apexframe",
    "offsetframe",
    "actionunits",
    "estimatedemotion",
)
_NO_APEX = ("", "/")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an annotation table.

    Attributes:
        number: row in the sheet, counted from 1.
        subject: subject as its folder is called.
        name: name of the clip.
        clip: the annotation; None where it cannot be stored (a fatal problem says why).
    """

    number: int
    subject: str
    name: str
    clip: Clip | None


def read_annotations(
    table: Path, *, source: str, fps: float, subject_folder: Callable[[str], str]
) -> tuple[list[Row], list[Problem]]:
    """Read an annotation table.

    Args:
        table: the .xlsx file. The columns are found by their names, in whatever row these stand.
        source: name of the database.
        fps: frames a second of its clips.
        subject_folder: from the subject as the table writes it to the name of its folder.

    Returns:
        The rows in their order, and what is wrong with them. An apex that the table does not give
        (``/``) and an AU cell that cannot be read in full are told, and the clip is kept.

    Raises:
        SourceError: if the file is no readable table, or has not the columns.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], int] = {}
    for number, cells in _table_rows(table):
        row, found = _read_row(number, cells, table.name, source, fps, subject_folder)
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


def _table_rows(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The cells of each row below the header, by column name; empty rows are left out."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(table, data_only=True)
    # On damaged files openpyxl lets through whatever zipfile, zlib and the XML parser raise.
    except Exception as error:
        raise SourceError(f"{table} is no readable .xlsx table: {error}") from error
    for sheet in book.worksheets:
        places: dict[str, int] | None = None
        for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            if places is None:
                places = _header(cells)
            elif any(cells[place] is not None for place in places.values()):
                yield number, {name: cells[place] for name, place in places.items()}
        if places is not None:
            return
    raise SourceError(f"{table} has no row with the columns {', '.join(_COLUMNS)}")


def _header(cells: Sequence[Any]) -> dict[str, int] | None:
    names = [str(cell).replace(" ", "").lower() for cell in cells]
    if not set(_COLUMNS) <= set(names):
        return None
    return {column: names.index(column) for column in _COLUMNS}


def _read_row(
    number: int,
    cells: dict[str, Any],
    file: str,
    source: str,
    fps: float,
    subject_folder: Callable[[str], str],
) -> tuple[Row | None, list[Problem]]:
    problems: list[Problem] = []

    def report(reason: str, fatal: bool = True) -> None:
        problems.append(Problem(file, reason, number, fatal))

    written, name = _text(cells["subject"]), _text(cells["filename"])
    if not written or not name:
        report("the row has no subject or no file name")
        return None, problems
    frames = {}
    for column in ("onsetframe", "offsetframe", "apexframe"):
        value = cells[column]
        if column == "apexframe" and _text(value) in _NO_APEX:
            report(f"no apex is given ({_text(value)!r}): stored without one", fatal=False)
            continue
        frames[column] = _integer(value)
        if frames[column] is None:
            report(f"{column} {value!r} is no frame number")
    emotion = _text(cells["estimatedemotion"]).lower()
    if emotion not in native_labels(source):
        report(f"emotion {emotion!r} is not one of {', '.join(native_labels(source))}")
    for fragment in parse_au_cell(cells["actionunits"]).unread:
        cell = _text(cells["actionunits"])
        report(f"AU cell {cell!r}: {fragment!r} cannot be read", fatal=False)
    subject, clip = subject_folder(written), None
    onset, offset = frames.get("onsetframe"), frames.get("offsetframe")
    if onset is not None and offset is not None and not any(p.fatal for p in problems):
        try:
            clip = Clip(
                source=source,
                subject=subject,
                name=name,
                onset=onset,
                apex=frames.get("apexframe"),
                offset=offset,
                emotion=emotion,
                aus=_text(cells["actionunits"]),
                fps=fps,
            )
        except ValueError as error:
            report(str(error))
    return Row(number, subject, name, clip), problems


def _text(value: Any) -> str:
    """A cell as text: a whole number without its decimal point, an empty cell as ``""``."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _integer(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text.isdecimal() else None
