"""What needs no recognizer."""

from __future__ import annotations

from recognizers.metrics import Scores, score
from recognizers.predictions import Predictions


def most_frequent(predictions: Predictions) -> tuple[str, Scores]:
    """The most frequent class, and what it gives to call every clip so."""
    true = list(predictions.true_labels().values())
    named = max(predictions.classes, key=true.count)
    return named, score(true, [named] * len(true), predictions.classes)


def nothing_learnt(predictions: Predictions) -> str:
    """What it gives to call every clip by the most frequent class, in words."""
    named, scores = most_frequent(predictions)
    return (
        f"To call every clip {named} gives UF1 {scores.uf1:.3f}, UAR {scores.uar:.3f} and an "
        f"accuracy of {scores.accuracy:.3f}"
    )
