"""The augmentations that a model's config names, applied alike to all of the model's inputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mersynth import augment
from mersynth.augment import Augmentation, ClipBank
from mersynth.config import ConfigError
from recognizers.models.base import InputSpec

TRAINING_BANK = "training"
"""The value of an augmentation's ``bank`` that means the training clips."""

FRAME_BY_FRAME = frozenset(
    {
        "ColorJitter",
        "HalfFaceMirror",
        "RandomAffine",
        "RandomCrop",
        "RandomErasing",
        "RandomHorizontalFlip",
        "RandomJPEG",
        "SensorNoise",
    }
)
"""The augmentations that change a frame of a clip without regard to its other frames."""

PHASES_APART = "PhasesApart"
"""The augmentation that needs more than the inputs: those of the clips' falling phase."""

_ANNOTATIONS = ("label", "au_set", "subject")  # augmentations change them along with the frames


class Augmenting:
    """The augmentations of the block ``augment`` of ``configs/model``, in order.

    A sample's inputs (onset, apex, flow ...) show one face, so all get the same random parameters.
    Channels called ``u`` and ``v`` are displacements, which rotate and flip with the image.
    ``PhasesApart``, which comes first, takes the inputs of some clips from their falling phase.

    Args:
        blocks: names in ``mersynth.augment`` with their arguments; with ``bank: training`` donors
            come from all training clips instead of the batch.
        specs: ``Recognizer.inputs``.
        banks: by input, the training clips; needed for ``bank: training``.

    Raises:
        ConfigError: if there is no such augmentation, or an argument does not fit.
    """

    def __init__(
        self,
        blocks: Mapping[str, Mapping[str, Any]],
        specs: Mapping[str, InputSpec],
        banks: Mapping[str, ClipBank] | None = None,
    ) -> None:
        self.keys = {
            name: "image" if spec.num_frames is None else "clip" for name, spec in specs.items()
        }
        apart = blocks.get(PHASES_APART, {"p": 0.0}) or {}
        spec = next(iter(specs.values()))
        self.falls = _make(PHASES_APART, apart, spec, None).p / 2
        self.steps = [
            {
                name: _make(step, options, spec, (banks or {}).get(name))
                for name, spec in specs.items()
            }
            for step, options in blocks.items()
            if step != PHASES_APART
        ]

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Augment a batch.

        Args:
            batch: every input by its name, ``label``, ``au_set``, ``subject``; for ``PhasesApart``
                also those of the falling phase, by :func:`fall_of`. Other keys are kept.

        Returns:
            A new mapping, whose labels and AU sets fit the changed inputs.
        """
        batch = dict(batch)
        if self.falls:
            self._take_falls(batch)
        for step in self.steps:
            known = {key: batch[key] for key in _ANNOTATIONS}
            params = None
            for name, augmentation in step.items():
                key = self.keys[name]
                changed = augmentation({key: batch[name], **known}, params=params)
                params = augmentation.params
                batch[name] = changed.pop(key)
            batch.update(changed)
        return batch

    def _take_falls(self, batch: dict[str, Tensor]) -> None:
        """Replace the inputs of some clips by those of their falling phase."""
        falls = torch.rand(len(batch["label"])) < self.falls
        for name in self.keys:
            rise, fall = batch[name], batch.pop(fall_of(name))
            chosen = falls.to(rise.device).view(-1, *[1] * (rise.dim() - 1))
            batch[name] = torch.where(chosen, fall, rise)


def fall_of(name: str) -> str:
    """The key of an input of the falling phase."""
    return f"{name} (falling)"


def needs_bank(blocks: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an augmentation borrows from the training clips."""
    return any((options or {}).get("bank") == TRAINING_BANK for options in blocks.values())


def _make(
    name: str, options: Mapping[str, Any] | None, spec: InputSpec, bank: ClipBank | None
) -> Augmentation:
    kind = getattr(augment, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Augmentation) and kind is not Augmentation):
        known = [n for n in augment.__all__ if _is_augmentation(getattr(augment, n))]
        raise ConfigError(f"model.augment: there is no {name!r}; there are {', '.join(known)}")
    given = dict(options or {})
    if "bank" in given:
        if given["bank"] != TRAINING_BANK:
            raise ConfigError(
                f"model.augment.{name}.bank must be {TRAINING_BANK}, got {given['bank']!r}: a fold "
                "borrows from the clips that it trains on"
            )
        given["bank"] = bank
    if "flow_channels" in inspect.signature(kind).parameters and {"u", "v"} <= set(spec.channels):
        given.setdefault("flow_channels", (spec.channels.index("u"), spec.channels.index("v")))
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.augment.{name}: {error}") from error


def _is_augmentation(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Augmentation) and value is not Augmentation
