"""The page's plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mersynth.pages.charts import Plot


def control_plot(measure: Mapping[str, Any]) -> Plot | None:
    """Asked against obtained at the apex."""
    pairs = np.array(measure.get("pairs", []), float).reshape(-1, 3)
    if not len(pairs):
        return None
    pairs = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), 900)).astype(int)]
    high = float(max(pairs[:, 1].max(), 0.1))
    plot = Plot(
        "Asked and obtained",
        "One dot for each AU and side that a clip asks for, at its apex; on the line is perfect, "
        "below it is too weak.",
        (0.0, high),
        (min(0.0, float(np.quantile(pairs[:, 2], 0.01))), high),
        "asked",
        "read",
    )
    plot.line(np.array([0, high]), np.array([0, high]), "faint")
    plot.dots(pairs[:, 1], pairs[:, 2], "made")
    return plot


def density_plot(
    title: str,
    note: str,
    label: str,
    groups: Sequence[tuple[str, str, np.ndarray]],
) -> Plot | None:
    """Shares of values by bin, one area per group.

    Args:
        title: what is shown.
        note: how to read it.
        label: of the values.
        groups: name, style and values of each.
    """
    known = [
        (name, style, values[np.isfinite(values)])
        for name, style, values in groups
        if values is not None and np.isfinite(values).any()
    ]
    if not known:
        return None
    low = min(float(np.quantile(v, 0.005)) for _, _, v in known)
    high = max(float(np.quantile(v, 0.995)) for _, _, v in known)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 31)
    shares = [np.histogram(np.clip(v, low, high), edges)[0] / len(v) for _, _, v in known]
    top = max(float(share.max()) for share in shares)
    plot = Plot(title, note, (low, high), (0.0, top), label, "share of clips")
    middle = np.repeat(edges, 2)[1:-1]
    for (name, style, _), share in zip(known, shares, strict=True):
        plot.area(middle, np.repeat(share, 2), style, name)
    return plot


def course_plot(measure: Mapping[str, Any]) -> Plot | None:
    """Mean motion over the clip's duration."""
    if "course" not in measure:
        return None
    ours, theirs = (np.array(measure["course"][name]) for name in ("real", "synthetic"))
    high = float(max(ours.max(), theirs.max(), 1e-6))
    plot = Plot(
        "Course of the motion",
        "Mean length of the flow from the onset. It should rise and fall as real motion does.",
        (0.0, 100.0),
        (0.0, high),
        "% of the clip",
        "% of the side",
    )
    at = np.linspace(0, 100, len(ours))
    plot.line(at, ours, "real", "real")
    plot.line(at, theirs, "made", "synthetic")
    return plot


def control_bars(measure: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per readable AU: positions of its correlation and the reader's own, in percent."""

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * min(max(value, 0.0), 1.0), 1)

    return [
        {
            **row,
            "bar": place(row["correlation"]),
            "mark": place(row["reader"]["correlation"]),
        }
        for row in measure.get("aus", [])
    ]


def matrix_rows(talk: Mapping[str, Any], which: str, readable: Sequence[int]) -> dict[str, Any]:
    """The measured part of a cross-talk matrix: its columns, and rows of cells.

    A cell has its value, ``share`` for its shade (1 at 0.3) and whether it is the AU asked for.
    """
    aus, matrix = talk["aus"], talk[which]
    columns = [j for j, au in enumerate(aus) if au in readable]
    rows = [i for i in range(len(aus)) if any(matrix[i][j] is not None for j in columns)]
    return {
        "columns": [aus[j] for j in columns],
        "rows": [
            {
                "au": aus[i],
                "cells": [
                    {
                        "value": matrix[i][j],
                        "share": min(1.0, abs(matrix[i][j] or 0.0) / 0.3),
                        "own": i == j,
                    }
                    for j in columns
                ],
            }
            for i in rows
        ],
    }
