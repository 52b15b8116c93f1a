"""A table with our figures and the published ones, for the terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measuring import documents
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mersynth.disk.files import write_json_atomically
from recognizers.runs.records import Selection
from reproduction.runs import Filled, Value
from reproduction.tables import MISSING, Column

HEADING = (
    "Published figures beside ours. Where a paper's code is public it mostly keeps, for every "
    "held-out person, the epoch that scores best on that person: compare published figures "
    "with the lines `oracle`, which are not results. The lines `strict` are results: epochs are "
    "chosen without the tested clips. Ours are pooled over all tested clips; intervals (95 %) are "
    "over people."
)
QUICK_HEADING = (
    "QUICK: phantom clips of a few people, tiny forms of the models, one epoch. Our figures mean "
    "nothing; they show that the script runs."
)
_WIDTH = 150  # of the table where there is no terminal


def show(filled: Filled, quick: bool) -> None:
    """Print the table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(Text("\n".join([filled.table.title, *heading(quick)]), style="bold"))
    table = RichTable()
    table.add_column("method", overflow="fold")
    table.add_column("")
    for column in filled.table.columns:
        table.add_column(f"{column.head}\n{column.metric}", justify="right")
    last = None
    for number, kind, cells in lines(filled):
        if number != last:
            table.add_section()
        label = _label(filled, number) if number != last else ""
        last = number
        style = {"oracle": "dim", "published": "italic"}.get(kind, "")
        narrow = (cell.replace(" to ", " to\n") for cell in cells)
        table.add_row(label, *(Text(cell, style=style) for cell in (kind, *narrow)))
    console.print(table)
    for note in notes(filled):
        console.print(Text(f"- {note}"))


def write(filled: Filled, quick: bool, path: Path, facts: Mapping[str, Any]) -> None:
    """Write ``FILE.md`` and ``FILE.json`` beside it.

    Args:
        filled: the table.
        quick: whether its figures mean nothing.
        path: the Markdown file.
        facts: the runs' data, for the JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(path.with_suffix(".json"), {**facts, **as_json(filled, quick)})
    path.write_text(as_markdown(filled, quick), encoding="utf-8")


def as_markdown(filled: Filled, quick: bool) -> str:
    """The table as a document."""
    heads = [f"{column.head} {column.metric}" for column in filled.table.columns]
    rows = []
    last = None
    for number, kind, cells in lines(filled):
        rows.append([_label(filled, number) if number != last else "", kind, *cells])
        last = number
    body = documents.table(["method", "", *heads], rows, words=(0, 1))
    parts = [f"# {filled.table.title}", *heading(quick), body]
    if remarks := notes(filled):
        parts.append("\n".join(f"- {note}" for note in remarks))
    return documents.document(parts)


def as_json(filled: Filled, quick: bool) -> dict[str, Any]:
    """The table with all of our figures and their intervals."""
    table = filled.table
    return {
        "title": table.title,
        "quick": quick,
        "heading": heading(quick),
        "notes": notes(filled),
        "columns": [asdict(column) for column in table.columns],
        "rows": [
            {
                "label": row.label,
                "config": row.config,
                "pretrained": row.pretrained,
                "published": list(row.published),
                "runs": [str(path) for path in filled.runs.get(number, [])],
                "ours": [
                    {s: asdict(v) for s, v in filled.values.get((number, place), {}).items()}
                    for place in range(len(table.columns))
                ],
            }
            for number, row in enumerate(table.rows)
        ],
    }


def heading(quick: bool) -> list[str]:
    """The text above every table."""
    return [QUICK_HEADING, HEADING] if quick else [HEADING]


def notes(filled: Filled) -> list[str]:
    """What a reader must know of this table and its rows."""
    table = filled.table
    alone = [row.label for row in table.rows if row.config is None]
    of_rows = [f"{row.label}: {row.note}" for row in table.rows if row.note]
    unknown = [f"Published figures only, since there is no such system here: {'; '.join(alone)}."]
    return [*filled.warnings, *table.notes, *of_rows, *(unknown if alone else [])]


def lines(filled: Filled) -> Iterator[tuple[int, str, list[str]]]:
    """Number of the row, kind of the figures, one cell per column."""
    table = filled.table
    for number, row in enumerate(table.rows):
        yield number, "published", list(row.published)
        ours = [filled.values.get((number, place), {}) for place in range(len(table.columns))]
        digits = [_digits(filled, place) for place in range(len(table.columns))]
        columns = list(zip(table.columns, ours, digits, strict=True))
        figures = {
            "strict": [_mean(c, v, "strict", d) for c, v, d in columns],
            "95 %": [_interval(c, v, d) for c, v, d in columns],
            "oracle": [_mean(c, v, "oracle", d) for c, v, d in columns],
        }
        for kind, cells in figures.items():
            if any(cells):
                yield number, kind, cells


def _label(filled: Filled, number: int) -> str:
    row = filled.table.rows[number]
    return f"{row.label} ({row.config})" if row.config and filled.runs.get(number) else row.label


def _digits(filled: Filled, place: int) -> int:
    """Decimals that the paper prints in a column."""
    printed = [row.published[place] for row in filled.table.rows]
    return max(len(p.partition(".")[2]) for p in printed if p != MISSING)


def _mean(
    column: Column, values: Mapping[Selection, Value], selection: Selection, digits: int
) -> str:
    value = values.get(selection)
    return "" if value is None else _number(column, value.mean, digits)


def _interval(column: Column, values: Mapping[Selection, Value], digits: int) -> str:
    value = values.get("strict")
    if value is None or value.interval is None:
        return ""
    ends = (value.interval.low, value.interval.high)
    return " to ".join(_number(column, end, digits) for end in ends)


def _number(column: Column, value: float, digits: int) -> str:
    return f"{100 * value if column.percent else value:.{digits}f}"
