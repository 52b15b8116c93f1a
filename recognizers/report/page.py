"""The page of one run: ``report.html``."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mersynth.disk.files import real_path
from recognizers.evaluation.calibration import calibration
from recognizers.report import figures
from recognizers.report.charts import Chart, calibration_plots, learning_charts
from recognizers.report.clips import clip_links, surest_mistakes
from recognizers.report.reading import what_to_read_first
from recognizers.report.rendering import render
from recognizers.report.run import Run
from recognizers.runs.records import Results, Selection

SPLITS = {
    "loso": "leave one subject out",
    "lovo": "leave one video out",
    "cde": "composite database evaluation",
    "cross": "cross-database",
}
"""The splits' full names."""

_EPOCHS = {
    "fixed": "epochs fixed beforehand",
    "inner": "epochs chosen on inner subjects of the training part",
}


def write_report(run: str | Path) -> Path:
    """Write the page of a finished run.

    The page is self-contained: no script, font or picture from elsewhere. It is written whole or
    not at all.

    Args:
        run: a run's folder.

    Returns:
        ``report.html`` in that folder.

    Raises:
        RunError: if the folder is not a complete, readable run.
    """
    opened = Run.open(run)
    page = opened.path / "report.html"
    return render("page.html.j2", page, **_content(opened), links=clip_links([opened], page))


@dataclass(frozen=True, slots=True)
class Leaks:
    """Leaks of one kind that were allowed in one fold: their number, and the first one."""

    fold: str
    kind: str
    number: int
    clip: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChosenWay:
    """A way to use the clips to pretrain on: the folds that chose it, and its mean gain in UF1."""

    name: str
    folds: int
    gain: float


@dataclass(frozen=True, slots=True)
class Epochs:
    """The chosen epochs of a selection's folds: lowest, median, highest."""

    low: int
    median: float
    high: int


def describe_split(results: Results) -> str:
    """For instance ``LOSO, leave one subject out`` or ``LOSO, subjects in 4 groups``."""
    groups = results.groups
    long = SPLITS[results.split] if groups is None else f"subjects in {groups} groups"
    return f"{results.split.upper()}, {long}"


def _content(run: Run) -> dict[str, Any]:
    results = run.results
    predictions = run.predictions["strict"]
    calibrated = calibration(predictions)
    return {
        "run": run,
        "results": results,
        "name": real_path(run.path).name,
        "split": describe_split(results),
        "epochs": _EPOCHS[results.selection],
        "num_clips": len(predictions.clips),
        "num_subjects": predictions.num_subjects,
        "reading": what_to_read_first(run, calibrated),
        "headline": figures.headline(run),
        "order": _order(run),
        "majority": figures.majority(run),
        "databases": figures.database_rows(run),
        "classes": figures.class_rows(run),
        "matrices": {name: figures.confusion_rows(run, name) for name in run.scores},
        "subjects": figures.subject_rows(predictions),
        "calibrated": calibrated,
        "calibration_plots": calibration_plots(calibrated),
        "mistakes": surest_mistakes(predictions),
        "seeds": figures.seed_rows(run),
        "charts": learning_charts(run.folds) if run.folds else [],
        "kept": _kept_epochs(run),
        "left_out": sum(choice.chosen is None for choice in results.choices),
        "ways": _ways(results),
        "pretrained_charts": _pretrained_charts(run),
        "unpretrained": [f.name for f in results.folds if f.pretraining is None],
        "leaks": _leaks(results),
        "missing": _missing(results),
        "mixed": sum(fold.mixed > 0 for fold in results.folds),
    }


def _order(run: Run) -> list[Selection]:
    """The headline's selection first."""
    return sorted(run.scores, key=lambda name: name != run.headline)


def _kept_epochs(run: Run) -> dict[Selection, Epochs]:
    found: dict[Selection, list[int]] = {
        "strict": [fold.epoch for fold in run.folds],
        "oracle": [fold.oracle_epoch for fold in run.folds],
    }
    return {
        selection: Epochs(min(epochs), statistics.median(epochs), max(epochs))
        for selection, epochs in found.items()
        if epochs
    }


def _ways(results: Results) -> list[ChosenWay]:
    """One row per way that folds tried."""
    tried = [choice for choice in results.choices if choice.clips]
    if not tried:
        return []
    return [
        ChosenWay(
            way.way,
            sum(choice.chosen == number for choice in tried),
            statistics.fmean(choice.tried[number].uf1 - choice.alone for choice in tried),
        )
        for number, way in enumerate(tried[0].tried)
    ]


def _pretrained_charts(run: Run) -> list[Chart]:
    return learning_charts(run.pretrained) if run.pretrained else []


def _leaks(results: Results) -> list[Leaks]:
    """One row per fold and kind, since a run may allow thousands of leaks."""
    rows = []
    for fold in results.folds:
        for kind in dict.fromkeys(leak.kind for leak in fold.leaks):
            found = [leak for leak in fold.leaks if leak.kind == kind]
            first = found[0]
            rows.append(Leaks(fold.name, kind, len(found), first.clip, first.reason))
    return rows


def _missing(results: Results) -> list[tuple[str, Sequence[str]]]:
    """For each class that folds could not learn, their names; the most frequent first."""
    counts = Counter(name for fold in results.folds for name in fold.missing)
    return [
        (name, [fold.name for fold in results.folds if name in fold.missing])
        for name, _ in counts.most_common()
    ]
