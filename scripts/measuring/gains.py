"""Gains of pretraining: cells of systems and databases, as table, verdict and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from reproduction.tables import Setting

from measuring.arms import ARMS, NONE, PRETRAINED, STEPS
from measuring.baseline import most_frequent
from recognizers.evaluation.comparison import Comparison, Interval, compare, mean_difference
from recognizers.evaluation.metrics import Statistic
from recognizers.evaluation.predictions import Predictions
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
class Outcome:
    """What an arm reached; strict.

    Attributes:
        mean: over seeds, by statistic.
        sd: over seeds, by statistic; None of one seed.
        uar: its interval over people; None if there is but one person.
        clips_seen: mean over folds and seeds.
        seconds: of all folds and pretrainings.
    """

    mean: Mapping[Statistic, float]
    sd: Mapping[Statistic, float] | None
    uar: Interval | None
    clips_seen: float
    seconds: float

    @classmethod
    def of(cls, run: Run) -> Outcome:
        """Read it off a run."""
        scores, told = run.scores["strict"]["Full"], run.results
        interval = run.interval("strict", "uar")
        return cls(scores.mean, scores.sd, interval, told.clips_seen, told.seconds)


@dataclass(frozen=True, slots=True)
class Cell:
    """A system on a database.

    Attributes:
        system: its name.
        setting: the database, and how it is divided.
        settings: checksum of all that decides the outcome; another one is another measurement.
        clips, people: number of those tested.
        classes: of the answer.
        nothing: what the most frequent class reaches, in words.
        device: of the runs.
        outcomes: by arm; ``NONE`` and ``STEPS`` are always there.
        gains: in UF1, of all other arms against ``STEPS``.
        over_warp: in UF1, of the arms that learn from AU-ICGAN against the warp, where both are.
    """

    system: str
    setting: Setting
    settings: str
    clips: int
    people: int
    classes: int
    nothing: str
    device: str
    outcomes: Mapping[str, Outcome]
    gains: Mapping[str, Comparison]
    over_warp: Mapping[str, Comparison]

    @classmethod
    def of(cls, system: str, setting: Setting, settings: str, runs: Mapping[str, Run]) -> Cell:
        """Compare the runs of a system."""
        strict = {arm: run.predictions["strict"] for arm, run in runs.items()}
        others = [arm for arm in runs if arm in PRETRAINED and arm != "warp" and "warp" in runs]
        none = strict[NONE]
        return cls(
            system=system,
            setting=setting,
            settings=settings,
            clips=len(none.true_labels()),
            people=none.num_subjects,
            classes=len(none.classes),
            nothing=most_frequent(none),
            device=runs[NONE].results.device,
            outcomes={arm: Outcome.of(run) for arm, run in runs.items()},
            gains={arm: compare(strict[arm], strict[STEPS]) for arm in runs if arm != STEPS},
            over_warp={arm: compare(strict[arm], strict["warp"]) for arm in others},
        )

    def above_chance(self, arm: str) -> bool:
        """Whether UAR's interval lies above 1 / C, the UAR of any answer blind to the clip."""
        interval = self.outcomes[arm].uar
        # Always predicting one class gives chance itself, except for rounding.
        return interval is not None and interval.low > 1 / self.classes + 1e-6


def recorded(path: Path) -> list[Cell]:
    """The cells that were measured before, as :func:`figures` has them; none without a file."""
    if not path.exists():
        return []
    return msgspec.json.decode(path.read_bytes(), type=Recorded).cells


class Recorded(msgspec.Struct):
    """What of a file of figures is read again."""

    cells: list[Cell]


def rows(cells: Sequence[Cell]) -> list[list[str]]:
    """The table under ``HEAD``: one row per cell and arm."""
    found = []
    for cell in cells:
        for i, arm in enumerate(arms_of([cell])):
            outcome, sd = cell.outcomes[arm], cell.outcomes[arm].sd
            means = [
                f"{outcome.mean[key]:.3f}" + (f" ± {sd[key]:.3f}" if sd else "")
                for key in ("uf1", "uar", "accuracy")
            ]
            gain = cell.gains[arm].difference if arm in cell.gains else None
            found.append(
                [
                    "" if i else f"`{cell.system}`",
                    "" if i else words_of(cell.setting),
                    ARMS[arm].words,
                    *means,
                    f"{outcome.clips_seen:.0f}",
                    "" if gain is None else f"{gain.estimate:+.3f}",
                    "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
                    f"{outcome.seconds:.0f}",
                ]
            )
    return found


def arms_of(cells: Sequence[Cell]) -> list[str]:
    """The arms that all cells have, in the order of the table."""
    return [arm for arm in ARMS if all(arm in cell.outcomes for cell in cells)]


Answers = Mapping[tuple[str, Setting], Mapping[str, Predictions]]
"""Strict predictions of a system on a database, by arm."""


def summary(gains: Sequence[Comparison], mean: Interval | None) -> dict[str, float | None]:
    """Gains over pairs of system and database; the mean of no pairs is None."""
    found = [gain.difference for gain in gains]
    return {
        "mean": fmean(gain.estimate for gain in found) if found else None,
        "low": mean and mean.low,
        "high": mean and mean.high,
        "cells": len(found),
        "above": sum(gain.low > 0 for gain in found),
        "below": sum(gain.high < 0 for gain in found),
    }


def summaries(
    cells: Sequence[Cell], arm: str, answers: Answers
) -> dict[str, dict[str, float | None]]:
    """Summaries of all pairs, of those that learn from real clips, and against the warp.

    Means have an interval over people where the answers of all pairs are known.
    """
    taught = [cell for cell in cells if cell.above_chance(STEPS)]
    compared = [cell for cell in cells if arm in cell.over_warp]

    def mean(among: Sequence[Cell], baseline: str) -> Interval | None:
        known = [answers.get((cell.system, cell.setting)) for cell in among]
        pairs = [(each[arm], each[baseline]) for each in known if each is not None]
        return mean_difference(pairs) if pairs and len(pairs) == len(among) else None

    return {
        "all": summary([cell.gains[arm] for cell in cells], mean(cells, STEPS)),
        "above_chance_on_real_clips": summary(
            [cell.gains[arm] for cell in taught], mean(taught, STEPS)
        ),
        "over_warp": summary([cell.over_warp[arm] for cell in compared], mean(compared, "warp")),
    }


def verdict(cells: Sequence[Cell], answers: Answers) -> str:
    """The test of the claim, as a list."""
    lines = []
    for arm in (name for name in arms_of(cells) if name in PRETRAINED):
        found = summaries(cells, arm, answers)
        line = f"- {ARMS[arm].words}: {_said(found['all'])} of system and database"
        for key, words in (
            ("above_chance_on_real_clips", "Where real clips alone give more than chance"),
            ("over_warp", "Against the AU warp"),
        ):
            if found[key]["cells"]:
                line += f". {words}: {_said(found[key])}"
        lines.append(f"{line}. {_above(cells, arm)}.")
    few = summaries(cells, NONE, answers)["all"]
    lines.append(
        f"- Real clips alone for their own epochs instead of as many steps: {_said(few)}. "
        f"{_above(cells, NONE)}, with as many steps {_above(cells, STEPS).lower()}."
    )
    return "\n".join(lines)


def _above(cells: Sequence[Cell], arm: str) -> str:
    return f"Above chance: {sum(cell.above_chance(arm) for cell in cells)} of {len(cells)} pairs"


def _said(found: Mapping[str, float | None]) -> str:
    known = found["low"] is not None
    interval = f" ({found['low']:+.3f} to {found['high']:+.3f})" if known else ""
    return (
        f"mean gain in UF1 {found['mean']:+.3f}{interval}; the interval lies above zero in "
        f"{found['above']} and below zero in {found['below']} of {found['cells']} pairs"
    )


def figures(cells: Sequence[Cell], answers: Answers) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    arms = [arm for arm in arms_of(cells) if arm != STEPS]
    return {
        "summary": {arm: summaries(cells, arm, answers) for arm in arms},
        "cells": msgspec.to_builtins(list(cells)),
    }
