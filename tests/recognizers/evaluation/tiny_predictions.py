"""Predictions made up for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recognizers.evaluation.predictions import Predictions

CLASSES = ("negative", "positive", "surprise")


def frame_of(
    true: Sequence[str],
    predicted: Sequence[str],
    subjects: Sequence[str],
    *,
    seed: int = 0,
    datasets: Sequence[str] | None = None,
    classes: Sequence[str] = CLASSES,
) -> pd.DataFrame:
    """One row per clip, clips numbered in order; each prediction has probability 0.7."""
    rest = 0.3 / (len(classes) - 1)
    columns = {
        "seed": seed,
        "fold": list(subjects),
        "dataset": list(datasets or ["samm"] * len(true)),
        "subject": list(subjects),
        "clip": [f"clip{number:03}" for number in range(len(true))],
        "true": list(true),
        "predicted": list(predicted),
    }
    sure = {f"p_{name}": [0.7 if p == name else rest for p in predicted] for name in classes}
    return pd.DataFrame({**columns, **sure})


def random_labels(
    num_clips: int, num_subjects: int, skill: float, seed: int
) -> tuple[list[str], list[str], list[str]]:
    """True labels, predicted ones of which a share ``skill`` is right for sure, and subjects."""
    rng = np.random.default_rng(seed)
    true = rng.choice(CLASSES, num_clips, p=[0.6, 0.25, 0.15])
    guess = rng.choice(CLASSES, num_clips, p=[0.4, 0.3, 0.3])
    predicted = np.where(rng.random(num_clips) < skill, true, guess)
    subjects = [f"{number:03}" for number in rng.integers(0, num_subjects, num_clips)]
    return true.tolist(), predicted.tolist(), subjects


def random_run(
    num_clips: int = 120, num_subjects: int = 12, skill: float = 0.5, seeds: int = 1
) -> Predictions:
    """A run on clips that are the same whatever the skill and the number of seeds."""
    true, _, subjects = random_labels(num_clips, num_subjects, skill, seed=0)
    frames = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, int(100 * skill)])
        guess = rng.choice(CLASSES, num_clips)
        predicted = np.where(rng.random(num_clips) < skill, true, guess)
        frames.append(frame_of(true, predicted.tolist(), subjects, seed=seed))
    return Predictions(pd.concat(frames), CLASSES)
