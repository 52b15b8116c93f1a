"""Metrics of micro-expression recognition, pooled over all held-out predictions.

Symbols are those of Yang et al., "Mimicking the Annotation Process for Recognizing the Micro
Expressions" (2022), eq. 9 to 11: TP_i, FP_i, FN_i true positives, false positives and false
negatives of class i, n_i its clips, C the number of classes. They are counted over the clips of
*all* folds together, as MEGC2019 does, and never averaged over folds: most folds lack a class.

A class without clips in the pool is left out of C, in both UF1 and UAR, since its recall is 0 / 0
and MEGC2019's evaluation skips it. A clip wrongly assigned to such a class is still a false
negative of its true class. A class that has clips but is never predicted scores 0 in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mersynth.checks import check_choice
from recognizers.evaluation.prediction_checks import check_classes, check_labels
from recognizers.evaluation.predictions import Predictions

Statistic = Literal["accuracy", "uf1", "uar"]

STATISTICS: tuple[Statistic, ...] = ("accuracy", "uf1", "uar")
"""The statistics that summarize a pool of predictions."""

FULL = "Full"
"""The name that :func:`by_dataset` gives the pool of all databases."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Metrics of one pool of predictions, each in [0, 1].

    Attributes:
        classes: names of the C classes.
        confusion: (C, C) int, clips by true class (row) and predicted class (column).
        accuracy: share of the clips predicted correctly (eq. 9).
        uf1: unweighted F1, the mean of the classes' F1 (eq. 10).
        uar: unweighted average recall, the mean of the classes' recall (eq. 11).
        recall: by class; NaN for a class that no clip has.
        f1: by class; NaN for a class that no clip has.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    accuracy: float
    uf1: float
    uar: float
    recall: dict[str, float]
    f1: dict[str, float]

    @classmethod
    def from_confusion(cls, confusion: np.ndarray, classes: Sequence[str]) -> Scores:
        """Scores of a confusion matrix.

        Args:
            confusion: (C, C) int, clips by true class (row) and predicted class (column).
            classes: names of the C classes.

        Raises:
            ValueError: if the matrix is not C x C, or counts no clip.
        """
        classes = check_classes(classes)
        if confusion.shape != (len(classes), len(classes)):
            raise ValueError(
                f"the confusion matrix of {len(classes)} classes must have as many rows and "
                f"columns, got shape {confusion.shape}"
            )
        if not confusion.sum():
            raise ValueError("there are no predictions to score")
        recall, f1 = per_class(confusion)
        return cls(
            classes=classes,
            confusion=confusion,
            accuracy=float(pooled(confusion, "accuracy")),
            uf1=float(pooled(confusion, "uf1")),
            uar=float(pooled(confusion, "uar")),
            recall=dict(zip(classes, recall.tolist(), strict=True)),
            f1=dict(zip(classes, f1.tolist(), strict=True)),
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the matrix as lists, None for the recall and F1 of an absent class."""
        by_class = {
            name: {label: None if np.isnan(v) else v for label, v in values.items()}
            for name, values in (("recall", self.recall), ("f1", self.f1))
        }
        return {
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            **{name: getattr(self, name) for name in STATISTICS},
            **by_class,
        }


@dataclass(frozen=True, slots=True, eq=False)
class SeedScores:
    """Metrics of a run's seeds, each pooled over all of its clips.

    Attributes:
        scores: by seed.
        mean: mean over seeds, by statistic.
        sd: standard deviation over seeds (of a sample: K - 1 in the denominator), by statistic;
            None where there is one seed.
    """

    scores: dict[int, Scores]
    mean: dict[Statistic, float]
    sd: dict[Statistic, float] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        seeds = {str(seed): scores.to_dict() for seed, scores in self.scores.items()}
        return {"mean": dict(self.mean), "sd": self.sd and dict(self.sd), "seeds": seeds}


def score(true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Scores:
    """Score one pool of predictions.

    Args:
        true: labels of N clips.
        predicted: the labels predicted for the same clips, in the same order; to score clips of
            two tables, join them by clip id (:func:`recognizers.evaluation.predictions.join`).
        classes: names of the classes.

    Raises:
        ValueError: if there is no label, the lengths differ, or a label is not a class.
    """
    classes = check_classes(classes)
    if len(true) != len(predicted):
        raise ValueError(f"{len(true)} true labels, but {len(predicted)} predicted ones")
    check_labels(true, classes, "true")
    check_labels(predicted, classes, "predicted")
    index = {name: code for code, name in enumerate(classes)}
    rows, columns = (
        np.array([index[label] for label in labels], dtype=np.int64) for labels in (true, predicted)
    )
    return Scores.from_confusion(confusion_matrix(rows, columns, len(classes)), classes)


def score_seeds(predictions: Predictions) -> SeedScores:
    """Score each seed of a run over all of its clips; mean and standard deviation over seeds."""
    return _score_seeds(predictions, slice(None))


def _score_seeds(predictions: Predictions, clips: slice | np.ndarray) -> SeedScores:
    true, predicted, _ = predictions.codes
    scores = {
        seed: Scores.from_confusion(
            confusion_matrix(true[clips], row[clips], len(predictions.classes)), predictions.classes
        )
        for seed, row in zip(predictions.seeds, predicted, strict=True)
    }
    values = {name: [getattr(s, name) for s in scores.values()] for name in STATISTICS}
    return SeedScores(
        scores=scores,
        mean={name: float(np.mean(v)) for name, v in values.items()},
        sd={name: float(np.std(v, ddof=1)) for name, v in values.items()}
        if len(scores) > 1
        else None,
    )


def by_dataset(predictions: Predictions) -> dict[str, SeedScores]:
    """Score a run on several databases as MEGC2019 does: all clips together, then each database.

    Returns:
        ``"Full"``, then each database by its name, sorted. Of one database, both are the same.

    Raises:
        ValueError: if a database is called ``"Full"``.
    """
    databases = np.array([database for database, _, _ in predictions.true_labels()])
    names = sorted(set(databases.tolist()))
    if FULL in names:
        raise ValueError(f"{FULL!r} means all databases together; rename the database of that name")
    parts = {name: _score_seeds(predictions, databases == name) for name in names}
    return {FULL: score_seeds(predictions), **parts}


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count clips by true class (row) and predicted class (column).

    Args:
        true: (N,) int in 0..C-1.
        predicted: (N,) int in 0..C-1.
        num_classes: C.

    Returns:
        (C, C) int64.
    """
    cells = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def per_class(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and F1 of each class.

    Args:
        confusion: (..., C, C), clips by true class (row) and predicted class (column).

    Returns:
        (..., C) recall and (..., C) F1; NaN for a class that no clip has.
    """
    tp = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    n = confusion.sum(-1)
    fp = confusion.sum(-2) - tp
    fn = n - tp
    absent = np.full(tp.shape, np.nan)
    # TP_i / n_i (eq. 11)
    recall = np.divide(tp, n, out=absent.copy(), where=n > 0)
    # 2 TP_i / (2 TP_i + FP_i + FN_i) (eq. 10)
    f1 = np.divide(2 * tp, 2 * tp + fp + fn, out=absent, where=n > 0)
    return recall, f1


def pooled(confusion: np.ndarray, statistic: Statistic) -> np.ndarray:
    """A statistic of each of many confusion matrices.

    Args:
        confusion: (..., C, C), clips by true class (row) and predicted class (column); each matrix
            counts a clip or more.
        statistic: ``"accuracy"`` (eq. 9), ``"uf1"`` (eq. 10) or ``"uar"`` (eq. 11).

    Returns:
        (...) float64 in [0, 1].

    Raises:
        ValueError: if there is no such statistic.
    """
    check_choice("statistic", statistic, STATISTICS)
    if statistic == "accuracy":
        return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))
    recall, f1 = per_class(confusion)
    return np.nanmean(f1 if statistic == "uf1" else recall, axis=-1)
