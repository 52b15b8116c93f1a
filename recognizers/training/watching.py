"""What is kept of a fold's epochs: the one to choose, and the predictions of the test clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from recognizers.data.clip_arrays import ClipArrays
from recognizers.evaluation.metrics import score
from recognizers.runs.records import Epoch

State = Callable[[], Mapping[str, np.ndarray]]


class EpochChoice:
    """The epoch after which held-out people of the training part were predicted best.

    Args:
        clips: all clips.
        rows: those of these people.

    Attributes:
        epoch: the best one so far.
    """

    def __init__(self, clips: ClipArrays, rows: Sequence[int]) -> None:
        self.true = [clips.labels[i] for i in rows]
        self.numbers = clips.label[list(rows)]
        self.classes = clips.classes
        self.best, self.epoch = (-1.0, 0.0), 1

    def see(self, epoch: Epoch, probabilities: np.ndarray, state: State) -> None:
        """Judge an epoch by its predictions."""
        predicted = [self.classes[i] for i in probabilities.argmax(1)]
        uf1 = score(self.true, predicted, self.classes).uf1
        # With so few clips many epochs have the same UF1: the more confident one is better.
        own = probabilities[np.arange(len(self.numbers)), self.numbers]
        reached = (uf1, float(np.log(own.clip(1e-12)).mean()))
        if reached > self.best:
            self.best, self.epoch = reached, epoch.epoch


class Outcome:
    """What a fold's epochs leave for its result.

    Args:
        true: (n,) classes of the test clips.
        chosen: the epoch whose predictions count.
        keep_weights: whether the model's state at that epoch is kept.

    Attributes:
        found: arguments of :class:`recognizers.training.fold_work.FoldResult`.
    """

    def __init__(self, true: np.ndarray, chosen: int, keep_weights: bool) -> None:
        self.true, self.chosen, self.keep_weights = true, chosen, keep_weights
        self.best = -1.0
        self.curve: list[Epoch] = []
        self.found: dict[str, Any] = {"curve": self.curve}

    def see(self, epoch: Epoch, probabilities: np.ndarray, state: State) -> None:
        """Note an epoch and its predictions of the test clips."""
        accuracy = float((probabilities.argmax(1) == self.true).mean())
        self.curve.append(msgspec.structs.replace(epoch, test_accuracy=accuracy))
        if accuracy > self.best:
            self.best = accuracy
            self.found.update(oracle_probabilities=probabilities, oracle_epoch=epoch.epoch)
        if epoch.epoch == self.chosen:
            weights = state() if self.keep_weights else None
            self.found.update(probabilities=probabilities, epoch=epoch.epoch, weights=weights)
