"""Learning curves and calibration: the geometry that the page's template draws as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mersynth.pages.charts import Plot, Tick, points, scale, ticks
from recognizers.evaluation.calibration import Calibration
from recognizers.runs.records import Epoch, FoldRecord, PretrainingRecord

WIDTH, HEIGHT = 360, 216
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 350, 10, 180


@dataclass(frozen=True, slots=True)
class Chart:
    """A line with a band around it, in the units of a drawing of ``WIDTH`` x ``HEIGHT``.

    Attributes:
        title: what the line shows.
        line: the mean, as points of SVG (``"x,y x,y"``).
        band: outline of the band, likewise; empty where there is one curve.
        x_ticks: epochs.
        y_ticks: values.
        last: the line's end, x and y.
        value: its value there.
        curves: number of curves averaged.
        shorter: whether some curves end earlier than others.
    """

    title: str
    line: str
    band: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    last: tuple[float, float]
    value: float
    curves: int
    shorter: bool


def calibration_plots(calibrated: Calibration) -> list[Plot]:
    """Accuracy against confidence, and how often each confidence occurs."""
    bins = calibrated.bins
    reliability = Plot(
        title="Accuracy by confidence",
        note="Dashed: probabilities are right. Below it: too sure.",
        x_range=(0, 1),
        y_range=(0, 1),
        x_label="confidence",
        y_label="accuracy",
    )
    confidence = np.array([each.confidence for each in bins])
    accuracy = np.array([each.accuracy for each in bins])
    reliability.line(np.array([0, 1]), np.array([0, 1]), "faint")
    reliability.line(confidence, accuracy, "real")
    reliability.dots(confidence, accuracy, "real")
    shares = np.array([each.share for each in bins])
    often = Plot(
        title="How sure it is",
        note="Share of the predictions; bins with few say little.",
        x_range=(0, 1),
        y_range=(0, float(shares.max())),
        x_label="confidence",
        y_label="share",
    )
    for each in bins:
        edges = np.array([each.low + 0.004, each.high - 0.004])
        often.area(edges, np.full(2, each.share), "real")
    return [reliability, often]


def learning_charts(records: Sequence[FoldRecord] | Sequence[PretrainingRecord]) -> list[Chart]:
    """Charts of loss, training accuracy and test accuracy, if measured.

    Loss and training accuracy are means over folds and seeds, with a band of one standard
    deviation. Test accuracy is pooled over the tested clips, since a fold may test a single one;
    its band is one standard error, with the folds as a random sample:
    sqrt(sum (w_i (a_i - a))^2), where w_i is a fold's share of the clips and a_i its accuracy, the
    mean over seeds.

    Args:
        records: records of folds or of pretrainings; the latter have no test accuracy.
    """
    charts = [
        _chart("Loss", [_series(r.curve, "loss") for r in records], high=None),
        _chart("Training accuracy", [_series(r.curve, "train_accuracy") for r in records]),
    ]
    folds = [record for record in records if isinstance(record, FoldRecord)]
    clips = {fold.fold: float(len(fold.clips)) for fold in folds}
    if clips:
        test = [
            _mean_series([_series(f.curve, "test_accuracy") for f in folds if f.fold == name])
            for name in clips
        ]
        charts.append(_chart("Test accuracy", test, np.array(list(clips.values()))))
    return [chart for chart in charts if chart is not None]


def _series(curve: Sequence[Epoch], name: str) -> dict[int, float]:
    return {
        point.epoch: getattr(point, name) for point in curve if getattr(point, name) is not None
    }


def _mean_series(series: Sequence[Mapping[int, float]]) -> dict[int, float]:
    epochs = sorted({epoch for curve in series for epoch in curve})
    return {
        epoch: float(np.mean([curve[epoch] for curve in series if epoch in curve]))
        for epoch in epochs
    }


def _chart(
    title: str,
    series: Sequence[Mapping[int, float]],
    clips: np.ndarray | None = None,
    high: float | None = 1.0,
) -> Chart | None:
    """Draw the mean of some curves, each by epoch; None where nothing was measured."""
    measured = [bool(curve) for curve in series]
    if not any(measured):
        return None
    curves = [curve for curve in series if curve]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    values = np.array([[curve.get(epoch, np.nan) for epoch in epochs] for curve in curves])
    weights = np.ones(len(curves)) if clips is None else clips[measured]
    mean, spread = _summary(values, weights, of_the_mean=clips is not None)
    below, above = mean - spread, mean + spread
    if values.min(initial=0, where=~np.isnan(values)) >= 0:
        below = below.clip(0)
    if high is not None:
        above = above.clip(max=high)
    y_at = ticks(min(0.0, float(below.min())), high or float(above.max()))
    x_at = ticks(epochs[0], epochs[-1], whole=True)
    x = scale(np.array(epochs), epochs[0], max(epochs[-1], epochs[0] + 1), _LEFT, _RIGHT)
    ends = y_at[0], y_at[-1], _BOTTOM, _TOP
    y, y_below, y_above = (scale(v, *ends) for v in (mean, below, above))
    band = f"{points(x, y_above)} {points(x[::-1], y_below[::-1])}" if len(curves) > 1 else ""
    x_places = scale(np.array(x_at), epochs[0], max(epochs[-1], epochs[0] + 1), _LEFT, _RIGHT)
    return Chart(
        title=title,
        line=points(x, y),
        band=band,
        x_ticks=[Tick(float(p), f"{t:g}") for p, t in zip(x_places, x_at, strict=True)],
        y_ticks=[
            Tick(float(p), f"{t:g}")
            for p, t in zip(scale(np.array(y_at), *ends), y_at, strict=True)
        ],
        last=(float(x[-1]), float(y[-1])),
        value=float(mean[-1]),
        curves=len(curves),
        shorter=bool(np.isnan(values).any()),
    )


def _summary(
    values: np.ndarray, weights: np.ndarray, of_the_mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(E,) weighted mean and spread of (F, E) values over the curves that have each epoch."""
    share = np.where(np.isnan(values), 0, weights[:, None])
    share = share / share.sum(0)
    values = np.nan_to_num(values)
    mean = (share * values).sum(0)
    square = share**2 if of_the_mean else share
    return mean, np.sqrt((square * (values - mean) ** 2).sum(0))
