"""Clips of people, for tests that need no frames."""

from __future__ import annotations

import numpy as np

from mersynth.clips import Clip


def clip(person: str, name: str = "1", emotion: str = "anger") -> Clip:
    source, subject = person.split("/")
    return Clip(
        source=source, subject=subject, name=name, onset=0, apex=1, offset=2, emotion=emotion
    )


def crowd(seed: int, subjects: int = 9, sources: tuple[str, ...] = ("samm", "smic")) -> list[Clip]:
    """Shuffled clips of people with one to eight clips each, of three classes."""
    rng = np.random.default_rng(seed)
    clips = [
        clip(f"{source}/{s}", f"{s}_{i}", ["negative", "positive", "surprise"][rng.integers(3)])
        for source in sources
        for s in range(subjects)
        for i in range(rng.integers(1, 9))
    ]
    return [clips[i] for i in rng.permutation(len(clips))]


def people(clips: list[Clip], positions: tuple[int, ...]) -> set[str]:
    return {clips[i].subject_id for i in positions}
