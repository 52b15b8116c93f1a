"""``recognizers loso --estimate``: what a run will take, from a few epochs of a few folds."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from mersynth.disk.scratch import scratch_folder
from mersynth.estimate import Estimate, PeakMemory, Spent, bytes_in, now
from recognizers.executors import Executor
from recognizers.experiment.preparation import Preparation
from recognizers.folds.plan import FoldPlan
from recognizers.report import write_report
from recognizers.runs.folder import RunFolder
from recognizers.runs.records import Epoch
from recognizers.runs.results import write_results
from recognizers.training.fold_work import (
    FoldResult,
    Learned,
    Work,
    pretrain,
    pretraining_seed,
    train_folds,
)

_SECONDS = 8.0
"""Epochs of a fold are measured for so long, unless it has fewer."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a training took in a worker.

    Attributes:
        begun: the time of day, in seconds, when its worker began it.
        process: its worker's.
        warm: what its worker took once: until it began, and for a slower first epoch.
        whole: the whole training, with all of its epochs.
        each: an epoch.
        memory: most bytes that the process held.
        on_gpu: most bytes that it held on a GPU.
        epoch: the last epoch's record.
        weights: bytes of the model's weights.
    """

    begun: float
    process: int
    warm: Spent
    whole: Spent
    each: Spent
    memory: int
    on_gpu: int
    epoch: Epoch
    weights: int


def rehearse_folds(work: Work, plans: Sequence[FoldPlan], seed: int, epochs: int) -> Rehearsal:
    """Train folds side by side for a few epochs. Runs in a worker."""

    def train(count: int) -> FoldResult:
        few = replace(work, training=replace(work.training, epochs=count))
        return train_folds(few, plans, None, seed, True)[0]

    return _rehearse(train, epochs)


def rehearse_pretraining(work: Work, rows: Sequence[int], seed: int, epochs: int) -> Rehearsal:
    """Pretrain for a few epochs. Runs in a worker."""

    def train(count: int) -> Learned:
        return pretrain(
            replace(work, pretraining=replace(work.pretraining, epochs=count)), rows, seed
        )

    return _rehearse(train, epochs)


def _rehearse(train: Callable[[int], FoldResult | Learned], epochs: int) -> Rehearsal:
    begun, starting = time.time(), Spent(0.0, time.process_time())

    def timed(count: int) -> tuple[Spent, FoldResult | Learned]:
        start = now()
        result = train(count)
        return now() - start, result

    with PeakMemory() as memory:
        first, _ = timed(1)
        one, result = timed(1)
        whole, each, more = one, Spent(), 0
        # Without a loss the model is fitted at once. Preparing a fold can take longer than an
        # epoch: the epochs must be many enough to be seen beside it.
        while result.curve[-1].loss is not None and more < epochs - 1 and _little(whole - one):
            more = min(max(1, 4 * more), epochs - 1)
            whole, result = timed(1 + more)
            each = (whole - one).beyond_noise * (1 / more)
    weights = sum(value.nbytes for value in (result.weights or {}).values())
    return Rehearsal(
        begun=begun,
        process=os.getpid(),
        warm=starting + (first - one).beyond_noise,
        whole=whole if more == epochs - 1 else one + each * (epochs - 1),
        each=each,
        memory=memory.peak,
        on_gpu=memory.on_gpu,
        epoch=result.curve[-1],
        weights=weights,
    )


def _little(time: Spent) -> bool:
    return time.wall < _SECONDS


def estimate_run(
    run: Preparation,
    share: Sequence[tuple[Sequence[FoldPlan], int]],
    seeds: Sequence[int],
    executor: Executor,
    pooled: bool,
    begun: Spent,
) -> Estimate:
    """Rehearse as many folds at once as the executor runs, pool made-up results, and multiply.

    Args:
        run: the run's preparation.
        share: the folds to run, in groups that are trained side by side, with their seeds.
        seeds: all seeds of the run.
        executor: the run's, entered.
        pooled: whether the folds are then pooled.
        begun: when the command began; the time since is part of the estimate.
    """
    prepared = now() - begun
    with PeakMemory() as memory:
        work = executor.share(run.work)
        at_once = min(executor.at_once, len(share))
        asked = time.time()
        places = np.linspace(0, len(share) - 1, at_once).round().astype(int).tolist()
        settings = run.work.training
        calls = [(work, *share[i], settings.epochs) for i in places]
        folds = [found for _, found in executor.run(rehearse_folds, calls)]
        started = max(0.0, min(found.begun for found in folds) - asked)
        every = [(plan, seed) for plans, seed in share for plan in plans]
        groups = run.pretrainings(every)
        before = _pretrainings(run, groups, executor, work)
        sizes = [sum(len(plan.learned) for plan in plans) for plans, _ in share]
        larger = np.mean(sizes) / np.mean([sizes[i] for i in places])
        finishing, disk = _finish(run, every, seeds, folds[0].epoch, settings.epochs, pooled)
    warm = _mean([found.warm for found in folds])
    if folds[0].process == os.getpid():  # which had begun before
        warm = Spent(warm.wall, 0.0)
    fold = _mean([found.whole for found in folds]) * float(larger)
    rounds = math.ceil(len(share) / at_once)
    workers = {found.process: found for found in (*folds, *before)}
    others = [found for process, found in workers.items() if process != os.getpid()]
    shared = _bytes_of(run) if others else 0
    wall = started + warm.wall + rounds * fold.wall + finishing.wall
    cpu = at_once * warm.cpu + len(share) * fold.cpu + finishing.cpu
    total = prepared + Spent(wall, cpu)
    what = "folds" if len(share) == len(every) else "groups of folds"
    steps = [
        f"{len(share)} {what} at {fold.wall:.3g} s, {at_once} at once",
        f"{settings.epochs} epochs of each at {_mean([f.each for f in folds]).wall:.3g} s",
    ]
    if before:
        one = _mean([found.whole for found in before])
        if run.trials is not None:
            ways, count = run.trials.ways, run.options["choice"]["parts"] * len(every)
            lengths = sum({way.length for way in ways if not way.mix})
            trial = fold * (len(ways) + 1) + one * lengths
            total += Spent(math.ceil(count / at_once) * trial.wall, count * trial.cpu)
            steps.append(f"{count} trials of {len(ways)} ways at about {trial.wall:.3g} s")
        together = min(at_once, len(groups))
        total += Spent(math.ceil(len(groups) / together) * one.wall, len(groups) * one.cpu)
        steps.append(f"{len(groups)} pretrainings at {one.wall:.3g} s")
        disk += before[0].weights * len(groups)
    if run.options["keep_weights"]:
        disk += folds[0].weights * len(every)
    return Estimate(
        time=total,
        memory=memory.peak + sum(found.memory for found in others) + shared,
        on_gpu=memory.on_gpu + sum(found.on_gpu for found in others),
        disk=disk,
        steps=tuple(steps),
    )


def _pretrainings(
    run: Preparation, groups: Sequence[tuple[int, int]], executor: Executor, work: Any
) -> list[Rehearsal]:
    """As many pretrainings as run at once."""
    epochs = run.work.pretraining.epochs
    calls = [
        (work, run.groups[group].clips, pretraining_seed(seed, group), epochs)
        for group, seed in groups[: executor.at_once]
    ]
    return [found for _, found in executor.run(rehearse_pretraining, calls)]


def _finish(
    run: Preparation,
    share: Sequence[tuple[FoldPlan, int]],
    seeds: Sequence[int],
    epoch: Epoch,
    epochs: int,
    pooled: bool,
) -> tuple[Spent, int]:
    """Duration of writing and pooling made-up results, and their bytes."""
    rng, classes = np.random.default_rng(0), len(run.work.clips.classes)
    count = 1 if epoch.loss is None else epochs
    curve = [msgspec.structs.replace(epoch, epoch=1 + i) for i in range(count)]
    work = [(plan, seed) for seed in seeds for plan in run.plans] if pooled else share
    with scratch_folder() as scratch:
        start, place = now(), scratch / "run"
        folder = RunFolder(place, run.identity, run.request.command(place))
        for plan, seed in work:
            made_up = rng.dirichlet(np.ones(classes), len(plan.fold.test))
            result = FoldResult(made_up, count, made_up, 1, curve, None, {}, 0.0)
            clips = [run.work.clips.clips[i].id for i in plan.fold.test]
            folder.keep_fold(plan.index, seed, plan.fold.name, clips, result, None)
        if pooled:
            write_results(folder, run, seeds)
            write_report(folder.path)
        return now() - start, bytes_in(place)


def _mean(times: Sequence[Spent]) -> Spent:
    return sum(times, Spent()) * (1 / len(times))


def _bytes_of(run: Preparation) -> int:
    """The tensors of all clips, which workers share."""
    sets = [each for each in (run.work.clips, run.work.pool) if each is not None]
    return sum(array.nbytes for each in sets for array in each.inputs.values())
