"""The annotation tables of CASME II and SAMM, written as the databases publish them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mersynth.clips import Clip
from mersynth.facs.action_units import AUEvent, parse_au_cell

_CASME2_CELL = re.compile(r"\?|[LR]?\d+(\+[LR]?\d+)*")
_CASME2_HEADER = (
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None),
    *("Action Units", "Estimated Emotion"),
)
_SAMM_HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame"),
    *("Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
_SAMM_LINES_ABOVE = 13  # other people's loaders skip this many
_NO_APEX = "/"  # as in CASME II; SAMM always has an apex
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date in a zip file
_EPOCH_XML = b"1980-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A clip's row in an annotation table.

    Attributes:
        clip: the clip.
        subject: the subject, as written in the table.
        name: name of the clip's folder.
        onset: number of the first frame's file.
        emotion: label, as written in the table.
        aus: AU cell, as written in the table.
    """

    clip: Clip
    subject: str
    name: str
    onset: int
    emotion: str
    aus: str

    @property
    def frames(self) -> tuple[int, int | str, int]:
        """The cells onset, apex, offset."""
        clip = self.clip
        apex = _NO_APEX if clip.apex_index is None else self.onset + clip.apex_index
        return self.onset, apex, self.onset + clip.num_frames - 1


def casme2_cell(aus: str) -> str:
    """An AU cell in CASME II's notation, which only has sides (``4+L10``).

    A cell already in this notation is not changed. In others, intensities, lip or lid, brackets of
    reflexes, remarks and "asymmetric" are dropped, and only the first of alternatives is kept; a
    cell without AUs becomes ``?``.

    Example:
        >>> casme2_cell("L12A + ref(7B) + A25")
        'L12+7+25'
    """
    if _CASME2_CELL.fullmatch(aus.strip()):
        return aus.strip()
    return "+".join(map(_casme2_event, parse_au_cell(aus).events)) or "?"


def _casme2_event(event: AUEvent) -> str:
    side = "" if event.side is None or event.asymmetric else event.side[0].upper()
    return f"{side}{event.number}"


def write_casme2_table(path: Path, rows: Sequence[TableRow], card: Mapping[str, Any]) -> None:
    """CASME II's table: nine columns, two of them empty; the header is in row 1."""
    cells = [
        [row.subject, row.name, None, *row.frames, None, _number(row.aus), row.emotion]
        for row in rows
    ]
    _write(path, "Sheet1", [_CASME2_HEADER, *cells])


def write_samm_table(path: Path, rows: Sequence[TableRow], card: Mapping[str, Any]) -> None:
    """SAMM's table: twelve columns, the header in row 14 under free text.

    The inducement code and the objective class of a clip are not known and left empty.
    """
    above: list[Sequence[Any]] = [[] for _ in range(_SAMM_LINES_ABOVE)]
    count = sum(row.clip.is_synthetic for row in rows)
    above[0] = [
        f"{len(rows)} clips, {count} of them synthetic, in the layout of SAMM, written by mersynth "
        f"{card['versions']['mersynth']}; card.json and provenance.csv give their origin"
    ]
    above[2] = [f"Licence: {'; '.join(card['licences']) or 'none is recorded'}"]
    above[3] = [f"Cite: {'; '.join(card['citations']) or 'none is recorded'}"]
    if card["written_as_other"]:
        others = ", ".join(card["written_as_other"])
        above[4] = [f"Written as Other, because the database has no label for it: {others}"]
    above[5] = ["Symbols of the Action Units:"]
    above[6] = ['"/" or "or": one of them; "?": not clear']
    above[7] = ["L, R: one side alone; A in front: asymmetric; T, B: top, bottom lip or lid"]
    above[8] = ["A to E behind: intensity"]
    cells = [
        [
            *(row.subject, row.name, None, *row.frames, row.clip.num_frames),
            "Micro - 1/2" if row.clip.strength == "micro" else "Macro",
            *(_number(row.aus), row.emotion, None, _note(row.clip)),
        ]
        for row in rows
    ]
    _write(path, "MICRO_ONLY", [*above, _SAMM_HEADER, *cells])


def _number(aus: str) -> int | str | None:
    """An AU cell as in both tables: a single AU as a number, None for an empty cell."""
    return int(aus) if aus.isdecimal() else aus or None


def _note(clip: Clip) -> str | None:
    if not clip.is_synthetic:
        return None
    return f"synthetic, {f'follows {clip.template}' if clip.template else 'of a prototype'}"


def _write(path: Path, title: str, rows: Sequence[Sequence[Any]]) -> None:
    """Write a sheet; the bytes do not depend on the time of writing."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:\w+[^>]*>)[^<]+", rb"\g<1>" + _EPOCH_XML, content)
            new.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
