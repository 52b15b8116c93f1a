"""AU control: AU intensities asked for, compared with those that a reader measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from mersynth.facs.action_units import CONDITION_AUS, stronger_side
from mersynth.quality.one_sided import one_sidedness
from mersynth.quality.reader import Reader
from mersynth.quality.sample import NotMeasuredError, Sample

COUNT = len(CONDITION_AUS)


def control_rows(
    moved: np.ndarray, read: np.ndarray, min_asked: float, min_clips: int
) -> list[dict[str, Any]]:
    """One row of figures per AU, over all moments and sides of the clips that ask for it.

    Args:
        moved: (N, K, 20, S) intensities asked for, above the first frame's, of S sides; NaN where
            nothing was.
        read: (N, K, 20, S) intensities obtained, likewise.
        min_asked: a clip asks for an AU if its strongest intensity, on either side, is this or
            more.
        min_clips: the figures of an AU that fewer clips ask for are None.

    Returns:
        For each AU: ``clips``, the number that ask for it; ``correlation`` (Pearson) and ``error``
        (mean absolute) of asked and obtained; ``gain``, the slope of obtained on asked, 1 when all
        of it is shown; ``monotonicity``, Spearman's rank correlation over a clip's moments,
        averaged over the sides asked for.
    """
    rows = []
    for column, au in enumerate(CONDITION_AUS):
        asked, got = moved[:, :, column], read[:, :, column]  # (N, K, S)
        asking = np.nan_to_num(asked).max((1, 2)) >= min_asked
        asking &= np.isfinite(asked).all((1, 2)) & np.isfinite(got).all((1, 2))
        row: dict[str, Any] = {"au": au, "clips": int(asking.sum())}
        figures = ("correlation", "error", "gain", "monotonicity")
        row |= dict.fromkeys(figures)
        if row["clips"] >= min_clips:
            row |= _figures(asked[asking], got[asking], min_asked)
        rows.append(row)
    return rows


def _figures(asked: np.ndarray, got: np.ndarray, min_asked: float) -> dict[str, float]:
    """Of (n, K, S)."""
    spread = asked.std()
    # Constant readings have no correlation (0 / 0).
    varies = spread > 0 and got.std() > 0
    slope = float(((asked - asked.mean()) * (got - got.mean())).mean() / spread**2) if varies else 0
    ways = np.moveaxis(np.stack([asked, got], -1), 1, 2)[asked.max(1) >= min_asked]  # (m, K, 2)
    ranks = [_spearman(a, b) for a, b in np.moveaxis(ways, -1, 1)]
    return {
        "correlation": float(np.corrcoef(asked.ravel(), got.ravel())[0, 1]) if varies else 0.0,
        "error": float(np.abs(asked - got).mean()),
        "gain": slope,
        "monotonicity": float(np.mean(ranks)),
    }


def _spearman(asked: np.ndarray, got: np.ndarray) -> float:
    if asked.std() == 0 or got.std() == 0:
        return 0.0
    return float(spearmanr(asked, got).statistic)


def cross_talk(
    asked: np.ndarray,
    read: np.ndarray,
    min_asked: float,
    idle: float,
    min_clips: int,
    reference: np.ndarray | None = None,
) -> list[list[float | None]]:
    """(20, 20) mean intensity of AU j read at the apex of clips that ask for AU i.

    It is read on the side on which AU i is asked for.

    Args:
        asked: (N, 20, S) asked for at the apex, of S sides.
        read: (N, 20, S) obtained there.
        min_asked: least intensity at which AU i counts as asked for.
        idle: off the diagonal, a side only counts if less than this of AU j is asked for.
        min_clips: a cell of fewer clips is None.
        reference: (N, 20, S) strongest intensities over the clip, to decide whether j is asked for;
            None: those at the apex.
    """
    quiet = np.nan_to_num(asked if reference is None else reference, nan=np.inf) < idle
    matrix: list[list[float | None]] = []
    for i in range(COUNT):
        line: list[float | None] = []
        asking = np.nan_to_num(asked[:, i]) >= min_asked
        for j in range(COUNT):
            rows = asking if i == j else asking & quiet[:, j]
            enough = rows.any(1).sum() >= min_clips
            line.append(float(read[:, j][rows].mean()) if enough else None)
        matrix.append(line)
    return matrix


def off_diagonal(
    matrix: list[list[float | None]],
    columns: np.ndarray,
    beside: list[list[float | None]] | None = None,
) -> float | None:
    """Mean absolute value of the cells i != j that were measured, over some AUs j.

    Args:
        matrix: by :func:`cross_talk`.
        columns: (20,) which AUs j count.
        beside: another matrix; only cells measured in both count.
    """
    values = [
        abs(value)
        for i, line in enumerate(matrix)
        for j, value in enumerate(line)
        if i != j
        and columns[j]
        and value is not None
        and (beside is None or beside[i][j] is not None)
    ]
    return float(np.mean(values)) if values else None


def measure_control(
    real: Sample,
    synthetic: Sample,
    reader: Reader,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """AU control and cross-talk of the synthetic clips, and the reader's own for comparison.

    Args:
        real: clips that show what the reader can read, except people it was trained on.
        synthetic: the clips to measure.
        reader: the AU reader.
        settings: ``control`` of ``configs/quality.yaml``.

    Raises:
        NotMeasuredError: if the synthetic store holds no intensities.
    """
    if np.isnan(synthetic.moved).all():
        raise NotMeasuredError("the synthetic store holds no AU intensities: nothing was asked for")
    limits = settings["min_asked"], settings["min_clips"]
    unseen = real.choose(np.array([s not in reader.trained_on for s in real.subjects]))
    got, own = reader.read(synthetic.frames), reader.read(unseen.frames)
    if not reader.sides:
        synthetic, unseen = _without_sides(synthetic), _without_sides(unseen)
        got, own = got[..., :1], own[..., :1]
    rows = control_rows(synthetic.moved, got, *limits)
    bound = control_rows(unseen.moved, own, *limits)
    readable = np.zeros(COUNT, bool)
    for column, (row, limit) in enumerate(zip(rows, bound, strict=True)):
        # Real frames show what can be read; if too few show the AU, rendered frames do.
        made = reader.held_out[column]
        row["reader"] = {k: limit[k] for k in ("clips", "correlation", "error", "gain")}
        row["reader"]["monotonicity"] = limit["monotonicity"]
        row["reader"]["held_out_correlation"] = float(made) if np.isfinite(made) else None
        best = limit["correlation"] if limit["correlation"] is not None else made
        readable[column] = np.isfinite(best) and best >= settings["min_readable"]
        row["readable"] = bool(readable[column])
        row["reason"] = _reason(row, float(best), settings)
    counted = [row for row in rows if row["readable"] and row["correlation"] is not None]
    both = [row for row in counted if row["reader"]["correlation"] is not None]
    quiet = np.nan_to_num(synthetic.moved).max(1)
    apex = np.arange(len(synthetic)), synthetic.apex
    clip_errors = _clip_errors(synthetic, got, readable)
    talk = cross_talk(
        synthetic.apex_moved, got[apex], limits[0], settings["idle"], limits[1], quiet
    )
    real_apex = np.arange(len(unseen)), unseen.apex
    real_talk = cross_talk(
        unseen.apex_moved,
        own[real_apex],
        limits[0],
        settings["idle"],
        limits[1],
        np.nan_to_num(unseen.moved).max(1),
    )
    return {
        "aus": rows,
        "measured_aus": [row["au"] for row in counted],
        "unreadable_aus": [row["au"] for row in rows if not row["readable"]],
        "mean": _mean(counted),
        # For a fair comparison, both over the AUs that real clips show often enough.
        "reader_aus": [row["au"] for row in both],
        "mean_of_reader_aus": _mean(both),
        "reader_mean": _mean([row["reader"] for row in both]),
        "one_sided": _one_sided(synthetic, got, unseen, own, readable, reader.sides, settings),
        "pairs": _pairs(synthetic, got, readable, settings["min_asked"]),
        "cross_talk": {
            "aus": list(CONDITION_AUS),
            "synthetic": talk,
            "reader": real_talk,
            "mean": off_diagonal(talk, readable),
            # For a fair comparison, over the cells measured in both.
            "mean_of_reader_cells": off_diagonal(talk, readable, real_talk),
            "reader_mean": off_diagonal(real_talk, readable, talk),
        },
        "per_clip": {"error": clip_errors, "other": _other(synthetic, got, readable, settings)},
        "read": got,
    }


def _without_sides(sample: Sample) -> Sample:
    """Only the stronger side of each AU, for a reader without sides."""
    return dataclasses.replace(sample, moved=stronger_side(sample.moved)[..., None])


def _one_sided(
    synthetic: Sample,
    got: np.ndarray,
    real: Sample,
    own: np.ndarray,
    readable: np.ndarray,
    sides: bool,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """:func:`one_sidedness` of all readable AUs and of each, and the reader's own."""
    if not sides:
        return {"reason": "the reader does not distinguish the sides of a face"}
    limits = settings["min_asked"], settings["idle"], settings["min_clips"]
    asked, shown = synthetic.apex_moved, got[np.arange(len(synthetic)), synthetic.apex]
    beside = real.apex_moved, own[np.arange(len(real)), real.apex]
    by_au = {
        au: one_sidedness(asked[:, [i]], shown[:, [i]], *limits)
        for i, au in enumerate(CONDITION_AUS)
        if readable[i]
    }
    found = one_sidedness(asked[:, readable], shown[:, readable], *limits)
    reason = f"fewer than {limits[2]} clips ask for an AU on one side that the reader can read"
    return {
        "synthetic": found,
        "reader": one_sidedness(beside[0][:, readable], beside[1][:, readable], *limits),
        "aus": {str(au): one for au, one in by_au.items() if one["clips"]},
        **({"reason": reason} if found["clips"] < limits[2] else {}),
    }


def _reason(row: Mapping[str, Any], best: float, settings: Mapping[str, Any]) -> str | None:
    if not np.isfinite(best):
        return "it is not known whether the reader can read this AU: too few real clips show it"
    if not row["readable"]:
        return f"the reader's own correlation, {best:.2f}, is below {settings['min_readable']:g}"
    if row["correlation"] is None:
        return f"fewer than {settings['min_clips']} clips ask for it"
    return None


def _mean(rows: list[Any]) -> dict[str, float | None]:
    names = ("correlation", "error", "gain", "monotonicity")
    return {n: float(np.mean([row[n] for row in rows])) if rows else None for n in names}


def _pairs(
    sample: Sample, read: np.ndarray, readable: np.ndarray, min_asked: float
) -> list[list[float]]:
    """[AU, asked, obtained] at the apex, for all clips and the readable AUs and sides asked for."""
    asked, got = sample.apex_moved, read[np.arange(len(sample)), sample.apex]
    places = np.nonzero((np.nan_to_num(asked) >= min_asked) & readable[:, None])
    return [
        [CONDITION_AUS[j], float(asked[i, j, side]), float(got[i, j, side])]
        for i, j, side in zip(*places, strict=True)
    ]


def _clip_errors(sample: Sample, read: np.ndarray, readable: np.ndarray) -> np.ndarray:
    """(N,) mean distance at the apex over the readable AUs and their sides; NaN without any."""
    apex = np.arange(len(sample)), sample.apex
    gap = np.abs(sample.apex_moved - read[apex])[:, readable]
    gap = gap.reshape(len(gap), -1)
    known = np.isfinite(gap)
    total = np.where(known, gap, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def _other(
    sample: Sample, read: np.ndarray, readable: np.ndarray, settings: Mapping[str, Any]
) -> np.ndarray:
    """(N,) strongest reading at the apex of an AU that the clip never asks for."""
    apex = np.arange(len(sample)), sample.apex
    idle = np.nan_to_num(sample.moved, nan=np.inf).max((1, 3)) < settings["idle"]
    values = np.where(idle & readable, read[apex].max(-1), -np.inf).max(1)
    return np.where(np.isfinite(values), values, np.nan)
