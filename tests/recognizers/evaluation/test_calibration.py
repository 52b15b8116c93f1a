"""Calibration against torchmetrics, and in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from recognizers.evaluation.calibration import calibration
from recognizers.evaluation.predictions import Predictions
from tests.recognizers.evaluation.tiny_predictions import CLASSES, frame_of


def predictions(seed: int = 0, clips: int = 300, sharpness: float = 2.0) -> Predictions:
    """Two seeds with probabilities of all sizes."""
    frames = []
    for number in range(2):
        rng = np.random.default_rng([seed, number])
        logits = rng.normal(0, sharpness, (clips, 3))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        true = np.random.default_rng(seed).choice(CLASSES, clips)
        predicted = [CLASSES[i] for i in p.argmax(1)]
        frame = frame_of(
            true.tolist(), predicted, [f"{i % 9:03}" for i in range(clips)], seed=number
        )
        for column, name in enumerate(CLASSES):
            frame[f"p_{name}"] = p[:, column]
        frames.append(frame)
    return Predictions(pd.concat(frames), CLASSES)


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_the_error_is_that_of_torchmetrics(bins: int) -> None:
    run = predictions()
    p = torch.tensor(run.frame[[f"p_{name}" for name in CLASSES]].to_numpy())
    true = torch.tensor([CLASSES.index(name) for name in run.frame["true"]])
    expected = multiclass_calibration_error(p, true, num_classes=3, n_bins=bins, norm="l1")
    found = calibration(run, bins)
    assert found.error == pytest.approx(float(expected), abs=1e-6)
    assert found.error > 0.1  # guesses that are sure of themselves
    assert sum(each.share for each in found.bins) == pytest.approx(1)
    for each in found.bins:
        assert each.low <= each.confidence <= each.high


def test_confidence_that_is_right_has_no_error() -> None:
    true = ["positive"] * 7 + ["negative"] * 3
    run = Predictions(frame_of(true, ["positive"] * 10, ["a"] * 10), CLASSES)  # each with 0.7
    found = calibration(run)
    (only,) = found.bins
    assert (only.accuracy, only.confidence, only.share) == pytest.approx((0.7, 0.7, 1))
    assert found.error == pytest.approx(0, abs=1e-12)
    wrong = calibration(
        Predictions(frame_of(["negative"] * 10, ["positive"] * 10, ["a"] * 10), CLASSES)
    )
    assert wrong.error == pytest.approx(0.7)


def test_certainty_lies_in_the_last_bin() -> None:
    frame = frame_of(["positive"], ["positive"], ["a"])
    frame[["p_negative", "p_positive", "p_surprise"]] = [0.0, 1.0, 0.0]
    (only,) = calibration(Predictions(frame, CLASSES)).bins
    assert (only.low, only.high) == pytest.approx((0.9, 1.0))


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="bins must be 1 or more, got 0"):
        calibration(predictions(), 0)
