"""Settings of training: the block ``training`` of ``configs/model``, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from math import ceil, inf
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from mersynth.checks import check_choice
from mersynth.config import ConfigError

Sampler = Literal["shuffle", "class_balanced", "subject_balanced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        epochs: passes over the training clips.
        batch_size: clips of a batch; batches of an epoch differ in size by at most one, so
            that none has a single clip, for which batch normalisation has no statistics (with
            ``batch_size`` 2 and an odd number of clips, one batch has 3).
        epoch_clips: clips of an epoch; None: as many as there are to train on. Shuffled clips go on
            from epoch to epoch: all come before one comes again.
        optimizer: ``name`` in torch.optim and its arguments. ``groups`` gives parameters whose
            names begin with a prefix their own arguments: ``{"trunk": {"lr": 1e-5}}``. Adam,
            AdamW and SGD are torch's fused forms, unless ``fused: false`` is given.
        scheduler: ``name`` in torch.optim.lr_scheduler and its arguments, one step per epoch; None
            for a constant rate.
        sampler: ``"shuffle"``: every clip once per epoch; ``"class_balanced"`` and
            ``"subject_balanced"``: as many clips, equally many of each class or person.
        gradient_clip: largest norm of the gradient; None for no limit.
        standardise: bring inputs without a range (flow) to mean 0 and standard deviation 1, channel
            by channel, by the statistics of the training clips.

    Raises:
        ConfigError: if a value does not fit.
    """

    epochs: int = 1
    batch_size: int = 1
    epoch_clips: int | None = None
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "SGD"})
    scheduler: Mapping[str, Any] | None = None
    sampler: Sampler = "shuffle"
    gradient_clip: float | None = None
    standardise: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "epoch_clips", "batch_size"):
            value = getattr(self, name)
            if value is None and name == "epoch_clips":
                continue
            if not isinstance(value, int) or value < 1:
                raise ConfigError(
                    f"model.training.{name} must be a whole number from 1, got {value!r}"
                )
        check_choice("model.training.sampler", self.sampler, get_args(Sampler), ConfigError)
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ConfigError(
                f"model.training.gradient_clip must be above 0, got {self.gradient_clip}"
            )
        _named("optimizer", self.optimizer, torch.optim, Optimizer)
        if self.scheduler is not None:
            _named("scheduler", self.scheduler, lr_scheduler, lr_scheduler.LRScheduler)

    @classmethod
    def from_config(cls, block: Mapping[str, Any], fits_directly: bool = False) -> TrainingSettings:
        """Settings of a config's block.

        Args:
            block: the block ``training``.
            fits_directly: whether the model is fitted to all clips at once
                (``Recognizer.fits_directly``), so that only ``standardise`` applies.

        Raises:
            ConfigError: if a key is unknown, not applicable or missing, or a value does not fit.
        """
        known = ["standardise"] if fits_directly else [f.name for f in fields(cls)]
        if unknown := sorted(set(block) - set(known)):
            raise ConfigError(
                f"model.training has no {', '.join(unknown)}; it has {', '.join(known)}"
            )
        needed = () if fits_directly else ("epochs", "batch_size", "optimizer")
        if missing := [key for key in needed if key not in block]:
            raise ConfigError(f"model.training lacks {', '.join(missing)}")
        return cls(**block)

    def clips_in_epoch(self, clips: int) -> int:
        """Clips of an epoch of a training on so many clips."""
        return clips if self.epoch_clips is None else self.epoch_clips

    def batches(self, clips: int) -> int:
        """Batches of an epoch of a training on so many clips.

        Their sizes differ by one at most, and none has a single clip.
        """
        count = self.clips_in_epoch(clips)
        batches = ceil(count / self.batch_size)
        if self.batch_size > 1:
            batches = min(batches, max(1, count // 2))  # a batch of one has no statistics
        return batches

    def at_rates_times(self, factor: float) -> TrainingSettings:
        """The same settings with every learning rate of the optimizer multiplied.

        Rates that a scheduler sets itself (``OneCycleLR``'s ``max_lr``) are not changed.

        Raises:
            ConfigError: if the factor is not above 0, or the optimizer leaves its rate to torch.
        """
        if not (isinstance(factor, int | float) and 0 < factor < inf):
            raise ConfigError(f"fine_tuning.lr_factor must be a number above 0, got {factor!r}")
        if factor == 1:
            return self
        if "lr" not in self.optimizer:
            raise ConfigError(
                "fine_tuning.lr_factor multiplies model.training.optimizer.lr, which is not given; "
                "give it, or leave the factor at 1"
            )
        own = self.optimizer.get("groups") or {}
        groups = {
            prefix: {**changes, "lr": factor * changes["lr"]} if "lr" in changes else changes
            for prefix, changes in own.items()
        }
        optimizer = {**self.optimizer, "lr": factor * self.optimizer["lr"]}
        return replace(self, optimizer={**optimizer, "groups": groups} if groups else optimizer)

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """An optimizer of the model's parameters.

        Raises:
            ConfigError: if no parameter's name begins with a group's prefix, or torch refuses the
                arguments.
        """
        options = dict(self.optimizer)
        kind = getattr(torch.optim, options.pop("name"))
        own = options.pop("groups", None) or {}
        rest = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = []
        for prefix, changes in own.items():
            chosen = [name for name in rest if name == prefix or name.startswith(f"{prefix}.")]
            if not chosen:
                parts = sorted({name.partition(".")[0] for name in rest})
                raise ConfigError(
                    "model.training.optimizer.groups: no parameter's name begins with "
                    f"{prefix!r}; the model's parts are {', '.join(parts)}"
                )
            groups.append({"params": [rest.pop(name) for name in chosen], **changes})
        if rest:
            groups.append({"params": list(rest.values())})
        if issubclass(kind, _FUSED) and not options.keys() & {"fused", "foreach", "differentiable"}:
            options["fused"] = True  # one pass over all parameters, on CPU and GPU
        return _made("optimizer", kind, groups, options)

    def make_scheduler(self, optimizer: Optimizer) -> lr_scheduler.LRScheduler | None:
        """A scheduler of the optimizer's learning rate, or None.

        Raises:
            ConfigError: if torch refuses the arguments.
        """
        if self.scheduler is None:
            return None
        options = dict(self.scheduler)
        kind = getattr(lr_scheduler, options.pop("name"))
        return _made("scheduler", kind, optimizer, options)


_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)

# Not supported: their steps need the loss as a function, or a validation figure.
_OTHER = ("LBFGS", "ReduceLROnPlateau", "Optimizer", "LRScheduler", "_LRScheduler")


def _named(what: str, block: Mapping[str, Any], room: Any, base: type) -> None:
    """Refuse a block whose ``name`` is not such a class in torch."""
    names = sorted(
        name
        for name, kind in vars(room).items()
        if isinstance(kind, type) and issubclass(kind, base) and name not in _OTHER
    )
    check_choice(f"model.training.{what}.name", block.get("name"), names, ConfigError)


def _made(what: str, kind: Callable[..., Any], first: Any, options: Mapping[str, Any]) -> Any:
    try:
        return kind(first, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.training.{what}: {error}") from error
