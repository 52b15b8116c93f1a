"""Gains of pretraining: cells of systems and databases, as table, verdict and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import msgspec
from reproduction.tables import Setting

from measuring.arms import ARMS, NONE, PRETRAINED, STEPS
from recognizers.evaluation.comparison import Comparison, compare
from recognizers.report import Run

DATABASES = {"casme2": "CASME II", "samm": "SAMM"}
WANTED = 0.086
"""The mean gain in F1 that paper 004 reports over four recognizers and two databases."""

HEAD = (
    "system", "database", "learned from", "UF1", "UAR", "accuracy", "clips seen", "gain", "95 %",
    "s",
)  # fmt: skip
WORDS = range(3)
"""The columns of ``HEAD`` that hold words."""


def words_of(setting: Setting) -> str:
    """The databases of a setting, in words."""
    return " to ".join(DATABASES[name] for name in setting.databases)


@dataclass(frozen=True, slots=True)
class Cell:
    """A system on a database.

    Attributes:
        system: its name.
        setting: the database, and how it is divided.
        runs: by arm; ``NONE`` and ``STEPS`` are always there.
        gains: in UF1, of all other arms against ``STEPS``.
        over_warp: in UF1, of the arms that learn from AU-ICGAN against the warp, where both are.
    """

    system: str
    setting: Setting
    runs: Mapping[str, Run]
    gains: Mapping[str, Comparison]
    over_warp: Mapping[str, Comparison]

    @classmethod
    def of(cls, system: str, setting: Setting, runs: Mapping[str, Run]) -> Cell:
        """Compare the runs of a system."""
        strict = {arm: run.predictions["strict"] for arm, run in runs.items()}
        gains = {arm: compare(strict[arm], strict[STEPS]) for arm in runs if arm != STEPS}
        others = [arm for arm in runs if arm in PRETRAINED and arm != "warp" and "warp" in runs]
        over_warp = {arm: compare(strict[arm], strict["warp"]) for arm in others}
        return cls(system, setting, runs, gains, over_warp)

    def above_chance(self, arm: str) -> bool:
        """Whether UAR's interval lies above 1 / C, the UAR of any answer blind to the clip."""
        interval = self.runs[arm].interval("strict", "uar")
        classes = self.runs[arm].predictions["strict"].classes
        # Always predicting one class gives chance itself, except for rounding.
        return interval is not None and interval.low > 1 / len(classes) + 1e-6


def rows(cells: Sequence[Cell]) -> list[list[str]]:
    """The table under ``HEAD``: one row per cell and arm."""
    found = []
    for cell in cells:
        for i, (arm, run) in enumerate(cell.runs.items()):
            scores = run.scores["strict"]["Full"]
            means = [
                f"{scores.mean[key]:.3f}" + (f" ± {scores.sd[key]:.3f}" if scores.sd else "")
                for key in ("uf1", "uar", "accuracy")
            ]
            gain = cell.gains[arm].difference if arm in cell.gains else None
            found.append(
                [
                    "" if i else f"`{cell.system}`",
                    "" if i else words_of(cell.setting),
                    ARMS[arm].words,
                    *means,
                    f"{run.results.clips_seen:.0f}",
                    "" if gain is None else f"{gain.estimate:+.3f}",
                    "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
                    f"{run.results.seconds:.0f}",
                ]
            )
    return found


def summary(gains: Sequence[Comparison]) -> dict[str, float | None]:
    """Gains over pairs of system and database; the mean of no pairs is None."""
    found = [gain.difference for gain in gains]
    return {
        "mean": fmean(gain.estimate for gain in found) if found else None,
        "cells": len(found),
        "above": sum(gain.low > 0 for gain in found),
        "below": sum(gain.high < 0 for gain in found),
    }


def summaries(cells: Sequence[Cell], arm: str) -> dict[str, dict[str, float | None]]:
    """Summaries of all pairs, of those that learn from real clips, and against the warp."""
    taught = [cell for cell in cells if cell.above_chance(STEPS)]
    return {
        "all": summary([cell.gains[arm] for cell in cells]),
        "above_chance_on_real_clips": summary([cell.gains[arm] for cell in taught]),
        "over_warp": summary([c.over_warp[arm] for c in cells if arm in c.over_warp]),
    }


def verdict(cells: Sequence[Cell]) -> str:
    """The test of the claim, as a list."""
    lines = []
    for arm in (name for name in cells[0].runs if name in PRETRAINED):
        found = summaries(cells, arm)
        line = f"- {ARMS[arm].words}: {_said(found['all'])} of system and database"
        for key, words in (
            ("above_chance_on_real_clips", "Where real clips alone give more than chance"),
            ("over_warp", "Against the AU warp"),
        ):
            if found[key]["cells"]:
                line += f". {words}: {_said(found[key])}"
        lines.append(f"{line}. {_above(cells, arm)}.")
    few = summaries(cells, NONE)["all"]
    lines.append(
        f"- Real clips alone for their own epochs instead of as many steps: {_said(few)}. "
        f"{_above(cells, NONE)}, with as many steps {_above(cells, STEPS).lower()}."
    )
    return "\n".join(lines)


def _above(cells: Sequence[Cell], arm: str) -> str:
    return f"Above chance: {sum(cell.above_chance(arm) for cell in cells)} of {len(cells)} pairs"


def _said(found: Mapping[str, float | None]) -> str:
    return (
        f"mean gain in UF1 {found['mean']:+.3f}; the interval lies above zero in "
        f"{found['above']} and below zero in {found['below']} of {found['cells']} pairs"
    )


def figures(cells: Sequence[Cell]) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    arms = [arm for arm in cells[0].runs if arm != STEPS]
    return {
        "summary": {arm: summaries(cells, arm) for arm in arms},
        "cells": [
            {
                "system": cell.system,
                "databases": list(cell.setting.databases),
                "above_chance": {arm: cell.above_chance(arm) for arm in cell.runs},
                "scores": {
                    arm: {s: scores["Full"].to_dict() for s, scores in run.scores.items()}
                    for arm, run in cell.runs.items()
                },
                "gains": {arm: asdict(gain) for arm, gain in cell.gains.items()},
                "over_warp": {arm: asdict(gain) for arm, gain in cell.over_warp.items()},
                "clips_seen": {arm: run.results.clips_seen for arm, run in cell.runs.items()},
                "seconds": {arm: run.results.seconds for arm, run in cell.runs.items()},
                "data": msgspec.to_builtins(cell.runs[NONE].results.data),
            }
            for cell in cells
        ],
    }
