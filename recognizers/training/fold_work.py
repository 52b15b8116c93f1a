"""The work of one fold and of one pretraining, which executors run on any machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from mersynth.devices import choose_device
from recognizers.data.clip_arrays import ClipArrays, mixed_in
from recognizers.folds.guard import FoldInputs, Protocol, check_fold
from recognizers.folds.plan import FoldPlan, real_and_synthetic
from recognizers.folds.way import Way
from recognizers.models import create_model
from recognizers.models.base import Recognizer
from recognizers.runs.records import Epoch
from recognizers.training.curriculum import Curriculum
from recognizers.training.settings import TrainingSettings
from recognizers.training.side_by_side import SideBySide
from recognizers.training.trainer import Training
from recognizers.training.watching import EpochChoice, Outcome

Weights = Mapping[str, np.ndarray]
ChannelStatistics = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By standardised input, mean and standard deviation of each channel, (C,) float32."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all folds of a run share.

    Attributes:
        clips: all clips of the run.
        pool: the clips to pretrain on, if any; their classes are those of ``clips``.
        model: registered name.
        options: of ``create_model``.
        augment: the block ``augment`` of the model's config.
        training: settings of training from fresh weights.
        pretraining: settings of pretraining.
        fine_tuning: settings of training from pretrained weights.
        protocol: whether the guard allows leaks.
        device: ``"cpu"`` or ``"cuda"``.
        precision: of training, ``"32-true"`` or ``"bf16-mixed"``.
        curriculum: the strengths that pretraining goes through; None: all clips in every epoch.
        mixed_until: share of the epochs of training in which clips mixed in take part.
        mixing: settings of a fold that chooses to mix clips of the pool in; None: of training.
    """

    clips: ClipArrays
    pool: ClipArrays | None
    model: str
    options: Mapping[str, Any]
    augment: Mapping[str, Mapping[str, Any]]
    training: TrainingSettings
    pretraining: TrainingSettings
    fine_tuning: TrainingSettings
    protocol: Protocol
    device: str
    precision: str = "32-true"
    curriculum: Curriculum | None = None
    mixed_until: float = 1.0
    mixing: TrainingSettings | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """The result of training without test clips.

    Attributes:
        weights: the model's state.
        statistics: of the clips trained on.
        curve: one entry per epoch.
        seconds: duration.
    """

    weights: Weights
    statistics: ChannelStatistics
    curve: list[Epoch]
    seconds: float


@dataclass(frozen=True, slots=True)
class FoldResult:
    """The result of a fold.

    Attributes:
        probabilities: (n, C) of the test clips, at the epoch that was chosen without them.
        epoch: that epoch.
        oracle_probabilities: (n, C) at the epoch that predicts the test clips best, the first of
            several. Most published code reports these; they are not fair figures.
        oracle_epoch: that epoch.
        curve: one entry per epoch.
        weights: the model's state at ``epoch``, if it is to be kept.
        statistics: of the clips trained on.
        seconds: duration.
    """

    probabilities: np.ndarray
    epoch: int
    oracle_probabilities: np.ndarray
    oracle_epoch: int
    curve: list[Epoch]
    weights: Weights | None
    statistics: ChannelStatistics
    seconds: float


def pretrain(work: Work, rows: Sequence[int], seed: int, length: float = 1.0) -> Learned:
    """Train a fresh model on clips of the pool, for a share of the epochs set, one at least.

    Raises:
        TrainingError: if the loss is not a number.
    """
    assert work.pool is not None
    epochs = max(1, round(length * work.pretraining.epochs))
    settings = replace(work.pretraining, epochs=epochs)
    return _learn(work, work.pool, rows, settings, None, seed, curriculum=work.curriculum)


def train_and_predict(
    work: Work,
    rows: Sequence[int],
    looked_at: Sequence[int],
    weights: Weights | None,
    way: Way | None,
    seed: int,
) -> np.ndarray:
    """(len(looked_at), C) probabilities of rows, after training on others for all epochs.

    Args:
        work: the clips and settings.
        rows: to train on.
        looked_at: to predict.
        weights: pretrained ones to start from; None for fresh ones.
        way: of fine-tuning; None: as the work says.
        seed: of the training.

    Raises:
        TrainingError: if the loss is not a number.
    """
    device = choose_device(work.device)
    with _seeded(seed, device):
        model = _model(work, weights, device)
        settings = _settings(work, weights, way)
        training = Training(
            model, work.clips, rows, settings, work.augment, device, mixed_until=work.mixed_until
        )
        training.run(lambda epoch: None)
        return training.predict(looked_at)


def with_pool(work: Work, until: float) -> Work:
    """The work with the clips to pretrain on mixed in after its own, for a share of the epochs."""
    assert work.pool is not None
    kept = _WITH_POOL.setdefault(work.clips, WeakKeyDictionary())
    if work.pool not in kept:
        kept[work.pool] = mixed_in(work.clips, work.pool)
    training = work.mixing or work.training
    return replace(work, clips=kept[work.pool], training=training, mixed_until=until)


_WITH_POOL: WeakKeyDictionary[ClipArrays, WeakKeyDictionary[ClipArrays, ClipArrays]]
_WITH_POOL = WeakKeyDictionary()


def learn_all(
    work: Work, weights: Weights | None, seed: int, after_epoch: Callable[[Epoch], None]
) -> Learned:
    """Train on all clips of the work, for as many epochs as its settings say.

    Args:
        work: the clips and settings.
        weights: pretrained ones to start from; None for fresh ones.
        seed: of this training.
        after_epoch: called at the end of every epoch.

    Raises:
        TrainingError: if the loss is not a number.
    """
    rows = range(len(work.clips.clips))
    settings = _settings(work, weights)
    return _learn(work, work.clips, rows, settings, weights, _fold_seed(seed, 0), after_epoch)


def _learn(
    work: Work,
    clips: ClipArrays,
    rows: Sequence[int],
    settings: TrainingSettings,
    weights: Weights | None,
    seed: int,
    after_epoch: Callable[[Epoch], None] = lambda epoch: None,
    curriculum: Curriculum | None = None,
) -> Learned:
    start = time.monotonic()
    device = choose_device(work.device)
    curve: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        curve.append(epoch)
        after_epoch(epoch)

    with _seeded(seed, device):
        model = _model(work, weights, device)
        training = Training(
            model,
            clips,
            rows,
            settings,
            work.augment,
            device,
            work.precision,
            curriculum,
            work.mixed_until,
        )
        training.run(note)
    return Learned(
        _copied(model.state_dict()), _statistics(training), curve, time.monotonic() - start
    )


def train_folds(
    work: Work, plans: Sequence[FoldPlan], weights: Weights | None, seed: int, keep_weights: bool
) -> list[FoldResult]:
    """Train on each fold's clips and predict its test clips; several folds go side by side.

    Args:
        work: the run's data and settings.
        plans: the folds' rows. Several must have one way, equally many batches, and a system that
            fits (:func:`recognizers.training.side_by_side.fits_side_by_side`).
        weights: pretrained ones to start from; None for fresh ones.
        seed: of the whole run; every fold draws from this and its index.
        keep_weights: whether the results include the trained models' states.

    Raises:
        LeakageError: if a fold could know what it is tested on.
        TrainingError: if a loss is not a number.
    """
    start = time.monotonic()
    if plans[0].way is not None and plans[0].way.mix:
        work = with_pool(work, plans[0].way.until)
    fixed = work.training.epochs
    inner = [plan.inner for plan in plans if plan.inner is not None]
    chosen = [fixed] * len(plans)
    if inner:
        choices = [EpochChoice(work.clips, own.chosen_on) for own in inner]
        learned, rows = [own.learned for own in inner], [own.chosen_on for own in inner]
        _train(work, plans, learned, rows, weights, seed, choices)
        chosen = [choice.epoch for choice in choices]
    outcomes = [
        Outcome(work.clips.label[list(plan.fold.test)], epoch, keep_weights)
        for plan, epoch in zip(plans, chosen, strict=True)
    ]
    learned, rows = [plan.learned for plan in plans], [plan.fold.test for plan in plans]
    trainings = _train(work, plans, learned, rows, weights, seed, outcomes)
    seconds = (time.monotonic() - start) / len(plans)
    return [
        FoldResult(statistics=_statistics(training), seconds=seconds, **outcome.found)
        for training, outcome in zip(trainings, outcomes, strict=True)
    ]


def _train(
    work: Work,
    plans: Sequence[FoldPlan],
    learned: Sequence[Sequence[int]],
    looked_at: Sequence[Sequence[int]],
    weights: Weights | None,
    seed: int,
    watchers: Sequence[EpochChoice | Outcome],
) -> list[Training]:
    """Train each fold on rows; after every epoch its watcher sees those to look at predicted."""
    device = choose_device(work.device)
    settings = _settings(work, weights, plans[0].way)
    trainings, generators = [], []
    for plan, rows in zip(plans, learned, strict=True):
        own = _fold_seed(seed, plan.index)
        with _seeded(own, device):
            model = _model(work, weights, device)
            training = Training(
                model,
                work.clips,
                rows,
                settings,
                work.augment,
                device,
                work.precision,
                mixed_until=work.mixed_until,
            )
            _show_guard(work, plan, training)
            trainings.append(training)
            if len(plans) == 1:
                _train_alone(training, looked_at[0], watchers[0])
                return trainings
            generators.append(torch.Generator().set_state(torch.get_rng_state()))
    on_device = generators
    if device.type == "cuda":
        on_device = [
            torch.Generator(device).manual_seed(_fold_seed(seed, plan.index)) for plan in plans
        ]
    together = SideBySide(trainings, generators, on_device)

    def after_epoch(fold: int, epoch: Epoch, probabilities: np.ndarray) -> None:
        watchers[fold].see(epoch, probabilities, lambda: _copied(together.state(fold)))

    together.run(looked_at, after_epoch)
    return trainings


def _train_alone(
    training: Training, looked_at: Sequence[int], watcher: EpochChoice | Outcome
) -> None:
    def after_epoch(epoch: Epoch) -> None:
        with _untouched(training.device):
            probabilities = training.predict(looked_at)
        watcher.see(epoch, probabilities, lambda: _copied(training.model.state_dict()))

    training.run(after_epoch)


def _show_guard(work: Work, plan: FoldPlan, training: Training) -> None:
    """Have the guard check what a training took from its clips before its first step."""
    rows = training.rows.tolist()
    ids = [work.clips.clips[i].id for i in rows]
    inputs = FoldInputs.of(
        plan.fold,
        work.clips.clips,
        **real_and_synthetic(work.clips, rows),
        statistics=ids if training.statistics else (),
        class_weights=ids if training.weights is not None else (),
        banks=training.banks,
    )
    check_fold(inputs, work.protocol)


def _settings(work: Work, weights: Weights | None, way: Way | None = None) -> TrainingSettings:
    if weights is None:
        return work.training
    # Where folds choose, fine_tuning has the rates of training.
    return work.fine_tuning.at_rates_times(1.0 if way is None else way.lr_factor)


def _model(work: Work, weights: Weights | None, device: torch.device) -> Recognizer:
    model = create_model(work.model, len(work.clips.classes), **work.options)
    if weights is not None:
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    return model.to(device)


def _copied(state: Mapping[str, torch.Tensor]) -> Weights:
    return {name: value.cpu().numpy().copy() for name, value in state.items()}


def _statistics(training: Training) -> ChannelStatistics:
    return {
        name: (mean.flatten().cpu().numpy(), deviation.flatten().cpu().numpy())
        for name, (mean, deviation) in training.statistics.items()
    }


def pretraining_seed(seed: int, group: int) -> int:
    """Pretrainings get other random numbers than each other and the folds."""
    return int(np.random.SeedSequence([seed, group, 1]).generate_state(1)[0])


def _fold_seed(seed: int, index: int) -> int:
    """Folds of a run get different random numbers."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


@contextmanager
def _untouched(device: torch.device) -> Iterator[None]:
    """Restore the random state afterwards: predictions must not change what training draws."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed, on the CPU and the device; the random state before is restored after."""
    with _untouched(device):
        torch.manual_seed(seed)
        deterministic = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = deterministic
