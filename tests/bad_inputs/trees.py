"""Databases on disk: annotation tables, frames, photos, films, and other tools' AU files."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
from PIL import Image

from tests.bad_inputs.case import Act, Case
from tests.bad_inputs.damage import ANY_FILE, HUGE
from tests.sources.test_samm import TestSAMM

TABLE = f"tree/{TestSAMM.table_name}"
PREPARE: Act = (
    *("mersynth", "prepare", "--source", "samm", "--root", "tree", "--out", "s"),
    *("--image-size", "16", "geometry=resize"),
)
PHOTOS: Act = (
    *("mersynth", "prepare", "--source", "folder", "--root", "photos", "--out", "s"),
    *("--image-size", "16", "geometry=resize"),
)
FILM: Act = (
    *("mersynth", "prepare", "--source", "folder", "--video", "film.mp4", "--out", "s"),
    *("--image-size", "16", "geometry=resize"),
)
OPENFACE: Act = (*PREPARE, "--intensities", "openface=openface")
LIKE: Act = (
    *("mersynth", "phantom", "--like", TABLE, "--layout", "samm", "--out", "t"),
    *("--limit", "1", "--size", "32"),
)
FIRST = TestSAMM.clips[0]


def tree_cases() -> Iterator[Case]:
    for (name, damage), act in itertools.product((ANY_FILE | BOOKS).items(), (PREPARE, LIKE)):
        how = "phantom" if act is LIKE else "prepare"
        spoil = partial(damage, Path(TABLE))
        yield Case(f"table {name}: {how}", ("tree",), act, ("tree", "table", "SAMM"), spoil)
    for (column, value), kind in itertools.product(CELLS, ("xlsx", "csv")):
        spoil = partial(_cell, column, value, kind)
        said = ("SAMM_Micro", FIRST.name)
        yield Case(
            f"{kind} {column} = {str(value)[:30]!r}: prepare", ("tree",), PREPARE, said, spoil
        )
    for column, value in CELLS:
        if column not in ("subject", "name"):
            spoil = partial(_cell, column, value, "xlsx")
            yield Case(f"{column} = {str(value)[:30]!r}: phantom", ("tree",), LIKE, None, spoil)
    for name, damage in (ANY_FILE | PICTURES).items():
        frame = f"tree/{FIRST.subject}/{FIRST.name}/006_5563.jpg"
        spoil = partial(damage, Path(frame))
        if name != "a byte changed":  # which a picture may bear
            yield Case(f"frame {name}: prepare", ("tree",), PREPARE, FIRST.name, spoil)
        if name not in ("missing", "a folder", "other text", "a byte changed"):
            spoil = partial(damage, Path("photos/anna.png"))
            yield Case(f"photo {name}: prepare", ("photos",), PHOTOS, "anna.png", spoil)
    for name, damage in ANY_FILE.items():
        spoil = partial(damage, Path("film.mp4"))
        if name != "a byte changed":
            yield Case(f"film {name}: prepare", ("film.mp4",), FILM, "film.mp4", spoil)
            yield Case(f"film {name}: predict", ("film.mp4", "model"), PREDICT, "film.mp4", spoil)
        spoil = partial(damage, Path(f"openface/{FIRST.name}.csv"))
        needs = ("tree", "openface")
        yield Case(f"AU file {name}: prepare", needs, OPENFACE, FIRST.name, spoil)
    for name, change in AU_CELLS.items():
        spoil = partial(_au_cell, change)
        yield Case(f"AU file {name}: prepare", ("tree", "openface"), OPENFACE, FIRST.name, spoil)
    for name, act, needs, spoil, said in ODD:
        yield Case(name, needs, act, said, spoil)


PREDICT: Act = ("recognizers", "predict", "--model", "model", "--video", "film.mp4", "--out", "p")
COLUMNS = {"subject": 0, "name": 1, "onset": 3, "apex": 4, "offset": 5, "aus": 8, "emotion": 9}
CELLS: list[tuple[str, object]] = [
    *[("offset", value) for value in (HUGE, 10**12, 10**30, -1, 0, 1.5, "x", None, "nan", "inf")],
    *[("offset", value) for value in ("9" * 5000, "1e3", True)],
    *[("onset", value) for value in (-HUGE, HUGE, "5562.5", None, "", "²")],
    *[("apex", value) for value in (HUGE, "x")],
    *[("emotion", value) for value in ("joyfulness", None, "x" * 30_000)],
    *[("subject", value) for value in (None, "../../etc", "a/b", "\u0000006"[1:] + "x", 10**30)],
    *[("name", value) for value in (None, "../006_1_3", "x" * 1000)],
]


def _cell(column: str, value: object, kind: str) -> None:
    book = openpyxl.load_workbook(TABLE)
    sheet = book.worksheets[0]
    row = next(r for r in range(1, 40) if sheet.cell(r, 1).value == FIRST.subject)
    sheet.cell(row, COLUMNS[column] + 1).value = value  # type: ignore[assignment]
    if kind == "xlsx":
        book.save(TABLE)
        return
    os.unlink(TABLE)
    with Path(TABLE).with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows(sheet.iter_rows(values_only=True))


def _book_bomb(file: Path) -> None:
    """A workbook whose sheet unpacks to gigabytes of blanks."""
    parts = {}
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = next(name for name in parts if name.startswith("xl/worksheets/sheet1"))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if name != sheet:
                archive.writestr(name, content)
        with archive.open(sheet, "w", force_zip64=True) as out:
            head, _, tail = parts[sheet].partition(b"<sheetData>")
            out.write(head + b"<sheetData>")
            for _ in range(256):
                out.write(b" " * (1 << 24))
            out.write(tail)


def _book_of(rows: int, columns: int) -> Callable[[Path], object]:
    def write(file: Path) -> None:
        book = openpyxl.Workbook()
        book.worksheets[0].cell(rows, columns).value = "far"
        book.save(file)

    return write


BOOKS: dict[str, Callable[[Path], object]] = {
    "a bomb": _book_bomb,
    "of a cell far below": _book_of(1_048_576, 1),
    "of a cell far off": _book_of(3, 16_384),
    "without a sheet": lambda file: zipfile.ZipFile(file, "w").writestr("[Content_Types].xml", ""),
}


def _png_of(width: int, height: int) -> Callable[[Path], object]:
    """A picture whose header claims such a size."""

    def write(file: Path) -> None:
        import struct
        import zlib

        def chunk(kind: bytes, data: bytes) -> bytes:
            body = kind + data
            return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data = zlib.compress(bytes(100))
        file.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        )

    return write


def _saved(image: Image.Image, kind: str) -> Callable[[Path], object]:
    return lambda file: image.save(file, kind)


PICTURES: dict[str, Callable[[Path], object]] = {
    "claims 10^9 pixels a side": _png_of(10**9, 10**9),
    "claims 30,000 pixels a side": _png_of(30_000, 30_000),
    "claims no pixel": _png_of(0, 0),
    "of numbers without a scale": _saved(Image.new("F", (40, 40)), "TIFF"),
    "an animation": lambda file: Image.new("L", (40, 40)).save(
        file, "GIF", save_all=True, append_images=[Image.new("L", (40, 40), 255)]
    ),
}


def _au_cell(change: Callable[[list[list[str]]], object]) -> None:
    file = Path(f"openface/{FIRST.name}.csv")
    rows = [line.split(", ") for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("\n".join(", ".join(row) for row in rows) + "\n")


def _set(column: int, value: str) -> Callable[[list[list[str]]], object]:
    def change(rows: list[list[str]]) -> None:
        rows[2][column] = value

    return change


AU_CELLS: dict[str, Callable[[list[list[str]]], object]] = {
    **{
        f"{name} = {value[:20]!r}": _set(column, value)
        for name, column, value in [
            *[("frame", 0, v) for v in ("x", "1.5", "-1", "1e9", "1e30", "nan", "inf", "")],
            *[("face", 1, v) for v in ("x", "-1", "1e30", "nan")],
            *[("confidence", 3, v) for v in ("x", "7", "-1", "inf")],
            *[("success", 4, v) for v in ("x", "7")],
            *[("AU", 5, v) for v in ("x", "7", "-1", "inf", "1e999", "((((")],
        ]
    },
    "without rows": lambda rows: rows.__delitem__(slice(1, None)),
    "without AUs": lambda rows: [row.__delitem__(slice(5, None)) for row in rows],
    "a column twice": lambda rows: [row.append(row[5]) for row in rows],
    "of one short line": lambda rows: rows[2].pop(),
}


def _fifo(place: str) -> Callable[[], object]:
    return lambda: os.mkfifo(place)


def _loop(place: str) -> Callable[[], object]:
    return lambda: os.symlink(Path(place).parent.absolute(), place)


CLIP = f"tree/{FIRST.subject}/{FIRST.name}"
DRIVE: Act = (
    *("mersynth", "transfer", "--driving", "film.mp4", "--face", "photos", "--aligned"),
    *("--generator", "warp", "--out", "d"),
)
ODD: list[tuple[str, Act, tuple[str, ...], Callable[[], object], Any]] = [
    ("a FIFO beside frames", PREPARE, ("tree",), _fifo(f"{CLIP}/pipe"), None),
    ("a FIFO of a frame's name", PREPARE, ("tree",), _fifo(f"{CLIP}/006_9999.jpg"), None),
    ("a FIFO in the root", PREPARE, ("tree",), _fifo("tree/pipe.xlsx"), None),
    ("a FIFO for a subject", PREPARE, ("tree",), _fifo("tree/099"), None),
    ("a FIFO for a clip", PREPARE, ("tree",), _fifo(f"tree/{FIRST.subject}/006_9_9"), None),
    ("a FIFO beside photos", PHOTOS, ("photos",), _fifo("photos/pipe"), None),
    ("a FIFO for a photo", PHOTOS, ("photos",), _fifo("photos/carl.jpg"), "carl.jpg"),
    ("a FIFO for a film", PHOTOS, ("photos",), _fifo("photos/carl.mp4"), "carl.mp4"),
    ("a link into itself", PREPARE, ("tree",), _loop("tree/006/loop"), "loop"),
    ("a link into itself beside photos", PHOTOS, ("photos",), _loop("photos/loop"), None),
    (
        "a FIFO in place of the AU folder",
        OPENFACE,
        ("tree",),
        _fifo("openface"),
        "openface",
    ),
    ("a FIFO in the AU folder", OPENFACE, ("tree", "openface"), _fifo("openface/x.csv"), None),
    ("no folder of AU files", OPENFACE, ("tree",), lambda: None, "openface"),
    ("a tree without a table", PREPARE, ("tree",), lambda: os.unlink(TABLE), "SAMM"),
    (
        "a tree without clips",
        PREPARE,
        ("tree",),
        lambda: [shutil.rmtree(folder) for folder in Path("tree").iterdir() if folder.is_dir()],
        "tree",
    ),
    ("no face in the driving film", DRIVE, ("film.mp4", "photos"), lambda: None, ("face", "photo")),
]
