"""Whether probabilities say how often a recognizer is right.

The expected calibration error of Naeini et al. (AAAI 2015), as in Guo et al., "On Calibration of
Modern Neural Networks" (ICML 2017), eq. 3: predictions are sorted into bins by their confidence,
the probability of the predicted class, and the gaps between a bin's confidence and its accuracy
are averaged, weighted by the bin's share of the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recognizers.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence.

    Attributes:
        low, high: bounds of the confidence; ``high`` belongs to the next bin, except for 1.
        share: of all predictions.
        confidence: mean.
        accuracy: share that is right.
    """

    low: float
    high: float
    share: float
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence against accuracy.

    Attributes:
        bins: those that have predictions, by confidence.
        error: the expected calibration error, in [0, 1].
        confidence: mean.
        accuracy: share of the predictions that is right.
    """

    bins: tuple[Bin, ...]
    error: float
    confidence: float
    accuracy: float


def calibration(predictions: Predictions, bins: int = 10) -> Calibration:
    """Compare confidence and accuracy over all clips and seeds.

    Args:
        predictions: a run.
        bins: number of bins of equal width in [0, 1].

    Raises:
        ValueError: if there is less than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be 1 or more, got {bins}")
    frame = predictions.frame
    columns = frame[[f"p_{name}" for name in predictions.classes]].to_numpy()
    index = {name: code for code, name in enumerate(predictions.classes)}
    predicted = frame["predicted"].map(index).to_numpy(dtype=np.int64)
    confidence = columns[np.arange(len(frame)), predicted]
    right = (frame["predicted"] == frame["true"]).to_numpy(dtype=np.float64)
    edges = np.linspace(0, 1, bins + 1)
    of = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        own = of == number
        if own.any():
            found.append(
                Bin(
                    low=float(edges[number]),
                    high=float(edges[number + 1]),
                    share=float(own.mean()),
                    confidence=float(confidence[own].mean()),
                    accuracy=float(right[own].mean()),
                )
            )
    return Calibration(
        bins=tuple(found),
        error=sum(each.share * abs(each.confidence - each.accuracy) for each in found),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
    )
