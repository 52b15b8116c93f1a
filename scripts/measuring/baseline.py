"""The baseline without a recognizer."""

from __future__ import annotations

from recognizers.evaluation.metrics import score
from recognizers.evaluation.predictions import Predictions


def most_frequent(predictions: Predictions) -> str:
    """The figures of predicting the most frequent class for every clip, in words."""
    true = list(predictions.true_labels().values())
    named = max(predictions.classes, key=true.count)
    scores = score(true, [named] * len(true), predictions.classes)
    return (
        f"Predicting {named} for every clip gives UF1 {scores.uf1:.3f}, UAR {scores.uar:.3f} and "
        f"an accuracy of {scores.accuracy:.3f}"
    )
