"""The second and third micro-expressions of SMIC's long clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mersynth.sources.errors import Problem
from mersynth.sources.sheets import cell_integer, cell_text
from mersynth.sources.smic import SMIC, SMIC_NAME
from mersynth.sources.table import Row


class SMICFurther(SMIC):
    """SMIC, HS, with the second and third micro-expressions that the table lists in a long clip.

    A further micro-expression gets the next number after its clip's if no row of the table has that
    name (the second of s3_ne_02 is s03_ne_03, as in MEGC2019 and SMIC_all_cropped), else its clip's
    name with ``_2`` or ``_3`` appended. Cells that the spreadsheet computed from empty ones lie
    outside the long clip (FirstF..LastF) and are left out, as are repetitions.
    """

    name = "smic-further"

    def read_annotations(self, table: Path) -> tuple[list[Row], list[Problem]]:
        """The rows of an annotation table, each with those of its further micro-expressions."""
        rows, problems = super().read_annotations(table)
        taken = {row.name for row in rows}
        more: list[Row] = []
        for row in rows:
            more.append(row)
            spans = [] if row.clip is None else [(row.clip.onset, row.clip.offset)]
            for k in (2, 3):
                written = row.cell(f"onset{k}"), row.cell(f"offset{k}")
                if row.clip is None or row.written is None or not any(map(cell_text, written)):
                    continue
                onset, offset = map(cell_integer, written)
                reason = _not_a_span(onset, offset, row, spans)
                if reason or onset is None or offset is None:
                    text = f"micro-expression {k} of {row.name} is left out: {reason}"
                    problems.append(row.written.problem(text, f"onset{k}", fatal=False))
                    continue
                spans.append((onset, offset))
                clip = replace(row.clip, name=_next_name(row.name, k, taken))
                more.append(
                    replace(
                        row,
                        name=clip.name,
                        clip=replace(clip, onset=onset, offset=offset),
                        within=row.name,
                    )
                )
        return more, problems

    def row_folders(self, root: Path, rows: Sequence[Row]) -> dict[tuple[str, str], Path]:
        """The folders; a further micro-expression has that of its long clip."""
        places = self.clip_folders(root)
        for row in rows:
            folder = places.get((row.subject, row.within))
            if folder is not None:
                places[row.subject, row.name] = folder
        return places


def _not_a_span(
    onset: int | None, offset: int | None, row: Row, spans: list[tuple[int, int]]
) -> str:
    """Why two cells are not onset and offset of a further micro-expression; empty if they are."""
    if onset is None or offset is None or offset < onset:
        return f"{onset}..{offset} are not an onset and an offset"
    if (onset, offset) in spans:
        return f"{onset}..{offset} is already in the row"
    first, last = cell_integer(row.cell("first")), cell_integer(row.cell("last"))
    if first is not None and last is not None and not first <= onset <= offset <= last:
        return f"{onset}..{offset} lies outside of FirstF..LastF {first}..{last}"
    return ""


def _next_name(name: str, k: int, taken: set[str]) -> str:
    match = SMIC_NAME.fullmatch(name)
    following = f"{name[:-2]}{int(match[3]) + k - 1:02d}" if match else name
    return f"{name}_{k}" if following in taken else following
