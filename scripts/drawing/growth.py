"""Curves of growth on log axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLOURS = {
    "clips": "#1f6fb4", "frames": "#d1662a", "image side": "#2e8b57", "subjects": "#8e4ab0",
    "classes": "#a08a1c",
}  # fmt: skip
MARKS = {"clips": "o", "frames": "s", "image side": "^", "subjects": "D", "classes": "v"}


@dataclass(frozen=True)
class Curve:
    """What a work takes while one of its sizes grows.

    Attributes:
        work: its name.
        doubled: what grows.
        grown: how many times as much as at first, images in pixels.
        seconds: of the processor.
        memory: MiB.
    """

    work: str
    doubled: str
    grown: Sequence[float]
    seconds: Sequence[float]
    memory: Sequence[float]

    @property
    def time_slope(self) -> float:
        """The slope of time on log axes."""
        return _slope(self.grown, self.seconds)

    @property
    def memory_slope(self) -> float:
        """The slope of memory on log axes."""
        return _slope(self.grown, self.memory)


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    return round(float(np.polyfit(np.log(x), np.log(y), 1)[0]), 3)


def draw_growth(curves: Sequence[Curve], path: Path) -> None:
    """Write a picture (.png): a column for each work, time above and memory below.

    Slopes stand beside the lines; a dotted line shows the slope 1.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

    works = list(dict.fromkeys(curve.work for curve in curves))
    figure, panels = pyplot.subplots(
        2, len(works), figsize=(3.2 * len(works), 6.6), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, work in enumerate(works):
        own = [curve for curve in curves if curve.work == work]
        for panel, of in ((panels[0][column], "seconds"), (panels[1][column], "memory")):
            ends = []
            for curve in own:
                y, colour = np.array(getattr(curve, of)), COLOURS[curve.doubled]
                panel.plot(curve.grown, y, "-", marker=MARKS[curve.doubled], ms=4.5, color=colour)
                slope = curve.time_slope if of == "seconds" else curve.memory_slope
                ends.append((curve.grown[-1], y[-1], f"{slope:.2f}", colour))
            first = getattr(own[0], of)[0]
            most = max(own, key=lambda curve: curve.grown[-1]).grown[-1]
            panel.plot([1, most], [first, most * first], ":", color="0.55", linewidth=1, zorder=0)
            every = [y for curve in own for y in getattr(curve, of)]
            panel.set(xscale="log", yscale="log", xlim=(0.8, 190))
            panel.set_ylim(min(every) / 1.6, max(max(every), 4 * min(every)) * 1.6)
            panel.xaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 64]))
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            _write_slopes(panel, ends)
            panel.grid(color="0.92", which="major")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axis.set_minor_locator(NullLocator())
            panel.spines[["top", "right"]].set_visible(False)
        panels[0][column].set_title(work)
    panels[0][0].set_ylabel("processor time (s)")
    panels[1][0].set_ylabel("memory beyond the beginning (MiB)")
    figure.supxlabel("times as many (an image: pixels)", fontsize="medium")
    shown = [name for name in COLOURS if any(curve.doubled == name for curve in curves)]
    handles = [
        pyplot.Line2D([], [], marker=MARKS[name], ms=5, color=COLOURS[name], label=name)
        for name in shown
    ]
    handles.append(pyplot.Line2D([], [], linestyle=":", color="0.55", label="slope 1"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _write_slopes(panel: object, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Each slope beside the end of its line, moved apart where lines end in one place."""
    panel.figure.canvas.draw()  # type: ignore[attr-defined]
    taken: list[tuple[float, float]] = []
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        at_x, at_y = panel.transData.transform((x, y))  # type: ignore[attr-defined]
        while any(abs(at_x - a) < 45 and abs(at_y - b) < 13 for a, b in taken):
            at_y += 1
        taken.append((at_x, at_y))
        place = panel.transData.inverted().transform((at_x + 7, at_y))  # type: ignore[attr-defined]
        panel.text(*place, text, color=colour, fontsize=9, va="center")  # type: ignore[attr-defined]
