"""A ranking as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mersynth.pages.rendering import figure, signed
from recognizers.report.figures import Figure
from recognizers.report.run import Selection

if TYPE_CHECKING:
    from rich.table import Table

    from recognizers.report.ranking import Entry, Ranking


def ranking_table(ranking: Ranking) -> Table:
    """The ranking as a ``rich`` table: strict runs by rank, then those of habit paper, unranked.

    The oracle's figures stand below a run's strict ones, dimmed, as do all figures of habit paper.
    Beneath the table stands what was compared, and each run that could not be, with the reason.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    alone = len(ranking.ranked) + len(ranking.apart) == 1
    table = Table(
        box=box.SIMPLE,
        title=None if alone else "Runs by strict UF1",
        caption=Text("\n".join(_notes(ranking))),
        caption_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("Run", overflow="fold")
    for name in ("UF1", "UAR", "Accuracy", *(() if alone else ("Difference", "p"))):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, entry in enumerate(ranking.ranked, start=1):
        versus = () if alone else (_difference(entry), _p(entry))
        cells = ("" if alone else str(rank), _name(entry), *_figures(entry, "strict"), *versus)
        table.add_row(*(Text(cell) for cell in cells))
        if "oracle" in entry.figures:
            cells = ("", "oracle, not a result", *_figures(entry, "oracle"))
            table.add_row(*(Text(cell, style="dim") for cell in cells))
    table.add_section()
    for entry in ranking.apart:
        mark, name = "-", f"{_name(entry)}\n"
        for selection in sorted(entry.figures, key=lambda one: one != entry.headline):
            cells = (mark, f"{name}{selection}, not a result", *_figures(entry, selection))
            table.add_row(*(Text(cell, style="dim") for cell in cells))
            mark = name = ""
    return table


def _notes(ranking: Ranking) -> list[str]:
    notes = []
    if any(entry.comparison for entry in ranking.ranked):
        notes.append(f"Differences in UF1 are to {ranking.baseline}, resampled over subjects.")
    for entry in ranking.ranked:
        if entry.incomparable:
            notes.append(f"{entry.name} is not compared: {entry.incomparable}.")
    notes += ranking.warnings
    for entry in ranking.apart:
        reasons = "; ".join(entry.marked) or "published habits"
        notes.append(f"{entry.name} is not ranked, since it is no result: {reasons}.")
    return notes


def _name(entry: Entry) -> str:
    return f"{entry.model}, {entry.protocol.partition(',')[0]}\n{entry.name}"


def _figures(entry: Entry, selection: Selection) -> tuple[str, str, str]:
    """UF1 with its interval over subjects below, UAR and accuracy."""
    figures = entry.figures[selection]
    interval = figures["uf1"].interval
    uf1 = _with_sd(figures["uf1"], " ")
    if interval:
        uf1 += f"\n{figure(interval.low)} to {figure(interval.high)}"
    return uf1, _with_sd(figures["uar"], "\n"), _with_sd(figures["accuracy"], "\n")


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
