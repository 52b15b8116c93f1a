"""Learning curves: what a chart draws, read off by its own ticks."""

from __future__ import annotations

import pytest

from recognizers.report.charts import HEIGHT, WIDTH, learning_charts
from recognizers.runs.records import Epoch, FoldRecord, PretrainingRecord


def fold(name: str, clips: int, curve: list[Epoch]) -> FoldRecord:
    rows = ((1.0,),) * clips
    ids = ("c",) * clips
    return FoldRecord(name, 0, 1.0, 1, 1, tuple(curve), ids, rows, rows)


def test_learning_charts_draw_the_mean_of_the_folds():
    """Two folds, of 3 clips and of 1; the band's ends by hand."""
    losses = [[2.0, 1.0], [1.0, 0.0]]
    tested = [[1.0, 0.0], [0.0, 1.0]]
    folds = [
        fold(
            str(number),
            clips,
            [
                Epoch(epoch, loss, test_accuracy=accuracy)
                for epoch, loss, accuracy in zip(
                    (1, 2), losses[number], tested[number], strict=True
                )
            ],
        )
        for number, clips in enumerate((3, 1))
    ]
    loss, test = learning_charts(folds)
    assert [chart.title for chart in (loss, test)] == ["Loss", "Test accuracy"]
    assert (loss.value, test.value, loss.curves) == (0.5, 0.25, 2)
    mean, above, below = 0.75, 0.75 + 0.375 * 2**0.5 / 2, 0.75 - 0.375 * 2**0.5 / 2
    assert values_of(test, test.line) == pytest.approx([mean, 0.25], abs=0.005)
    # sqrt((0.75 * 0.25)^2 + (0.25 * 0.75)^2) = 0.265, cut at 1 and at 0
    assert values_of(test, test.band) == pytest.approx([min(above, 1), 0.515, 0, below], abs=0.005)
    assert values_of(loss, loss.line) == pytest.approx([1.5, 0.5], abs=0.01)
    assert values_of(loss, loss.band) == pytest.approx([2, 1, 0, 1], abs=0.01)


def values_of(chart, points: str) -> list[float]:
    """Values of drawn points, read off by the chart's own ticks."""
    low, high = chart.y_ticks[0], chart.y_ticks[-1]
    scale = (float(high.text) - float(low.text)) / (high.place - low.place)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    return [float(low.text) + (y - low.place) * scale for _, y in places]


@pytest.mark.parametrize("epochs", [1, 2, 7, 30, 800])
def test_ticks_of_epochs_are_few_whole_and_within(epochs):
    curve = [Epoch(epoch, 1e-3 / epoch) for epoch in range(1, epochs + 1)]
    (chart,) = learning_charts([fold("a", 0, curve)])
    ticks = [int(tick.text) for tick in chart.x_ticks]
    assert 1 <= len(ticks) <= 8
    assert all(1 <= tick <= epochs for tick in ticks)
    assert 3 <= len(chart.y_ticks) <= 8
    assert chart.band == ""
    assert values_of(chart, chart.line)[-1] == pytest.approx(1e-3 / epochs, abs=2e-5)


def test_a_fold_that_ended_early_counts_as_far_as_it_goes():
    curves = [(Epoch(1, 1.0),), (Epoch(1, 3.0), Epoch(2, 5.0))]
    (chart,) = learning_charts([PretrainingRecord(0, 0, 1.0, curve, "") for curve in curves])
    assert chart.shorter
    assert values_of(chart, chart.line) == pytest.approx([2, 5], abs=0.03)
