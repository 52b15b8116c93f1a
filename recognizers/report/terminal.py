"""A ranking as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizers.report.figures import Figure
from recognizers.report.ranking import Entry, Ranking
from recognizers.report.rendering import figure, signed

if TYPE_CHECKING:
    from rich.table import Table


def ranking_table(ranking: Ranking) -> Table:
    """The ranking as a ``rich`` table: strict runs by rank, then those of habit paper, unranked.

    Below it stand what was compared, and each run that could not be, with the reason.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE,
        title="Runs by strict UF1",
        caption=Text("\n".join(_notes(ranking))),
        caption_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("Run", overflow="fold", ratio=1)
    for name in ("UF1", "UAR", "Accuracy", "Difference", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, entry in enumerate(ranking.ranked, start=1):
        cells = _cells(str(rank), entry, _difference(entry), _p(entry))
        table.add_row(*map(Text, cells), end_section=rank == len(ranking.ranked))
    for entry in ranking.apart:
        cells = _cells("-", entry, f"{entry.selection},\nnot a result", "")
        table.add_row(*(Text(cell, style="dim") for cell in cells))
    return table


def _notes(ranking: Ranking) -> list[str]:
    notes = []
    if any(entry.comparison for entry in ranking.ranked):
        notes.append(f"Differences in UF1 are to {ranking.baseline}, resampled over subjects.")
    notes += [
        f"{e.name} is not compared: {e.incomparable}." for e in ranking.ranked if e.incomparable
    ]
    notes += ranking.warnings
    for entry in ranking.apart:
        reasons = "; ".join(entry.marked) or "published habits"
        notes.append(f"{entry.name} is not ranked, since it is no result: {reasons}.")
    return notes


def _cells(rank: str, entry: Entry, difference: str, p: str) -> list[str]:
    interval = entry.figures["uf1"].interval
    uf1 = _with_sd(entry.figures["uf1"], " ")
    return [
        rank,
        f"{entry.model}, {entry.protocol.partition(',')[0]}\n{entry.name}",
        f"{uf1}\n{figure(interval.low)} to {figure(interval.high)}" if interval else uf1,
        _with_sd(entry.figures["uar"], "\n"),
        _with_sd(entry.figures["accuracy"], "\n"),
        difference,
        p,
    ]


def _with_sd(number: Figure, gap: str) -> str:
    return figure(number.mean) + ("" if number.sd is None else f"{gap}± {figure(number.sd)}")


def _difference(entry: Entry) -> str:
    if entry.incomparable:
        return "not comparable"
    if entry.comparison is None:
        return "baseline"
    by = entry.comparison.difference
    return f"{signed(by.estimate)}\n{signed(by.low)} to {signed(by.high)}"


def _p(entry: Entry) -> str:
    return "" if entry.comparison is None else figure(entry.comparison.p)
