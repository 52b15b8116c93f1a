"""How sure a metric is, and whether one run beats another.

Clips of a subject resemble each other and a fold holds out a whole subject, so intervals resample
*subjects*, each with all of its clips (the cluster bootstrap; Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993), and compute the pooled metric anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from recognizers.evaluation.metrics import Statistic, pooled
from recognizers.evaluation.prediction_checks import check_same_clips
from recognizers.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile bootstrap interval over subjects.

    Attributes:
        estimate: the statistic of all subjects; with several seeds, its mean over seeds.
        low: lower end.
        high: upper end.
        level: share of the resamples between the ends.
        samples: number of resamples.
        subjects: number of subjects that were resampled.
    """

    estimate: float
    low: float
    high: float
    level: Annotated[float, Meta(gt=0, lt=1)]
    samples: Annotated[int, Meta(ge=1)]
    subjects: Annotated[int, Meta(ge=2)]


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test of two runs on the same clips, of one seed.

    It assumes independent clips, which clips of one subject are not: if it disagrees with the
    interval over subjects, trust the interval.

    Attributes:
        only_run: clips that the run has right and the baseline wrong.
        only_baseline: clips that the baseline has right and the run wrong.
        exact_p: two-sided p of the exact binomial test; 1 where both counts are 0.
        chi2: (abs(only_run - only_baseline) - 1)^2 / (only_run + only_baseline), with Edwards'
            correction for continuity; 0 where the counts are equal.
        chi2_p: its p, with one degree of freedom.
    """

    only_run: int
    only_baseline: int
    exact_p: float
    chi2: float
    chi2_p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against a baseline.

    Attributes:
        statistic: what was compared.
        difference: the run's statistic minus the baseline's; above 0 the run is better.
        p: two-sided p of no difference, by the same resamples as the interval: twice the smaller
            share of resamples that lie on one side of 0 (or on it). With B resamples it is never
            below 2 / (B + 1).
        mcnemar: McNemar's test by seed, for each seed that both runs hold; empty if they share
            none.
    """

    statistic: Statistic
    difference: Interval
    p: float
    mcnemar: dict[int, McNemar]


def bootstrap_subjects(
    predictions: Predictions,
    statistic: Statistic = "uf1",
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Confidence interval of a pooled statistic, over subjects.

    Each resample draws as many subjects as there are, with replacement, takes all of their clips,
    and computes the pooled statistic anew; with several seeds it takes the mean of the seeds'
    statistics. A class that a resample lacks is ignored in it.

    Args:
        predictions: a run.
        statistic: ``"accuracy"``, ``"uf1"`` or ``"uar"``.
        samples: number of resamples.
        seed: of the resampling.
        level: share of the resamples between the ends, in (0, 1).

    Raises:
        ValueError: if there are fewer than two subjects, or an argument is out of its range.
    """
    confusion = _by_subject(predictions)
    weights = _resample(confusion.shape[1], samples, seed)
    return _interval(
        float(pooled(confusion.sum(1), statistic).mean()),
        _statistics(confusion, weights, statistic),
        level,
        confusion.shape[1],
    )


def compare(
    run: Predictions,
    baseline: Predictions,
    statistic: Statistic = "uf1",
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compare two runs on the same clips, paired by clip.

    Each resample draws the same subjects for both runs and takes the difference of their pooled
    statistics; for a run with several seeds, that is the mean over its seeds, so that two runs may
    differ in their number of seeds.

    Args:
        run: the run to compare.
        baseline: the run that it is compared with.
        statistic: ``"accuracy"``, ``"uf1"`` or ``"uar"``.
        samples: number of resamples.
        seed: of the resampling.
        level: share of the resamples between the ends of the interval, in (0, 1).

    Raises:
        ValueError: if the runs differ in their classes, clips or true labels (clips are named),
            there are fewer than two subjects, or an argument is out of its range.
    """
    pair = _paired(run, baseline)
    subjects = pair[0].shape[1]
    estimate, differences = _differences(pair, _resample(subjects, samples, seed), statistic)
    # The + 1 counts the observed runs as one more resample, so that p is never 0.
    tail = (1 + min((differences <= 0).sum(), (differences >= 0).sum())) / (samples + 1)
    return Comparison(
        statistic=statistic,
        difference=_interval(estimate, differences, level, subjects),
        p=min(1.0, 2 * float(tail)),
        mcnemar=_mcnemar_by_seed(run, baseline),
    )


def mean_difference(
    pairs: Sequence[tuple[Predictions, Predictions]],
    statistic: Statistic = "uf1",
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean over several systems and databases of a run's statistic minus its baseline's.

    Each resample draws the subjects of every database once, for all pairs that were tested on it.

    Args:
        pairs: runs, each with its baseline on the same clips.
        statistic: ``"accuracy"``, ``"uf1"`` or ``"uar"``.
        samples: number of resamples.
        seed: of the resampling.
        level: share of the resamples between the ends of the interval, in (0, 1).

    Returns:
        The interval; its subjects are those of all databases.

    Raises:
        ValueError: if there are no pairs; and as :func:`compare`.
    """
    if not pairs:
        raise ValueError("a mean difference needs one pair of runs or more, got none")
    drawn: dict[tuple[tuple[str, str], ...], np.ndarray] = {}
    found = []
    for run, baseline in pairs:
        pair = _paired(run, baseline)
        people = tuple(sorted({key[:2] for key in run.true_labels()}))
        if people not in drawn:
            drawn[people] = _resample(len(people), samples, seed + len(drawn))
        found.append(_differences(pair, drawn[people], statistic))
    estimates, differences = zip(*found, strict=True)
    subjects = len({person for people in drawn for person in people})
    return _interval(float(np.mean(estimates)), np.mean(differences, 0), level, subjects)


def mcnemar(only_run: int, only_baseline: int) -> McNemar:
    """McNemar's test (McNemar 1947; correction for continuity: Edwards 1948).

    Args:
        only_run: clips that the run has right and the baseline wrong.
        only_baseline: clips that the baseline has right and the run wrong.

    Raises:
        ValueError: if a count is negative.
    """
    from scipy.stats import binomtest

    if min(only_run, only_baseline) < 0:
        raise ValueError(f"counts must not be negative, got {only_run} and {only_baseline}")
    differ = only_run + only_baseline
    # Equal counts are no evidence, but (|0| - 1)^2 would not be 0.
    chi2 = max(abs(only_run - only_baseline) - 1, 0) ** 2 / differ if differ else 0.0
    return McNemar(
        only_run=only_run,
        only_baseline=only_baseline,
        exact_p=float(binomtest(only_run, differ).pvalue) if differ else 1.0,
        chi2=chi2,
        chi2_p=math.erfc(math.sqrt(chi2 / 2)),  # P(Z^2 > chi2) of a normal Z
    )


def _mcnemar_by_seed(run: Predictions, baseline: Predictions) -> dict[int, McNemar]:
    ours, theirs = run.codes, baseline.codes
    tests = {}
    for seed in run.seeds:
        if seed in baseline.seeds:
            right = ours.predicted[run.seeds.index(seed)] == ours.true
            other = theirs.predicted[baseline.seeds.index(seed)] == theirs.true
            tests[seed] = mcnemar(int((right & ~other).sum()), int((other & ~right).sum()))
    return tests


def _paired(run: Predictions, baseline: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """:func:`_by_subject` of both runs, once it is sure that they hold the same clips."""
    if set(run.classes) != set(baseline.classes):
        raise ValueError(
            f"the runs have different classes: {', '.join(run.classes)} and "
            f"{', '.join(baseline.classes)}"
        )
    check_same_clips(run.true_labels(), baseline.true_labels(), ("the run", "the baseline"))
    return _by_subject(run), _by_subject(baseline)


def _by_subject(predictions: Predictions) -> np.ndarray:
    """(K, S, C, C) float64: a confusion matrix for each seed and subject."""
    true, predicted, subject = predictions.codes
    shape = (len(predicted), subject.max() + 1, len(predictions.classes), len(predictions.classes))
    seed = np.arange(len(predicted))[:, None]
    cells = np.ravel_multi_index(np.broadcast_arrays(seed, subject, true, predicted), shape).ravel()
    return np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.float64)


def _resample(subjects: int, samples: int, seed: int) -> np.ndarray:
    """(samples, S): how often each resample holds each subject."""
    if subjects < 2:
        raise ValueError("an interval over subjects needs two subjects or more, got 1")
    if samples < 1:
        raise ValueError(f"samples must be 1 or more, got {samples}")
    return np.random.default_rng(seed).multinomial(
        subjects, np.full(subjects, 1 / subjects), size=samples
    )


def _statistics(confusion: np.ndarray, weights: np.ndarray, statistic: Statistic) -> np.ndarray:
    """(samples,): the statistic of each resample, the mean over seeds."""
    resampled = np.tensordot(weights, confusion, axes=(1, 1))  # (samples, K, C, C)
    return pooled(resampled, statistic).mean(1)


def _differences(
    pair: tuple[np.ndarray, np.ndarray], weights: np.ndarray, statistic: Statistic
) -> tuple[float, np.ndarray]:
    """The first run's statistic minus the second's, of all subjects and of each resample."""
    of_all = [pooled(confusion.sum(1), statistic).mean() for confusion in pair]
    resampled = [_statistics(confusion, weights, statistic) for confusion in pair]
    # Means that differ only by rounding are no difference.
    return float(of_all[0] - of_all[1]), (resampled[0] - resampled[1]).round(12)


def _interval(estimate: float, values: np.ndarray, level: float, subjects: int) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, len(values), subjects)
