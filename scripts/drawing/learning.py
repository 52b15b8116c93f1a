"""Learning curves of many systems as small multiples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from measuring.ladder import RUNGS, Climb

COLOURS = ("#1f6fb4", "#d1662a", "#2e8b57")


def draw_learning(climbs: Mapping[str, Climb], path: Path) -> None:
    """Write a picture (.png): a panel for each system, accuracy by epoch on each of its tasks.

    Solid lines are the tested people's, dotted ones those of training; a system that is fitted
    once is a point.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(5, len(climbs))
    down = -(-len(climbs) // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(2.6 * across, 1.9 * down + 0.5), sharey=True, squeeze=False
    )
    for panel in axes.flat[len(climbs) :]:
        panel.axis("off")
    for panel, (system, climb) in zip(axes.flat, climbs.items(), strict=False):
        for colour, rung in zip(COLOURS, RUNGS, strict=True):
            curve = climb.rungs[rung.name].curve
            epochs = [point.epoch for point in curve]
            mark = "o" if len(curve) == 1 else None
            tested = [point.tested for point in curve]
            trained = [point.trained for point in curve]
            panel.plot(epochs, tested, color=colour, marker=mark, label=rung.name, linewidth=1.4)
            panel.plot(epochs, trained, color=colour, linestyle=":", linewidth=0.9)
        panel.set_title(system, fontsize=9)
        panel.set_ylim(0, 1)
        panel.axhline(0.2, color="#999999", linewidth=0.6)
        panel.tick_params(labelsize=7)
        if len(curve) == 1:
            panel.set_xticks([1], ["fitted once"])
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("accuracy", fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("epoch", fontsize=8)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / (1.9 * down + 0.5)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
