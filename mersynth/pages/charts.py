"""Chart geometry, which a page's template draws as SVG without scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place in the drawing's units, and its text."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something drawn into a plot, in the drawing's units.

    Attributes:
        kind: a line or an area through points, or the dots themselves.
        points: in SVG notation (``"x,y x,y"``); for dots, x and y of each.
        style: CSS class.
        label: its name in the legend; empty: not in the legend.
    """

    kind: Literal["line", "area", "dots"]
    points: str | Sequence[tuple[float, float]]
    style: str
    label: str = ""


@dataclass(slots=True)
class Plot:
    """Axes of a drawing of ``width`` x ``height``, and the marks in it.

    Args:
        title: what is shown.
        note: how to read it, and which direction is good.
        x_range, y_range: values at the axes' ends; y is widened to round values.
        x_label, y_label: names of the axes.
    """

    title: str
    note: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    width: int = 360
    height: int = 240
    marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = ticks(*self.y_range)
        self.y_range = found[0], found[-1]

    def line(self, x: np.ndarray, y: np.ndarray, style: str, label: str = "") -> None:
        """Add a line through (N,) values."""
        self.marks.append(Mark("line", points(*self._place(x, y)), style, label))

    def area(self, x: np.ndarray, y: np.ndarray, style: str, label: str = "") -> None:
        """Add an area between a line and the lower border."""
        closed_x = np.concatenate([x[:1], x, x[-1:]])
        closed_y = np.concatenate([[self.y_range[0]], y, [self.y_range[0]]])
        self.marks.append(Mark("area", points(*self._place(closed_x, closed_y)), style, label))

    def dots(self, x: np.ndarray, y: np.ndarray, style: str, label: str = "") -> None:
        """Add one dot for each (N,) value."""
        a, b = self._place(x, y)
        found = [(round(float(i), 1), round(float(j), 1)) for i, j in zip(a, b, strict=True)]
        self.marks.append(Mark("dots", found, style, label))

    @property
    def x_ticks(self) -> list[Tick]:
        """Round values within the range of x."""
        low, high = self.x_range
        inside = [t for t in ticks(low, high) if low - 1e-9 <= t <= high + 1e-9]
        at, _ = self._place(np.array(inside), np.zeros(len(inside)))
        return [Tick(float(place), f"{t:g}") for place, t in zip(at, inside, strict=True)]

    @property
    def y_ticks(self) -> list[Tick]:
        """Round values from the lower to the upper border."""
        values = ticks(*self.y_range)
        _, at = self._place(np.zeros(len(values)), np.array(values))
        return [Tick(float(place), f"{t:g}") for place, t in zip(at, values, strict=True)]

    @property
    def legend(self) -> list[Mark]:
        """The marks that have a name."""
        return [mark for mark in self.marks if mark.label]

    @property
    def left(self) -> int:
        """Where the drawing's area begins."""
        return 44

    @property
    def bottom(self) -> int:
        """Where the drawing's area ends."""
        return self.height - 40

    def _place(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.clip(np.asarray(x, float), *self.x_range)
        y = np.clip(np.asarray(y, float), *self.y_range)
        return (
            scale(x, *self.x_range, self.left, self.width - 10),
            scale(y, *self.y_range, self.bottom, 10),
        )


def scale(values: np.ndarray, low: float, high: float, first: float, last: float) -> np.ndarray:
    """Map values of low..high to positions first..last."""
    return first + (values - low) / (high - low) * (last - first)


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Four to seven round values that span the range or, if ``whole``, lie within it."""
    rough = max(high - low, 1e-6) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    if whole:
        step = max(1, round(step))
        inside = range(math.ceil(low / step) * step, math.floor(high) + 1, step)
        return [float(value) for value in inside]
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def points(x: np.ndarray, y: np.ndarray) -> str:
    """Positions in SVG notation."""
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
