"""How small forms are pretrained and fine-tuned."""

from __future__ import annotations

from pathlib import Path

from measuring.small_forms import GROUPS, Form
from mersynth.store.clip_store import ClipStore

# Chosen for STSTNet on the phantom's own store.
LR_FACTOR = 0.1  # of fine-tuning
CLIPS_SEEN = 2  # in pretraining, for each that fine-tuning sees


def pretraining(form: Form, real: Path, synthetic: Path) -> list[str]:
    """Overrides: the rates of fine-tuning and, for small forms, the epochs of pretraining.

    A fold trains on the real clips of all groups of people but one; a synthetic clip involves two
    people, and both must be in these groups.
    """
    factor = f"fine_tuning.lr_factor={LR_FACTOR}"
    if form.epochs is None:
        return [factor]
    count, many = (len(ClipStore.open(store)) for store in (real, synthetic))
    share = (GROUPS - 1) / GROUPS
    epochs = max(1, round(CLIPS_SEEN * form.epochs * count * share / (many * share**2)))
    return [factor, f"pretraining.epochs={epochs}"]
