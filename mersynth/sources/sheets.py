"""A tolerant reader of .xlsx and .csv tables, given the names of their columns."""

from __future__ import annotations

import codecs
import csv
import fnmatch
import itertools
import logging
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mersynth.disk.files import check_regular
from mersynth.sources.errors import Problem, SourceError

logger = logging.getLogger(__name__)

TABLE_SUFFIXES = (".xlsx", ".xlsm", ".csv", ".tsv")
"""Extensions of tables that can be read, in lower case."""

_DELIMITERS = (",", ";", "\t", "|")
_HEADER_WITHIN = 100  # rows; SAMM's header is the 14th, below some text
_LARGEST = 500_000_000  # bytes; a table of a million rows has 100 MB
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
_FORMULA = re.compile(rb"<(\w+:)?f[ />]")  # the element of a sheet's XML
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
# What spreadsheets put around digits in a .csv so that they stay text: ="006" and '006.
_KEPT_AS_TEXT = re.compile(r'="(?P<formula>[^"]*)"|\'(?P<quoted>\d.*)')

# A sheet, or one way to split the lines of a .csv: its title and its rows.
_Page = tuple[str, Iterable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    Attributes:
        file: name of the table.
        sheet: title of its sheet; empty for a .csv.
        number: row in the sheet, counted from 1.
        cells: the cells' values in the file, by their meaning; see :func:`read_table`.
        columns: the columns of these cells, counted from 0, without missing columns.
    """

    file: str
    sheet: str
    number: int
    cells: Mapping[str, Any]
    columns: Mapping[str, int]

    def problem(self, reason: str, what: str = "", fatal: bool = True) -> Problem:
        """A problem of the row, or of its cell ``what``."""
        column = self.columns.get(what)
        cell = f"row {self.number}" if column is None else f"cell {_letters(column)}{self.number}"
        place = f"sheet {self.sheet}, {cell}" if self.sheet else cell
        return Problem(self.file, reason, self.number, fatal, place)


def find_tables(folder: Path, pattern: str) -> list[Path]:
    """The tables in a folder whose names match a pattern (:func:`is_table`)."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in inside if is_table(path.name, pattern) and path.is_file())


def is_table(name: str, pattern: str) -> bool:
    """Whether a file has a table's name, with any extension of :data:`TABLE_SUFFIXES`.

    Args:
        name: the file's name, in any case.
        pattern: a glob that ends in ``.xlsx``.
    """
    stem, suffix = Path(name).stem, Path(name).suffix
    wanted = pattern.removesuffix(".xlsx")
    return suffix.lower() in TABLE_SUFFIXES and fnmatch.fnmatch(stem.lower(), wanted.lower())


def read_table(
    table: Path,
    columns: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
    sheet: str = "",
) -> Iterator[TableRow]:
    """The rows below the header, one by one; empty rows are left out.

    The header may be below other rows. Its names are compared without case, blanks, line breaks and
    punctuation (``Onset Frame`` is ``onsetframe``). A .csv may be in UTF-8, UTF-16 or Windows-1252,
    separated by commas, semicolons, tabs or bars.

    Args:
        table: the file; in a workbook the first sheet with all the columns is read.
        columns: names of the columns, by their meaning.
        optional: columns that the table may lack; a missing column gives None.
        sheet: title of the sheet to read, if the table has one with that title.

    Raises:
        SourceError: if the file is not a readable table, lacks a column or has one twice, or a row
            of a .csv is longer than the header.
    """
    optional = optional or {}
    nearest, lacking = "", list(columns.values())
    for title, rows in _pages(table, sheet):
        numbered = enumerate(rows, 1)
        try:
            for number, cells in itertools.islice(numbered, _HEADER_WITHIN):
                names = [_name(cell) for cell in cells]
                missing = [column for column in columns.values() if _name(column) not in names]
                if not missing:
                    places = _places(names, {**columns, **optional}, table)
                    known = dict.fromkeys((*columns, *optional))
                    for row in _rows(table.name, title, numbered, places, len(cells)):
                        yield replace(row, cells={**known, **row.cells})
                    return
                if len(missing) < len(lacking):
                    where = f"sheet {title}, row {number}" if title else f"row {number}"
                    nearest, lacking = f"; {where}, lacks {', '.join(missing)}", missing
        except UnicodeError as error:
            reason = f"{table} is not a readable .csv table: {error}; save it as UTF-8"
            raise SourceError(reason) from error
        except csv.Error as error:  # a stray quotation mark
            logger.debug("%s: %s", table, error)
    raise SourceError(
        f"{table} has no row with the columns {', '.join(columns.values())}{nearest}; is it the "
        "table of another database?"
    )


def _rows(
    file: str,
    sheet: str,
    numbered: Iterator[tuple[int, Sequence[Any]]],
    places: Mapping[str, int],
    width: int,
) -> Iterator[TableRow]:
    number = 0
    try:
        for number, cells in numbered:
            if any(map(cell_text, cells[width:])):
                raise SourceError(
                    f"{file}, row {number}: {len(cells)} cells where the header has {width}; put "
                    "cells that hold the separator in quotes"
                )
            found = {what: cells[place] for what, place in places.items() if place < len(cells)}
            if any(map(cell_text, found.values())):
                yield TableRow(file, sheet, number, found, places)
    except csv.Error as error:
        reason = f"{file} is not a readable .csv table: after row {number}: {error}"
        raise SourceError(f"{reason}; correct its quotes") from error


def cell_text(value: Any) -> str:
    """A cell as text: a whole number without its decimal point, an empty cell as ``""``.

    White space, including line breaks, becomes single blanks and is stripped at the ends; invisible
    characters are removed, and full-width ones become ASCII (NFKC).
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", str(value)))
    text = " ".join(text.split())
    if kept := _KEPT_AS_TEXT.fullmatch(text):
        text = (kept["formula"] or kept["quoted"] or "").strip()
    whole = re.fullmatch(r"(\d+)\.0+", text)
    return whole[1] if whole else text


def cell_integer(value: Any) -> int | None:
    """A cell as a whole number of up to nine digits (``46``, ``46.0``, ``46,0``); else None."""
    match = re.fullmatch(r"([0-9]{1,9})(?:,0{1,2})?", cell_text(value))
    return int(match[1]) if match else None


def encoding_of(file: Path) -> str:
    """The encoding of a text: UTF-16 or UTF-8, with or without a BOM, else Windows-1252."""
    with file.open("rb") as data:
        head = data.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        return "utf-16-be" if head.startswith(b"\0") else "utf-16-le"
    try:
        with file.open(encoding="utf-8-sig") as text:
            for _ in text:
                pass
    except UnicodeDecodeError:
        logger.info("%s is not in UTF-8; read as Windows-1252", file.name)
        return "cp1252"
    return "utf-8-sig"


def _name(cell: Any) -> str:
    return re.sub(r"[\W_]+", "", cell_text(cell).casefold())


def _places(names: Sequence[str], wanted: Mapping[str, str], table: Path) -> dict[str, int]:
    """The column of each wanted name that the table has."""
    places = {}
    for what, column in wanted.items():
        found = [place for place, name in enumerate(names) if name == _name(column)]
        if len(found) > 1:
            twice = " and ".join(map(_letters, found))
            raise SourceError(f"{table}: columns {twice} are both called {column}; rename one")
        if found:
            places[what] = found[0]
    return places


def _letters(column: int) -> str:
    """A column's name in spreadsheets: 0 is A, 26 is AA."""
    head, last = divmod(column, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + last)


def _pages(table: Path, sheet: str) -> Iterator[_Page]:
    try:
        check_regular(table)
        with table.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise SourceError(f"{table} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{table} cannot be read: it is {error}") from error
    if head == _OLD_WORKBOOK:
        raise SourceError(
            f"{table} is not a readable .xlsx table: it is a renamed .xls table, or has a "
            "password; save it as .xlsx or .csv, without a password"
        )
    if head.startswith(b"PK") or table.suffix.lower() in (".xlsx", ".xlsm"):
        return _workbook(table, sheet)
    return _lines(table)


def _workbook(table: Path, sheet: str) -> Iterator[_Page]:
    import openpyxl

    try:
        with zipfile.ZipFile(table) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > _LARGEST:
            raise ValueError(f"it unpacks to {size / 1e9:.1f} GB")
        book = openpyxl.load_workbook(table, data_only=True)
        # A large table takes a second to read, and few tables hold formulas.
        formulas = openpyxl.load_workbook(table) if _has_formulas(table) else book
    # On damaged files openpyxl passes on whatever zipfile, zlib and the XML parser raise.
    except Exception as error:
        raise SourceError(f"{table} is not a readable .xlsx table: {error}") from error
    for page in [book[sheet]] if sheet in book.sheetnames else book.worksheets:
        values = page.iter_rows(values_only=True)
        written = formulas[page.title].iter_rows(values_only=True)
        yield page.title, map(_computed, values, written)


def _has_formulas(table: Path) -> bool:
    with zipfile.ZipFile(table) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        return any(_FORMULA.search(archive.read(name)) for name in sheets)


def _computed(values: Sequence[Any], written: Sequence[Any]) -> list[Any]:
    """The values of a row; a formula without a computed value is kept as its text."""
    return [w if v is None else v for v, w in zip(values, written, strict=True)]


def _lines(table: Path) -> Iterator[_Page]:
    encoding = encoding_of(table)
    for delimiter in _DELIMITERS:
        with table.open(newline="", encoding=encoding) as file:
            # Strict: a misplaced quote is an error; otherwise it would swallow rows.
            yield "", csv.reader(file, delimiter=delimiter, strict=True)
