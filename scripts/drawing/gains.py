"""Gains with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from measuring.arms import ARMS
from measuring.gains import WANTED, Cell, words_of


def draw_gains(cells: Sequence[Cell], arms: Sequence[str], path: Path) -> None:
    """Write a picture (.png): one panel per database, one line per system, one mark per arm.

    Marks are hollow where the pretrained system is not above chance.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(words_of(cell.setting) for cell in cells))
    systems = list(dict.fromkeys(cell.system for cell in cells))
    figure, panels = pyplot.subplots(
        1, len(names), figsize=(4 * len(names) + 1, 0.42 * len(systems) + 1.6), sharey=True,
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, name in zip(panels[0], names, strict=True):
        for i, arm in enumerate(arms):
            shown = [cell for cell in cells if words_of(cell.setting) == name]
            gains = [cell.gains[arm].difference for cell in shown]
            shift = 0.6 / len(arms) * (i - (len(arms) - 1) / 2)
            places = [systems.index(cell.system) + shift for cell in shown]
            colour = f"C{i}"
            panel.hlines(
                places, [gain.low for gain in gains], [gain.high for gain in gains], color=colour
            )
            for gain, place, cell in zip(gains, places, shown, strict=True):
                face = colour if cell.above_chance(arm) else "white"
                panel.plot(gain.estimate, place, "o", ms=4.5, color=colour, mfc=face, zorder=3)
            panel.plot([], [], "o-", ms=4.5, color=colour, label=ARMS[arm].words)
        panel.axvline(0, color="0.3", linewidth=1)
        panel.plot([], [], "o", ms=4.5, color="0.3", mfc="white", label="at chance")
        panel.axvline(WANTED, color="0.3", linewidth=1, linestyle=":", label="paper 004, mean")
        panel.set(title=name, xlabel="gain in UF1", yticks=range(len(systems)))
        panel.set_yticklabels(systems)
        panel.locator_params(axis="x", nbins=5)
        panel.grid(axis="x", color="0.9")
    panels[0][0].set_ylim(len(systems) - 0.5, -0.5)
    known = panels[0][0].get_legend_handles_labels()
    figure.legend(*known, loc="outside lower center", ncols=4, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
