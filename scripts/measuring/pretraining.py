"""How systems are pretrained, so that all arms of a comparison see as many clips."""

from __future__ import annotations

from measuring.small_forms import SMALL, Form
from mersynth import config

CLIPS_SEEN = 2
"""Clips that pretraining sees for each that fine-tuning sees; chosen for STSTNet on the phantom."""


def pretraining(form: Form) -> list[str]:
    """Overrides of a pretrained arm: its clips, and the rates of fine-tuning."""
    return [
        f"fine_tuning.lr_factor={SMALL[form.system].lr_factor}",
        "pretraining.epoch_clips=fold",
        f"pretraining.epochs={CLIPS_SEEN * epochs(form)}",
    ]


def as_many_steps(form: Form) -> list[str]:
    """Overrides of real clips alone for as many clips, and steps, as a pretrained arm sees."""
    return [f"model.training.epochs={(1 + CLIPS_SEEN) * epochs(form)}"]


def epochs(form: Form) -> int:
    """Epochs of training on real clips alone."""
    if form.epochs is not None:
        return form.epochs
    return int(config.load("evaluate", [f"model={form.config}"]).model.training.epochs)
