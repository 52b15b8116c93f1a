"""What pretraining gains: cells of systems and databases, as table, verdict and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from measuring.baseline import most_frequent
from recognizers.comparison import Comparison
from recognizers.report import Run

NONE = "none"
"""In the place of a generator: real clips alone."""
LONGER = "longer"
"""Likewise, with as many steps as pretraining and fine-tuning take together."""

DATABASES = {"casme2": "CASME II", "samm": "SAMM"}
GENERATORS = {"warp": "AU warp", "icgan": "AU-ICGAN"}
ARMS = {NONE: "real clips alone", LONGER: "the same, for as many steps", **GENERATORS}
WANTED = 0.086
"""The mean gain in F1 that paper 004 reports over four recognizers and two databases."""

HEAD = ("system", "database", "pretrained on", "UF1", "UAR", "accuracy", "gain", "95 %", "s")
WORDS = range(3)
"""The columns of ``HEAD`` that hold words."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A system on a database.

    Attributes:
        system: its name.
        database: name of the store.
        runs: by generator, and ``NONE``; ``LONGER`` where it was asked for.
        gains: in UF1, of all but ``NONE`` against it.
    """

    system: str
    database: str
    runs: Mapping[str, Run]
    gains: Mapping[str, Comparison]

    @property
    def real_clips_teach(self) -> bool:
        """Whether, of real clips alone, UF1's interval lies above naming the commonest class."""
        run = self.runs[NONE]
        interval = run.interval("strict", "uf1")
        _, nothing = most_frequent(run.predictions["strict"])
        return interval is not None and interval.low > nothing.uf1


def rows(cells: Sequence[Cell], generators: Sequence[str]) -> list[list[str]]:
    """The table under ``HEAD``: a row a cell and generator."""
    found = []
    for cell in cells:
        for generator in (NONE, LONGER, *generators):
            if generator not in cell.runs:
                continue
            first = generator == NONE
            scores = cell.runs[generator].scores["strict"]["Full"]
            means = [
                f"{scores.mean[key]:.3f}" + (f" ± {scores.sd[key]:.3f}" if scores.sd else "")
                for key in ("uf1", "uar", "accuracy")
            ]
            gain = None if first else cell.gains[generator].difference
            found.append(
                [
                    f"`{cell.system}`" if first else "",
                    DATABASES[cell.database] if first else "",
                    ARMS[generator],
                    *means,
                    "" if gain is None else f"{gain.estimate:+.3f}",
                    "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
                    f"{cell.runs[generator].results['seconds']:.0f}",
                ]
            )
    return found


def summary(cells: Sequence[Cell], generator: str) -> dict[str, float | None]:
    """What a generator gave over all cells; the mean of none is None."""
    gains = [cell.gains[generator].difference for cell in cells]
    return {
        "mean": fmean(gain.estimate for gain in gains) if gains else None,
        "cells": len(gains),
        "above": sum(gain.low > 0 for gain in gains),
        "below": sum(gain.high < 0 for gain in gains),
    }


def verdict(cells: Sequence[Cell], generators: Sequence[str]) -> str:
    """The claim, tested, as a list: over all cells, and over those where real clips teach."""
    told = []
    for generator in generators:
        every = summary(cells, generator)
        taught = summary([cell for cell in cells if cell.real_clips_teach], generator)
        line = f"- {GENERATORS[generator]}: {_said(every)} of system and database."
        if taught["cells"]:
            line += f" Where real clips alone teach: {_said(taught)}."
        told.append(line)
    return "\n".join(told)


def _said(found: Mapping[str, float | None]) -> str:
    return (
        f"mean gain in UF1 {found['mean']:+.3f}; the interval lies above zero in "
        f"{found['above']} and below zero in {found['below']} of {found['cells']} pairs"
    )


def figures(cells: Sequence[Cell], generators: Sequence[str]) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    return {
        "summary": {generator: summary(cells, generator) for generator in generators},
        "summary_where_real_clips_teach": {
            generator: summary([cell for cell in cells if cell.real_clips_teach], generator)
            for generator in generators
        },
        "cells": [
            {
                "system": cell.system,
                "database": cell.database,
                "real_clips_teach": cell.real_clips_teach,
                "scores": {
                    g: {s: scores["Full"].to_dict() for s, scores in run.scores.items()}
                    for g, run in cell.runs.items()
                },
                "gains": {g: asdict(gain) for g, gain in cell.gains.items()},
                "seconds": {g: run.results["seconds"] for g, run in cell.runs.items()},
                "data": cell.runs[NONE].results["data"],
            }
            for cell in cells
        ],
    }
