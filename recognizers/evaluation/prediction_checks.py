"""Checks of a table of predictions, with errors that name what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth.checks import listed
from mersynth.store.names import clip_key, dataset_key, person_key

if TYPE_CHECKING:
    import pandas as pd

ClipKey = tuple[str, str, str]

CLIP_KEY = ("dataset", "subject", "clip")
"""The columns that identify a clip over all databases; its id is these joined by ``/``."""

COLUMNS = ("seed", "fold", *CLIP_KEY, "true", "predicted")
"""The columns that every table of predictions has, beside ``p_<class>`` for each class."""

#: How far the sum of a clip's probabilities may be from 1: half precision rounds that much.
SUM_TOLERANCE = 1e-2
#: Probabilities so close count as equal, since tables of others are rounded.
TIE = 1e-3


def check_same_clips(
    one: dict[ClipKey, str], other: dict[ClipKey, str], names: tuple[str, str]
) -> None:
    """Raise a ValueError that names the clips, if two sides differ in clips or true labels.

    Args:
        one: true labels by (dataset, subject, clip).
        other: those of the other side.
        names: what errors call the two sides.
    """
    for here, there, place, elsewhere in ((one, other, *names), (other, one, *names[::-1])):
        if alone := sorted("/".join(key) for key in here.keys() - there.keys()):
            raise ValueError(
                f"{len(alone)} clips of {place} not in {elsewhere}: {listed(alone, 5)}"
                f"{_spelled_otherwise(here.keys() - there.keys(), there.keys() - here.keys())}"
            )
    differ = [
        f"{'/'.join(key)} ({one[key]!r} and {other[key]!r})"
        for key in sorted(one)
        if one[key] != other[key]
    ]
    if differ:
        raise ValueError(
            f"{names[0]} and {names[1]} disagree on the true label of {len(differ)} clips: "
            f"{listed(differ, 5)}"
        )


def _spelled_otherwise(alone: Iterable[ClipKey], others: Iterable[ClipKey]) -> str:
    """A note on the clips that are on both sides under names that differ only in spelling."""
    keys = {_key(clip): clip for clip in others}
    pairs = sorted((clip, keys[_key(clip)]) for clip in alone if _key(clip) in keys)
    if not pairs:
        return ""
    ours, theirs = ("/".join(clip) for clip in pairs[0])
    return (
        f"; {len(pairs)} of them differ only in spelling, such as {ours} and {theirs}: spell "
        "them alike on both sides"
    )


def _key(clip: ClipKey) -> ClipKey:
    dataset, subject, name = clip
    return dataset_key(dataset), person_key(subject), clip_key(name)


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes as a tuple.

    Raises:
        ValueError: if there is none, one is not text or is empty, or one comes twice.
    """
    if isinstance(classes, str) or len(classes) == 0:
        raise ValueError(f"classes must be a sequence of one name or more, got {classes!r}")
    if not all(isinstance(name, str) and name for name in classes):
        raise ValueError(f"classes must be names, got {tuple(classes)!r}")
    if len(set(classes)) < len(classes):
        raise ValueError(f"a class comes twice in {tuple(classes)!r}")
    return tuple(classes)


def check_labels(labels: Collection[Any], classes: tuple[str, ...], column: str) -> None:
    """Raise a ValueError that names the labels that are not classes."""
    if unknown := sorted(repr(label) for label in set(labels) - set(classes)):
        raise ValueError(
            f"labels in {column!r} that are not classes: {listed(unknown, 5)}; the classes are "
            f"{', '.join(classes)}"
        )


def cleaned(frame: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """A sorted copy with clean types; raises what ``Predictions`` documents."""
    probabilities = [f"p_{name}" for name in classes]
    needed = [*COLUMNS, *probabilities]
    check_columns(frame.columns, needed, "predictions")
    if foreign := [c for c in frame.columns if str(c).startswith("p_") and c not in probabilities]:
        raise ValueError(
            f"probability columns that belong to no class: {listed(foreign, 5)}; the classes are "
            f"{', '.join(classes)}"
        )
    if frame.empty:
        raise ValueError("predictions have no rows")
    frame = frame[[*needed, *(c for c in frame.columns if c not in needed)]].copy()
    for column in COLUMNS[1:]:
        frame[column] = text_column(frame, column)
    seeds = _numbers(frame, "seed")
    if (odd := seeds != seeds.round()).any():
        raise ValueError(f"a seed must be a whole number, got {frame['seed'][odd].iloc[0]}")
    frame["seed"] = seeds.astype(np.int64)
    for column in ("true", "predicted"):
        check_labels(frame[column].unique(), classes, column)
    for column in probabilities:
        frame[column] = _numbers(frame, column)
        if (odd := ~frame[column].between(0, 1)).any():
            raise ValueError(
                f"{column} must lie in [0, 1], got {frame[column][odd].iloc[0]} for "
                f"{_row(frame[odd].iloc[0])}"
            )
    off = (frame[probabilities].sum(axis=1) - 1).abs() > SUM_TOLERANCE
    if off.any():
        row = frame[off].iloc[0]
        raise ValueError(
            f"the probabilities of {_row(row)} add up to {row[probabilities].sum():.4g} instead "
            "of 1; write softmax outputs, not logits"
        )
    best = frame[probabilities].max(axis=1)
    told = frame[probabilities].to_numpy()[
        np.arange(len(frame)), frame["predicted"].map(classes.index)
    ]
    if (odd := best - told > TIE).any():
        row = frame[odd].iloc[0]
        raise ValueError(
            f"the label of {_row(row)} is {row['predicted']}, which is not its most probable class "
            f"({row[probabilities].astype(float).idxmax().removeprefix('p_')})"
        )
    order = ["seed", *CLIP_KEY]
    if (twice := frame.duplicated(order)).any():
        rows = [_row(row) for _, row in frame[twice].iterrows()]
        raise ValueError(f"{len(rows)} rows repeat a seed and clip: {listed(rows, 5)}")
    return frame.sort_values(order, ignore_index=True)


def check_columns(columns: pd.Index, needed: Sequence[str], what: str) -> None:
    """Raise a ValueError that names the columns that a table lacks or has twice."""
    shown = listed([str(name)[:40] for name in columns], 30)
    if missing := [name for name in needed if name not in columns]:
        raise ValueError(f"{what} lack the columns {listed(missing, 5)}; there are {shown}")
    if not columns.is_unique:
        raise ValueError(f"{what} hold a column twice: {list(columns[columns.duplicated()])}")


def text_column(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column as strings; an empty cell raises a ValueError."""
    empty = frame[column].isna() | (frame[column].astype(str) == "")
    if empty.any():
        raise ValueError(f"{int(empty.sum())} rows have an empty {column!r}")
    return frame[column].astype(str)


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column as float64, exact; NaN and non-numbers raise a ValueError."""
    try:
        numbers = frame[column].astype(object).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{column!r} holds something that is not a number: {error}") from error
    if not np.isfinite(numbers).all():
        row = frame[~np.isfinite(numbers)].iloc[0]
        raise ValueError(f"{column!r} is {row[column]} for {_row(row)}; it must be a number")
    return numbers


def _row(row: pd.Series) -> str:
    return f"seed {row['seed']} {'/'.join(str(row[column]) for column in CLIP_KEY)}"
