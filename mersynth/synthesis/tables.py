"""The plan as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mersynth.logs import console
from mersynth.synthesis.plan import PlanSummary


def show_plan(summary: Sequence[PlanSummary]) -> None:
    """Print the counts of a plan, one row per set and class."""
    table = Table(title="plan of the synthetic store", title_justify="left")
    several = len({row.group for row in summary}) > 1
    if several:
        table.add_column("set", justify="right")
    table.add_column("class", no_wrap=True)
    for name in ("real clips", "synthetic", "subjects x clips", "AU curves x uses"):
        table.add_column(name, justify="right")
    for row in summary:
        cells = [
            row.emotion,
            str(row.real),
            str(row.synthetic),
            f"{row.subjects} x {_span(row.per_subject)}",
            f"{row.templates} x {_span(row.per_template)}",
        ]
        table.add_row(*([str(row.group)] if several else []), *cells)
    console.print(table)


def _span(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low}-{high}"
