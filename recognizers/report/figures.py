"""The figures of a run's page, computed from its predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recognizers.evaluation.comparison import Interval
from recognizers.evaluation.metrics import FULL, STATISTICS, Scores, SeedScores, Statistic
from recognizers.evaluation.predictions import Predictions
from recognizers.report.run import SELECTIONS, Run
from recognizers.runs.records import Selection


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a run.

    Attributes:
        mean: over seeds; None where it is undefined.
        sd: over seeds (K - 1 in the denominator); None for one seed.
        interval: over subjects; None where it was not computed.
    """

    mean: float | None
    sd: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """A database's figures, by selection and statistic."""

    name: str
    clips: int
    subjects: int
    figures: Mapping[Selection, Mapping[Statistic, Figure]]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class's figures over all databases, by selection."""

    name: str
    clips: int
    recall: Mapping[Selection, Figure]
    f1: Mapping[Selection, Figure]


@dataclass(frozen=True, slots=True)
class Cell:
    """Clips of a true class that were predicted as some class.

    Attributes:
        clips: number of clips, the mean over seeds.
        share: of the clips of the true class, in [0, 1]; 0 where there are none.
    """

    clips: float
    share: float


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A true class of a confusion matrix."""

    name: str
    clips: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A person's clips and their accuracy, the mean over seeds."""

    name: str
    clips: int
    accuracy: float


def headline(run: Run) -> dict[Selection, dict[Statistic, Figure]]:
    """Figures of all databases together, with their intervals over subjects."""
    return {
        selection: {
            name: Figure(figure.mean, figure.sd, run.interval(selection, name))
            for name, figure in _figures(run.scores[selection][FULL]).items()
        }
        for selection in run.scores
    }


def majority(run: Run) -> dict[Statistic, float]:
    """Figures of always predicting the most frequent class: what a model must beat."""
    counts = run.scores["strict"][FULL].scores[run.predictions["strict"].seeds[0]].confusion.sum(1)
    confusion = np.zeros((len(counts), len(counts)), dtype=np.int64)
    confusion[:, counts.argmax()] = counts
    scores = Scores.from_confusion(confusion, run.predictions["strict"].classes)
    return {name: getattr(scores, name) for name in STATISTICS}


def database_rows(run: Run) -> list[DatabaseRow]:
    """All databases together, then each; one row where there is one database."""
    keys = [clip.split("/", 2)[:2] for clip in run.predictions["strict"].clips]
    names = [FULL, *run.databases] if len(run.databases) > 1 else run.databases
    return [
        DatabaseRow(
            name=name,
            clips=sum(name in (FULL, database) for database, _ in keys),
            subjects=len({(d, subject) for d, subject in keys if name in (FULL, d)}),
            figures={s: _figures(run.scores[s][name]) for s in run.scores},
        )
        for name in names
    ]


def class_rows(run: Run) -> list[ClassRow]:
    """One row per class, in the order of the model's outputs."""
    counts = Counter(run.predictions["strict"].true_labels().values())
    pools = {s: list(run.scores[s][FULL].scores.values()) for s in run.scores}
    return [
        ClassRow(
            name=name,
            clips=counts[name],
            recall={s: _over_seeds(one.recall[name] for one in pools[s]) for s in pools},
            f1={s: _over_seeds(one.f1[name] for one in pools[s]) for s in pools},
        )
        for name in run.predictions["strict"].classes
    ]


def confusion_rows(run: Run, selection: Selection) -> list[MatrixRow]:
    """The confusion matrix over all databases, one row per true class."""
    pool = run.scores[selection][FULL].scores.values()
    confusion = np.mean([one.confusion for one in pool], axis=0)
    return [
        MatrixRow(
            name=name,
            clips=round(float(row.sum())),
            cells=[Cell(float(n), float(n / max(row.sum(), 1))) for n in row],
        )
        for name, row in zip(run.predictions[selection].classes, confusion, strict=True)
    ]


def subject_rows(predictions: Predictions) -> list[SubjectRow]:
    """One row per person, by accuracy, then by number of clips, both descending.

    A person's name includes the database only if there are several databases.
    """
    true, predicted, subject = predictions.codes
    right = (predicted == true).mean(0)
    clips = np.bincount(subject)
    accuracy = np.bincount(subject, weights=right) / clips
    people = [tuple(clip.split("/", 2)[:2]) for clip in predictions.clips]
    several = len({database for database, _ in people}) > 1
    names = {
        code: "/".join(p) if several else p[1] for p, code in zip(people, subject, strict=True)
    }
    rows = [SubjectRow(names[i], int(clips[i]), float(accuracy[i])) for i in range(len(clips))]
    return sorted(rows, key=lambda row: (-row.accuracy, -row.clips, row.name))


def seed_rows(run: Run) -> list[tuple[int, dict[Selection, Scores]]]:
    """Scores of each seed over all databases, by selection."""
    return [
        (seed, {s: run.scores[s][FULL].scores[seed] for s in SELECTIONS if s in run.scores})
        for seed in run.predictions["strict"].seeds
    ]


def _figures(scores: SeedScores) -> dict[Statistic, Figure]:
    return {
        name: Figure(scores.mean[name], scores.sd[name] if scores.sd else None)
        for name in ("uf1", "uar", "accuracy")
    }


def _over_seeds(values: Iterable[float]) -> Figure:
    """Mean and deviation; NaN, for a class without clips and then for every seed, becomes None."""
    array = np.array(list(values))
    if np.isnan(array).any():
        return Figure(None)
    return Figure(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None)
