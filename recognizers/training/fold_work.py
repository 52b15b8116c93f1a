"""The work of one fold and of one pretraining, which executors run on any machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch

from mersynth.devices import choose_device
from recognizers.data.clip_arrays import ClipArrays
from recognizers.evaluation.metrics import score
from recognizers.folds.guard import FoldInputs, Protocol, check_fold
from recognizers.folds.plan import FoldPlan, real_and_synthetic
from recognizers.models import create_model
from recognizers.models.base import Recognizer
from recognizers.runs.records import Epoch
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import Training

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


def pretrain(work: Work, rows: Sequence[int], seed: int) -> Learned:
    """Train a fresh model on clips of the pool.

    Raises:
        TrainingError: if the loss is not a number.
    """
    assert work.pool is not None
    return _learn(work, work.pool, rows, work.pretraining, None, seed)


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
) -> Learned:
    start = time.monotonic()
    device = choose_device(work.device)
    curve: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        curve.append(epoch)
        after_epoch(epoch)

    with _seeded(seed, device):
        model = _model(work, weights, device)
        training = Training(model, clips, rows, settings, work.augment, device)
        training.run(note)
    return Learned(_state(model), _statistics(training), curve, time.monotonic() - start)


def train_fold(
    work: Work, plan: FoldPlan, weights: Weights | None, seed: int, keep_weights: bool
) -> FoldResult:
    """Train on a fold's clips and predict its test clips.

    Args:
        work: the run's data and settings.
        plan: the fold's rows.
        weights: pretrained ones to start from; None for fresh ones.
        seed: of the whole run; every fold draws from this and its index.
        keep_weights: whether the result includes the trained model's state.

    Raises:
        LeakageError: if it could know what it is tested on.
        TrainingError: if the loss is not a number.
    """
    start = time.monotonic()
    device = choose_device(work.device)
    test, settings = plan.fold.test, _settings(work, weights)
    true = work.clips.label[list(test)]
    chosen = _chosen_epoch(work, plan, weights, seed, device) if plan.inner else None
    kept: dict[str, Any] = {}
    curve: list[Epoch] = []
    best = -1.0
    with _seeded(_fold_seed(seed, plan.index), device):
        model = _model(work, weights, device)
        training = Training(model, work.clips, plan.learned, settings, work.augment, device)
        _show_guard(work, plan, training)

        def after_epoch(epoch: Epoch) -> None:
            nonlocal best
            with _untouched(device):
                probabilities = training.predict(test)
            accuracy = float((probabilities.argmax(1) == true).mean())
            curve.append(msgspec.structs.replace(epoch, test_accuracy=accuracy))
            if accuracy > best:
                best = accuracy
                kept.update(oracle_probabilities=probabilities, oracle_epoch=epoch.epoch)
            if epoch.epoch == (chosen or settings.epochs) or model.fits_directly:
                state = _state(model) if keep_weights else None
                kept.update(probabilities=probabilities, epoch=epoch.epoch, weights=state)

        training.run(after_epoch)
    seconds = time.monotonic() - start
    return FoldResult(curve=curve, statistics=_statistics(training), seconds=seconds, **kept)


def _chosen_epoch(
    work: Work, plan: FoldPlan, weights: Weights | None, seed: int, device: torch.device
) -> int:
    """The epoch after which held-out people of the training part were predicted best."""
    assert plan.inner is not None
    validation = plan.inner.chosen_on
    true = [work.clips.labels[i] for i in validation]
    numbers = work.clips.label[list(validation)]
    best, chosen = (-1.0, 0.0), 1
    with _seeded(_fold_seed(seed, plan.index), device):
        model = _model(work, weights, device)
        learned, settings = plan.inner.learned, _settings(work, weights)
        training = Training(model, work.clips, learned, settings, work.augment, device)
        _show_guard(work, plan, training)

        def after_epoch(epoch: Epoch) -> None:
            nonlocal best, chosen
            with _untouched(device):
                probabilities = training.predict(validation)
            predicted = [work.clips.classes[i] for i in probabilities.argmax(1)]
            uf1 = score(true, predicted, work.clips.classes).uf1
            # With so few clips many epochs have the same UF1: the more confident one is better.
            own = probabilities[np.arange(len(validation)), numbers]
            reached = (uf1, float(np.log(own.clip(1e-12)).mean()))
            if reached > best:
                best, chosen = reached, epoch.epoch

        training.run(after_epoch)
    return chosen


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


def _settings(work: Work, weights: Weights | None) -> TrainingSettings:
    return work.training if weights is None else work.fine_tuning


def _model(work: Work, weights: Weights | None, device: torch.device) -> Recognizer:
    model = create_model(work.model, len(work.clips.classes), **work.options)
    if weights is not None:
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    return model.to(device)


def _state(model: Recognizer) -> Weights:
    return {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}


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
