"""Settings with which a training takes a second."""

from __future__ import annotations

from pathlib import Path

from mersynth.gan.checkpoint import load_card

QUICK = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=2", "device=cpu"]


def quick(steps: int, every: int = 1000) -> list[str]:
    return [*QUICK, f"steps={steps}", f"checkpoint_every={every}", "sample_every=1000"]


def weights(folder: Path) -> str:
    return load_card(folder).sha256
