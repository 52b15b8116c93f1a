"""Gains with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from measuring.gains import DATABASES, GENERATORS, WANTED, Cell


def draw_gains(cells: Sequence[Cell], generators: Sequence[str], path: Path) -> None:
    """Write a picture (.png): a panel a database, a line a system, a mark a generator.

    Marks are hollow where real clips alone teach nothing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(cell.database for cell in cells))
    systems = list(dict.fromkeys(cell.system for cell in cells))
    figure, panels = pyplot.subplots(
        1, len(names), figsize=(4 * len(names) + 1, 0.42 * len(systems) + 1.6), sharey=True,
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, name in zip(panels[0], names, strict=True):
        for i, generator in enumerate(generators):
            shown = [cell for cell in cells if cell.database == name]
            gains = [cell.gains[generator].difference for cell in shown]
            shift = 0.22 * (i - (len(generators) - 1) / 2)
            places = [systems.index(cell.system) + shift for cell in shown]
            marks = panel.errorbar(
                [gain.estimate for gain in gains],
                places,
                xerr=[
                    [gain.estimate - gain.low for gain in gains],
                    [gain.high - gain.estimate for gain in gains],
                ],
                fmt="o",
                markersize=4,
                label=GENERATORS[generator],
            )
            untaught = [k for k, cell in enumerate(shown) if not cell.real_clips_teach]
            panel.plot(
                [gains[k].estimate for k in untaught],
                [places[k] for k in untaught],
                "o",
                markersize=4,
                color=marks[0].get_color(),
                markerfacecolor="white",
                zorder=3,
            )
        panel.axvline(0, color="0.3", linewidth=1)
        panel.axvline(WANTED, color="0.3", linewidth=1, linestyle=":", label="paper 004, mean")
        panel.set(title=DATABASES[name], xlabel="gain in UF1", yticks=range(len(systems)))
        panel.set_yticklabels(systems)
        panel.grid(axis="x", color="0.9")
    panels[0][0].set_ylim(len(systems) - 0.5, -0.5)
    known = panels[0][0].get_legend_handles_labels()
    figure.legend(*known, loc="outside lower center", ncols=3, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
