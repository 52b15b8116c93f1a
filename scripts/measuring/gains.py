"""Gains of pretraining: cells of systems and databases, as table, verdict and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import msgspec

from recognizers.evaluation.comparison import Comparison
from recognizers.report import Run

NONE = "none"
"""Instead of a generator: real clips alone."""
LONGER = "longer"
"""Likewise, with about as many steps as pretraining and fine-tuning take together."""

DATABASES = {"casme2": "CASME II", "samm": "SAMM"}
GENERATORS = {"warp": "AU warp", "icgan": "AU-ICGAN"}
ARMS = {NONE: "real clips alone", LONGER: "the same, for about as many steps", **GENERATORS}
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
        gains_over_longer: in UF1, of the generators against ``LONGER``, where there is one.
    """

    system: str
    database: str
    runs: Mapping[str, Run]
    gains: Mapping[str, Comparison]
    gains_over_longer: Mapping[str, Comparison]

    def above_chance(self, arm: str) -> bool:
        """Whether UAR's interval lies above 1 / C, the UAR of any answer blind to the clip."""
        interval = self.runs[arm].interval("strict", "uar")
        classes = self.runs[arm].predictions["strict"].classes
        # Always predicting one class gives chance itself, except for rounding.
        return interval is not None and interval.low > 1 / len(classes) + 1e-6


def rows(cells: Sequence[Cell], generators: Sequence[str]) -> list[list[str]]:
    """The table under ``HEAD``: one row per cell and generator."""
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
                    f"{cell.runs[generator].results.seconds:.0f}",
                ]
            )
    return found


def summary(gains: Sequence[Comparison]) -> dict[str, float | None]:
    """A generator's gains over pairs of system and database; the mean of no pairs is None."""
    found = [gain.difference for gain in gains]
    return {
        "mean": fmean(gain.estimate for gain in found) if found else None,
        "cells": len(found),
        "above": sum(gain.low > 0 for gain in found),
        "below": sum(gain.high < 0 for gain in found),
    }


def summaries(cells: Sequence[Cell], generator: str) -> dict[str, dict[str, float | None]]:
    """Summaries of all pairs, of those that learn from real clips, and against ``LONGER``."""
    taught = [cell for cell in cells if cell.above_chance(NONE)]
    return {
        "all": summary([cell.gains[generator] for cell in cells]),
        "above_chance_on_real_clips": summary([cell.gains[generator] for cell in taught]),
        "over_longer": summary(
            [c.gains_over_longer[generator] for c in cells if generator in c.gains_over_longer]
        ),
    }


def verdict(cells: Sequence[Cell], generators: Sequence[str]) -> str:
    """The test of the claim, as a list."""
    lines = []
    for generator in generators:
        found = summaries(cells, generator)
        learns = sum(cell.above_chance(generator) for cell in cells)
        line = f"- {GENERATORS[generator]}: {_said(found['all'])} of system and database"
        for key, words in (
            ("above_chance_on_real_clips", "Where real clips alone give more than chance"),
            ("over_longer", "Against real clips alone for about as many steps"),
        ):
            if found[key]["cells"]:
                line += f". {words}: {_said(found[key])}"
        lines.append(f"{line}. Above chance: {learns} of {len(cells)} pairs.")
    alone = sum(cell.above_chance(NONE) for cell in cells)
    lines.append(f"- Real clips alone: above chance in {alone} of {len(cells)} pairs.")
    return "\n".join(lines)


def _said(found: Mapping[str, float | None]) -> str:
    return (
        f"mean gain in UF1 {found['mean']:+.3f}; the interval lies above zero in "
        f"{found['above']} and below zero in {found['below']} of {found['cells']} pairs"
    )


def figures(cells: Sequence[Cell], generators: Sequence[str]) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    return {
        "summary": {generator: summaries(cells, generator) for generator in generators},
        "cells": [
            {
                "system": cell.system,
                "database": cell.database,
                "above_chance": {arm: cell.above_chance(arm) for arm in cell.runs},
                "scores": {
                    g: {s: scores["Full"].to_dict() for s, scores in run.scores.items()}
                    for g, run in cell.runs.items()
                },
                "gains": {g: asdict(gain) for g, gain in cell.gains.items()},
                "gains_over_longer": {g: asdict(x) for g, x in cell.gains_over_longer.items()},
                "seconds": {g: run.results.seconds for g, run in cell.runs.items()},
                "data": msgspec.to_builtins(cell.runs[NONE].results.data),
            }
            for cell in cells
        ],
    }
