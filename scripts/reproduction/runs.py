"""The runs of a table, and their figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recognizers.evaluation.comparison import Interval, bootstrap_subjects
from recognizers.evaluation.metrics import FULL, Statistic, score_seeds
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.report import Run
from recognizers.report.run import SELECTIONS
from recognizers.runs.records import Selection
from reproduction.quick import quick_request
from reproduction.stores import Stores, foreign
from reproduction.tables import Column, Row, Setting, Table

logger = logging.getLogger("recognizers.scripts.reproduction")


@dataclass(frozen=True, slots=True)
class Value:
    """A figure of ours: the mean over seeds.

    Attributes:
        mean: in [0, 1].
        interval: over people; None where only one person is tested.
    """

    mean: float
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How tables are run.

    Attributes:
        stores: the stores given.
        folder: folder of a paper's runs.
        seeds: number of seeds.
        seed: the first seed.
        overrides: overrides of every run, after those of a row.
        quick: whether tiny forms of the models are tested on groups of people.
    """

    stores: Stores
    folder: Path
    seeds: int = 1
    seed: int = 0
    overrides: Sequence[str] = ()
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """A table with our figures.

    Attributes:
        table: as published.
        values: by row and column (numbers), then by selection; without those that were not run.
        runs: folders, by row, each once.
        warnings: what else affects our figures.
    """

    table: Table
    values: dict[tuple[int, int], Mapping[Selection, Value]] = field(default_factory=dict)
    runs: dict[int, list[Path]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def lacking(table: Table, rows: Sequence[int], stores: Stores) -> list[str]:
    """The stores that rows of a table need and that were not given, each once, with what to do."""
    found: dict[str, None] = {}
    for number in rows:
        row = table.rows[number]
        for column in table.columns if row.config else ():
            found |= dict.fromkeys(stores.missing(row, row.setting(column)))
    return list(found)


def fill(table: Table, rows: Sequence[int], plan: Plan) -> Filled:
    """Run rows of a table, as far as there are stores, and gather their figures.

    Args:
        table: the table.
        rows: numbers of the rows to run.
        plan: how to run them.
    """
    filled = Filled(table, warnings=remarks(plan))
    for number in rows:
        row = table.rows[number]
        opened: dict[Setting, Run] = {}
        for place, column in enumerate(table.columns if row.config else ()):
            setting = row.setting(column)
            if plan.stores.missing(row, setting):
                continue
            if setting not in opened:
                logger.info("table %s, %s: %s", table.number, row.label, setting.name)
                opened[setting] = Run.open(perform(row, setting, plan))
            if values := values_of(opened[setting], column):
                filled.values[number, place] = values
        filled.runs[number] = [run.path for run in opened.values()]
    return filled


def remarks(plan: Plan) -> list[str]:
    """How our figures differ from the table's data or settings."""
    found = [] if plan.quick else foreign(plan.stores)
    if plan.overrides:
        found.append(f"Settings changed for all of our figures: {', '.join(plan.overrides)}.")
    if plan.seeds > 1:
        found.append(f"Our figures are means over {plan.seeds} seeds.")
    return found


def perform(row: Row, setting: Setting, plan: Plan) -> Path:
    """Run a row on a setting, or continue a stopped run; returns the run's folder."""
    return evaluate(request(row, setting, plan), plan.folder / row.run_name(setting))


def request(row: Row, setting: Setting, plan: Plan) -> Request:
    """The request for :func:`recognizers.experiment.evaluate.evaluate`."""
    assert row.config is not None
    stores = plan.stores
    start = stores.pretraining(setting.database) if row.pretrained else None
    asked = Request(
        split=setting.split,
        model=row.config,
        data=stores.of(setting),
        test=[stores.real[setting.test]] if setting.test else [],
        pretrain=[start] if start else [],
        mix=[stores.real[row.mix]] if row.mix else [],
        classes=setting.classes,
        seeds=plan.seeds,
        seed=plan.seed,
        overrides=row.changes(setting.database),
    )
    asked = quick_request(asked) if plan.quick else asked
    return replace(asked, overrides=(*asked.overrides, *plan.overrides))


def values_of(run: Run, column: Column) -> dict[Selection, Value]:
    """A column's figures by selection; none if the run tested no clip of the part."""
    parts = {s: part_of(run.predictions[s], column.part) for s in SELECTIONS if s in run.scores}
    return {s: value_of(p, column.statistic) for s, p in parts.items() if p is not None}


def part_of(predictions: Predictions, part: str) -> Predictions | None:
    """The predictions for a database's clips; None if there are none."""
    if part == FULL:
        return predictions
    frame = predictions.frame[predictions.frame["dataset"] == part]
    return Predictions(frame, predictions.classes) if len(frame) else None


def value_of(predictions: Predictions, statistic: Statistic) -> Value:
    """A figure with its interval over people."""
    several = predictions.codes.subject.max() > 0
    interval = bootstrap_subjects(predictions, statistic) if several else None
    return Value(score_seeds(predictions).mean[statistic], interval)
