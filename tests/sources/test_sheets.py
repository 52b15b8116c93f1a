"""Tests of the reader of tables."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import openpyxl
import pytest

from mersynth.sources.errors import SourceError
from mersynth.sources.sheets import cell_integer, cell_text, find_tables, read_table

COLUMNS = {"name": "filename", "onset": "onsetframe"}
HEADER = ["File name", "Onset Frame"]


def write(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def read(path: Path, optional: dict[str, str] | None = None) -> list[tuple[object, ...]]:
    return [tuple(row.cells.values()) for row in read_table(path, COLUMNS, optional)]


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (46, "46", 46), (46.0, "46", 46), ("46", "46", 46), ("46.0", "46", 46),
        ("46,00", "46,00", 46), (" 46\xa0", "46", 46), ("\ufeff46\u200b", "46", 46),
        ("\uff14\uff16", "46", 46), ("046", "046", 46), ('="046"', "046", 46), ("'046", "046", 46),
        (46.5, "46.5", None), ("46,5", "46,5", None), ("4,600", "4,600", None), (-3, "-3", None),
        ("a\r\n b", "a b", None), (None, "", None), (float("nan"), "", None), ("\xa0", "", None),
        ("1.76E+07", "1.76E+07", None), (True, "True", None),
    ],
)  # fmt: skip
def test_cells(value: object, text: str, number: int | None) -> None:
    assert (cell_text(value), cell_integer(value)) == (text, number)


@pytest.mark.parametrize(
    "header",
    [
        ["FILENAME", "onset_frame"], ["File\nName ", "Onset\xa0Frame"],
        ["\ufefffilename", "ONSET (frame)"],
    ],
)  # fmt: skip
def test_headers_as_spreadsheets_write_them(tmp_path: Path, header: list[object]) -> None:
    rows = [["A title over all", None], [], header, ["a", 3], [None, "  "], ["b", 5], [None, None]]
    table = write(tmp_path / "table.xlsx", rows)
    assert read(table) == [("a", 3), ("b", 5)]
    first, second = read_table(table, COLUMNS)
    assert (first.number, second.number) == (4, 6)
    assert str(second.problem("no", "onset")) == "table.xlsx, sheet Sheet, cell B6: no"
    assert str(second.problem("no")) == "table.xlsx, sheet Sheet, row 6: no"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_every_csv(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [
        ["Größe", "Onset\nFrame", "File name", ""], ["", "4,6", "Zoë;1", ""], ["", "", "", ""],
        ["x", "46.0", "b"],
    ]  # fmt: skip
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    (tmp_path / "table.csv").write_bytes(f"A title\r\n{text}\r\n".encode(encoding))
    assert read(tmp_path / "table.csv") == [("Zoë;1", "4,6"), ("b", "46.0")]
    *_, last = read_table(tmp_path / "table.csv", COLUMNS)
    assert str(last.problem("no", "onset")) == "table.csv, cell B5: no"


def test_a_column_that_may_be_missing(tmp_path: Path) -> None:
    table = write(tmp_path / "t.xlsx", [[*HEADER, "AU"], ["a", 3, "4+7"]])
    assert read(table, {"aus": "au", "apex": "apex"}) == [("a", 3, "4+7", None)]


def test_missing_columns_name_the_nearest_row(tmp_path: Path) -> None:
    table = write(tmp_path / "t.xlsx", [["Title"], ["Filename", "Apex"], ["a", 3]])
    reason = r"no row with the columns filename, onsetframe; sheet Sheet, row 2, lacks onsetframe;"
    with pytest.raises(SourceError, match=reason):
        read(table)


def test_a_column_twice(tmp_path: Path) -> None:
    table = write(tmp_path / "t.xlsx", [[*HEADER, "onset frame"], ["a", 3, 4]])
    with pytest.raises(SourceError, match="columns B and C are both called onsetframe; rename one"):
        read(table)


def test_a_formula_without_its_value_is_not_an_empty_cell(tmp_path: Path) -> None:
    assert read(write(tmp_path / "t.xlsx", [HEADER, ["a", "=1+2"]])) == [("a", "=1+2")]


def test_a_quote_out_of_place_swallows_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('filename,onsetframe\na,1\nb,"2\nc,3\n')
    with pytest.raises(
        SourceError, match=r"t\.csv is not a readable \.csv table: after row 2: .*quo"
    ):
        read(tmp_path / "t.csv")


def test_an_old_workbook_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(SourceError, match=r"is a renamed \.xls table, or has a password"):
        read(tmp_path / "t.xlsx")


def test_which_files_are_tables(tmp_path: Path) -> None:
    for name in (
        "Coding-1.XLSX",
        "coding-2.csv",
        "Coding-3.pdf",
        "~$Coding-1.xlsx",
        "._coding.csv",
    ):
        (tmp_path / name).touch()
    found = find_tables(tmp_path, "Coding*.xlsx")
    assert [path.name for path in found] == ["Coding-1.XLSX", "coding-2.csv"]
    assert find_tables(tmp_path / "nowhere", "*.xlsx") == []


def test_a_separator_within_a_cell_moves_no_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("filename,onsetframe,au\na,1,4,\nb,2,4,7\n")
    with pytest.raises(SourceError, match=r"t\.csv, row 3: 4 cells where the header has 3; put"):
        read(tmp_path / "t.csv", {"aus": "au"})


def test_a_workbook_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "table.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(600_000_000))
    with pytest.raises(SourceError, match=r"table.xlsx is not a readable .xlsx table: .* 0.6 GB"):
        list(read_table(file, {"subject": "Subject"}))


def test_a_fifo_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(SourceError, match=r"table.csv cannot be read: it is not a regular file"):
        list(read_table(tmp_path / "table.csv", {"subject": "Subject"}))
