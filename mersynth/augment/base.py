"""The base class of all augmentations: inputs, and drawing and replaying of parameters.

An augmentation is an ``nn.Module`` over a pure function. It takes

- a tensor: images (B, C, H, W) or (C, H, W), or clips (B, T, C, H, W); or
- a mapping with ``"image"`` (B, C, H, W) or ``"clip"`` (B, T, C, H, W) and any other fields of
  :class:`Batch`, which stay consistent with the frames; other keys pass through unchanged. A sample
  of a :class:`mersynth.store.dataset.ClipDataset`, alone (without B) or collated, is such a
  mapping;

and returns the same kind. Parameters are drawn before they are applied, and kept in ``params``, so
that ``augment(other, params=augment.params)`` does the same to other frames, on any device. A
clip's frames share all spatial parameters: no motion is added.

An augmentation can therefore be used in ``torchvision.transforms.v2.Compose``, in
``kornia.augmentation.AugmentationSequential`` (images only), and, after ``default_collate``, in a
``collate_fn``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from mersynth.augment.batch import Batch, check_unit_range, unpack

__all__ = ["Augmentation", "Batch", "Params", "check_unit_range", "unpack"]

Params = dict[str, Tensor]
"""What a transform drew at random, by name; the first axis is that of the samples."""


class Augmentation(nn.Module, ABC):
    """Base of the augmentations.

    Args:
        p: probability that a sample is changed.
        generator: a generator on the CPU, from which parameters are drawn; None: torch's own, which
            ``torch.manual_seed`` sets. Either way the same seed gives the same parameters on every
            device. Leave it out in a DataLoader's workers: torch seeds each worker differently,
            but all would get a copy of the same generator.

    Attributes:
        params: the parameters drawn last, tensors by name; ``"on"`` (B,) says which samples
            changed.

    Raises:
        ValueError: if ``p`` lies outside [0, 1].
    """

    unit_range = False
    """Whether frames must lie in [0, 1]; if not, they may be flow or normalised."""

    resizes = False
    """Whether the result may have another size or number of frames; ``transform`` then handles
    ``"on"`` itself, and brings samples that are off to the same size deterministically."""

    def __init__(self, p: float = 0.5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must lie in [0, 1], got {p}")
        self.p = p
        self.generator = generator
        self.params: Params = {}

    @abstractmethod
    def draw(self, batch: Batch) -> Params:
        """Parameters for every sample of a batch, on the batch's device.

        ``"on"`` is added; a subclass may give it to say which samples can change at all.
        """

    @abstractmethod
    def transform(self, batch: Batch, params: Params) -> Batch:
        """The batch with every sample changed; the caller restores those that are not ``"on"``."""

    def forward(
        self, inputs: Tensor | Mapping[str, Any], params: Params | None = None
    ) -> Tensor | dict[str, Any]:
        """Augment.

        Args:
            inputs: see the module docstring.
            params: those of an earlier call, to replay; None draws new ones.

        Returns:
            The same kind as ``inputs``, which are not changed.

        Raises:
            ValueError: if shapes do not fit together; if frames are not float, or outside [0, 1]
                where that is required; if AUs are outside [0, 1] (NaN, not measured, is allowed);
                or if ``params`` are for another number of samples.
        """
        batch, restore = unpack(inputs)
        if self.unit_range:
            check_unit_range(type(self).__name__, batch.frames)
        if params is None:
            params = self.draw(batch)
            on = self.uniform(batch, 0, 1) < self.p
            params["on"] = on & params["on"] if "on" in params else on
        else:
            params = self._fit(params, batch)
        self.params = params
        changed = self.transform(batch, params)
        return restore(changed if self.resizes else _choose(params["on"], changed, batch))

    def _fit(self, params: Params, batch: Batch) -> Params:
        """Replayed parameters on the batch's device; refuse those of another number of samples."""
        size = len(params["on"]) if "on" in params else 0
        if size != len(batch):
            raise ValueError(
                f"{type(self).__name__}: the params are for {size} samples, the batch has "
                f"{len(batch)}; replay the params of a batch of the same size"
            )
        return {name: value.to(batch.device) for name, value in params.items()}

    def uniform(self, batch: Batch, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) evenly distributed numbers in [low, high), on the batch's device."""
        drawn = torch.rand(len(batch), *shape, generator=self.generator)
        return (low + (high - low) * drawn).to(batch.device)

    def extra_repr(self) -> str:
        """The probability; a subclass adds its own."""
        return f"p={self.p}"


def _choose(on: Tensor, changed: Batch, batch: Batch) -> Batch:
    """The changed samples where ``on``, else those of the batch."""
    chosen = {}
    for field in fields(batch):
        new, old = getattr(changed, field.name), getattr(batch, field.name)
        if new is not None and new is not old:
            wide = on.reshape(-1, *[1] * (new.dim() - 1))
            chosen[field.name] = torch.where(wide, new, old)
    return replace(changed, **chosen)
