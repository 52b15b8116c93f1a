"""The choice of a fold: whether and how to use the clips to pretrain on. Executors run it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from recognizers.evaluation.metrics import score
from recognizers.folds.trials import Trial
from recognizers.folds.way import Way
from recognizers.runs.records import Choice, TriedWay
from recognizers.training.fold_work import Weights, Work, pretrain, train_and_predict, with_pool


def choose_way(
    work: Work,
    fold: str,
    index: int,
    trials: Sequence[Trial],
    ways: Sequence[Way],
    margin: float,
    seed: int,
) -> Choice:
    """Try every way on people of a fold's training part.

    The parts are predicted one after the other by trainings on the rest; UF1 is that of all of them
    together. Within a part, all trainings begin with the same random numbers.

    Args:
        work: the run's data and settings.
        fold: its name.
        index: its number in the run.
        trials: its trials; none chooses the real clips alone.
        ways: to try.
        margin: in UF1, by which the best way must beat the real clips alone to be chosen.
        seed: of the run.

    Raises:
        TrainingError: if a loss is not a number.
    """
    start = time.monotonic()
    every: tuple[Way | None, ...] = (None, *ways)
    found: list[list[np.ndarray]] = [[] for _ in every]
    for number, trial in enumerate(trials):
        own = int(np.random.SeedSequence([seed, index, number, 2]).generate_state(1)[0])
        weights: dict[float, Weights] = {}
        for way, predicted in zip(every, found, strict=True):
            predicted.append(_predicted(work, trial, way, weights, own).argmax(1))
    rows = [i for trial in trials for i in trial.tried_on]
    true, classes = [work.clips.labels[i] for i in rows], work.clips.classes
    figures = [
        score(true, [classes[i] for i in np.concatenate(parts)], classes).uf1 if trials else 0.0
        for parts in found
    ]
    alone, *tried = figures
    best = int(np.argmax(tried))
    return Choice(
        fold=fold,
        seed=seed,
        seconds=time.monotonic() - start,
        clips=len(rows),
        alone=alone,
        tried=tuple(TriedWay(str(way), uf1) for way, uf1 in zip(ways, tried, strict=True)),
        chosen=best if trials and tried[best] - alone >= margin else None,
    )


def _predicted(
    work: Work, trial: Trial, way: Way | None, weights: dict[float, Weights], seed: int
) -> np.ndarray:
    """Probabilities of the clips tried on; pretrainings are shared by the ways of a length."""
    if way is None:
        return train_and_predict(work, trial.learned, trial.tried_on, None, None, seed)
    if way.mix:
        rows = (*trial.learned, *(len(work.clips.clips) + i for i in trial.pool))
        return train_and_predict(with_pool(work, way.until), rows, trial.tried_on, None, None, seed)
    if way.length not in weights:
        weights[way.length] = pretrain(work, trial.pool, seed, way.length).weights
    start = weights[way.length]
    return train_and_predict(work, trial.learned, trial.tried_on, start, way, seed)
