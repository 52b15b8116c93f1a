"""Folds of a small system trained side by side: one step for all of them.

A small network leaves a GPU idle between its layers. Here the folds' models are stacked: a layer's
weights are (F, ...), and a batch holds the batches of all F folds, one after the other. Each fold
keeps its own clips, order, statistics and random numbers, and so learns what it would alone, but
for rounding. Folds differ in their number of clips: shorter batches are filled up with clips that
count neither in the loss nor in the statistics of batch normalisation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from recognizers.models.base import Recognizer
from recognizers.models.ststnet.model import QuickDropout
from recognizers.runs.records import Epoch
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import (
    PREDICTED_AT_ONCE,
    Training,
    check_loss,
    checked_probabilities,
)

_LARGEST = 5_000_000  # parameters: with more, one model's layers keep a GPU busy
_OPTIMIZERS = ("SGD", "Adam", "AdamW")  # they step each number by itself
_WITHOUT_WEIGHTS = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten)


def fits_side_by_side(
    model: Recognizer, settings: TrainingSettings, augment: Mapping[str, Any]
) -> bool:
    """Whether folds of a system can be trained side by side.

    The system must be small, read images, have the usual loss, and consist of layers that are
    stacked here; its training must not augment or clip gradients.
    """
    kind = type(model)
    leaves = [module for module in model.modules() if not next(module.children(), None)]
    owned = sum(p.numel() for m in leaves if type(m) in _STACKED for p in m.parameters())
    size = sum(p.numel() for p in model.parameters())
    return (
        not model.fits_directly
        and not model.targets
        and kind.loss is Recognizer.loss
        and kind.see_training_fold is Recognizer.see_training_fold
        and all(spec.num_frames is None for spec in model.inputs.values())
        and all(isinstance(m, _WITHOUT_WEIGHTS) or _is_stackable(m) for m in leaves)
        and owned == size <= _LARGEST
        and all(p.requires_grad for p in model.parameters())
        and not augment
        and settings.gradient_clip is None
        and settings.optimizer["name"] in _OPTIMIZERS
    )


class SideBySide:
    """The trainings of several folds, stepped together.

    Args:
        trainings: one per fold, of the same system with the same settings, whose epochs have
            equally many batches.
        generators: of each fold's order of clips, on the CPU.
        device_generators: of each fold's dropout, on the device; on a CPU the same ones.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        generators: Sequence[torch.Generator],
        device_generators: Sequence[torch.Generator],
    ) -> None:
        first = trainings[0]
        self.trainings, self.generators = trainings, generators
        self.settings, self.device = first.settings, first.device
        self.seen = [training.clips_in_epoch for training in trainings]
        self.present = _Present(device_generators)
        self.model = _stack([training.model for training in trainings], self.present)
        self.statistics = {
            name: [
                torch.stack([training.statistics[name][i] for training in trainings])[:, None]
                for i in range(2)
            ]
            for name in first.statistics
        }

    def run(
        self,
        looked_at: Sequence[Sequence[int]],
        after_epoch: Callable[[int, Epoch, np.ndarray], None],
    ) -> None:
        """Train.

        Args:
            looked_at: by fold, the rows to predict after every epoch.
            after_epoch: called with the number of each fold, its epoch, and its predictions.

        Raises:
            TrainingError: if a fold's loss or prediction is not a number.
        """
        optimizer = self.settings.make_optimizer(self.model)
        scheduler = self.settings.make_scheduler(optimizer)
        for number in range(1, self.settings.epochs + 1):
            for training in self.trainings:
                training.begin(number)
            rate = float(optimizer.param_groups[0]["lr"])
            figures = self._epoch(optimizer)
            for loss, _ in figures:
                check_loss(loss, number, rate)
            if scheduler is not None:
                scheduler.step()
            predicted = self.predict(looked_at)
            for fold, (loss, accuracy) in enumerate(figures):
                epoch = Epoch(number, loss, accuracy, rate, clips=self.seen[fold])
                after_epoch(fold, epoch, predicted[fold])

    @torch.no_grad()
    def predict(self, rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """By fold, (len(rows), C) float64, the probability of each class.

        Raises:
            TrainingError: if a model gives something that is not a number.
        """
        self.model.eval()
        padded = pad_sequence([torch.tensor(own) for own in rows], batch_first=True)
        parts = padded.split(PREDICTED_AT_ONCE, dim=1)
        logits = torch.cat([self._forward(part) for part in parts], dim=1)  # (F, longest, C)
        found = checked_probabilities(logits)
        return [own[: len(wanted)] for own, wanted in zip(found, rows, strict=True)]

    def state(self, fold: int) -> dict[str, Tensor]:
        """The state dict of a fold's model."""
        return {name: value[fold] for name, value in self.model.state_dict().items()}

    def _epoch(self, optimizer: torch.optim.Optimizer) -> list[tuple[float, float]]:
        """Each fold's mean loss and accuracy of one pass."""
        self.model.train()
        total = torch.zeros(2, len(self.trainings), device=self.device)
        orders = [
            training.rows.cpu()[training.order(generator)].tensor_split(training.batches)
            for training, generator in zip(self.trainings, self.generators, strict=True)
        ]
        for batch in zip(*orders, strict=True):
            rows = pad_sequence(list(batch), batch_first=True)  # (F, L)
            self.present.set([len(own) for own in batch], rows.shape[1], self.device)
            labels = self.trainings[0].take("label", rows)
            logits = self._forward(rows)
            own = self.present.mask
            each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none") * own
            optimizer.zero_grad()
            (each.sum(1) / self.present.sizes).sum().backward()
            optimizer.step()
            total[0] += each.detach().sum(1)
            total[1] += ((logits.argmax(2) == labels) * own).sum(1)
        means = total.cpu().double() / torch.tensor(self.seen)
        return [(loss, right) for loss, right in means.T.tolist()]

    def _forward(self, rows: Tensor) -> Tensor:
        """(F, L, C) logits of rows (F, L)."""
        inputs = {}
        for name in self.model.inputs:
            values = self.trainings[0].take(name, rows)
            if name in self.statistics:
                mean, deviation = self.statistics[name]
                values = (values - mean) / deviation
            inputs[name] = values.flatten(0, 1)
        return self.model(**inputs).logits.unflatten(0, rows.shape)


class _Present:
    """The batch of the moment: how many clips of each fold are its own.

    Attributes:
        generators: of each fold, on the device.
        counts: by fold.
        sizes: (F,) the same on the device.
        mask: (F, L), 1 for a clip of the batch, 0 for one that fills it up.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = generators

    def set(self, counts: Sequence[int], longest: int, device: torch.device) -> None:
        """Note the batch that comes next."""
        self.counts = counts
        sizes = torch.tensor(counts)
        mask = (torch.arange(longest) < sizes[:, None]).float()
        self.sizes, self.mask = sizes.to(device), mask.to(device)


class _Layer(nn.Module):
    """F layers of one kind, their weights and buffers stacked; inputs are (F * L, ...)."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layers: Sequence[Any], present: _Present) -> None:
        super().__init__()
        self.folds, self.like, self.present = len(layers), [layers[0]], present  # not a submodule
        for name, first in layers[0].named_parameters():
            stacked = torch.stack([getattr(layer, name).detach() for layer in layers])
            setattr(self, name, nn.Parameter(stacked, first.requires_grad))
        if "bias" not in self._parameters:
            self.register_parameter("bias", None)
        for name, _ in layers[0].named_buffers():
            self.register_buffer(name, torch.stack([getattr(layer, name) for layer in layers]))

    def apart(self, x: Tensor) -> Tensor:
        """(F * L, ...) as (F, L, ...)."""
        return x.unflatten(0, (self.folds, -1))

    def products(self, rows: Tensor) -> Tensor:
        """(F, M, K) of (F, M, N): each fold's rows by its weights (K, N), and its bias."""
        weight = self.weight.flatten(2).transpose(1, 2)
        if self.bias is None:
            return torch.bmm(rows, weight)
        return torch.baddbmm(self.bias[:, None], rows, weight)


class _Linear(_Layer):
    def forward(self, x: Tensor) -> Tensor:
        return self.products(self.apart(x)).flatten(0, 1)


class _Convolution(_Layer):
    """As a product of matrices, which libraries compute faster than a convolution in F groups."""

    def forward(self, x: Tensor) -> Tensor:
        (like,) = self.like
        (height, width), (down, right), (above, left) = like.kernel_size, like.stride, like.padding
        padded = F.pad(x, (left, left, above, above))
        patches = padded.unfold(2, height, down).unfold(3, width, right)  # (F * L, C, h, w, k, k)
        count, _, h, w = patches.shape[:4]
        rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(
            self.folds, count // self.folds * h * w, -1
        )
        # With channels last, as convolutions of such images: dropout draws in this order.
        return self.products(rows).view(count, h, w, -1).permute(0, 3, 1, 2)


class _BatchNorm(_Layer):
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        (like,) = self.like
        maps = self.apart(x)  # (F, L, K, h, w)
        if self.training:
            own = self.present.mask[:, :, None, None, None]
            count = self.present.sizes[:, None] * maps[0, 0, 0].numel()
            mean = (maps * own).sum((1, 3, 4)) / count
            centred = maps - _over(mean)
            variance = (centred.square() * own).sum((1, 3, 4)) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean, like.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), like.momentum)
                self.num_batches_tracked += 1
        else:
            centred, variance = maps - _over(self.running_mean), self.running_var
        scale = self.weight * (variance + like.eps).rsqrt()
        return torch.addcmul(_over(self.bias), centred, _over(scale)).flatten(0, 1)


class _Dropout(_Layer):
    """Each fold draws as many numbers as alone, and on a CPU the same ones.

    On a GPU, ``nn.Dropout`` alone draws in another order; ``QuickDropout`` does not.
    """

    def forward(self, x: Tensor) -> Tensor:
        (like,) = self.like
        if not self.training or not like.p:
            return x
        drawn = torch.zeros_like(x)
        quick = isinstance(like, QuickDropout)
        chances = zip(self.apart(drawn), self.present.counts, self.present.generators, strict=True)
        for values, count, generator in chances:
            if quick:
                values[:count].uniform_(generator=generator)
            else:
                values[:count].bernoulli_(1 - like.p, generator=generator)
        return x * ((drawn >= like.p if quick else drawn) / (1 - like.p))


_STACKED: dict[type, type[_Layer]] = {
    nn.Linear: _Linear,
    nn.Conv2d: _Convolution,
    nn.BatchNorm2d: _BatchNorm,
    nn.Dropout: _Dropout,
    QuickDropout: _Dropout,
}


def _is_stackable(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and module.dilation == (1, 1)
        return plain and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if isinstance(module, nn.BatchNorm2d):
        return module.affine and module.track_running_stats and module.momentum is not None
    return type(module) in _STACKED


def _over(values: Tensor) -> Tensor:
    """(F, K) as (F, 1, K, 1, 1)."""
    return values[:, None, :, None, None]


def _stack(models: Sequence[Recognizer], present: _Present) -> Recognizer:
    """One model whose layers are those of all."""
    stacked = copy.deepcopy(models[0])
    for name, module in models[0].named_modules():
        if (kind := _STACKED.get(type(module))) is not None:
            layers = [model.get_submodule(name) for model in models]
            stacked.set_submodule(name, kind(layers, present))
    return stacked
