"""The page of a run's t-SNE: one picture of the clips for each fold's model."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mersynth.disk.files import real_path
from recognizers.explain.embedding import Embedding
from recognizers.explain.maps_page import aus_of
from recognizers.explain.opening import OpenedRun
from recognizers.report.page import describe_split
from recognizers.report.rendering import render

_SIDE, _MARGIN = 360.0, 14.0  # of a drawing
_MOST_SETS = 11  # AU sets with their own colour
_REST = "other sets"
_NO_AU = "no AU"
_GREY = "#8b939c"
# Safe for colour-blind readers (Okabe and Ito), on light and dark backgrounds.
_CLASS_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a08600", "#7b5ea7"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """A colour's meaning."""

    name: str
    colour: str
    clips: int


@dataclass(frozen=True, slots=True)
class Point:
    """A clip in a drawing."""

    x: float
    y: float
    clip: str
    text: str
    held_out: bool
    class_colour: str
    set_colour: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A fold's clips; those held out come last, to be drawn on top."""

    fold: str
    perplexity: float
    held_out: int
    points: Sequence[Point]


def write_embedding_page(run: OpenedRun, embeddings: Sequence[Embedding], page: Path) -> Path:
    """Write the page; its folder must exist.

    Args:
        run: the run.
        embeddings: one per fold, of the same clips.
        page: path of the page.

    Returns:
        The page.
    """
    rows = embeddings[0].rows
    labels = [run.clips.labels[i] for i in rows]
    sets = [aus_of(run.clips.clips[i].aus) or _NO_AU for i in rows]
    class_keys = _class_keys(run, labels)
    set_keys = _set_keys(sets)
    colours = {key.name: key.colour for key in class_keys}
    set_colours = {key.name: key.colour for key in set_keys}
    styles = [(colours[c], set_colours.get(s, _GREY)) for c, s in zip(labels, sets, strict=True)]
    return render(
        "embedding.html.j2",
        page,
        run=run.run,
        results=run.results,
        name=real_path(run.path).name,
        split=describe_split(run.results),
        seed=run.seed,
        count=len(rows),
        folds=len(run.records),
        drawings=[_drawing(run, embedding, labels, styles) for embedding in embeddings],
        keys={"class": class_keys, "AU set": set_keys},
        side=_SIDE,
    )


def _class_keys(run: OpenedRun, labels: Sequence[str]) -> list[Key]:
    counts = Counter(labels)
    return [
        Key(name, _CLASS_COLOURS[i] if i < len(_CLASS_COLOURS) else _GREY, counts[name])
        for i, name in enumerate(run.classes)
    ]


def _set_keys(sets: Sequence[str]) -> list[Key]:
    """The most frequent sets, in the order of their AUs, so that like sets have like colours."""
    counts = Counter(sets)
    frequent = [name for name, _ in counts.most_common() if name != _NO_AU][:_MOST_SETS]
    frequent.sort(key=lambda name: [int(number) for number in name.split("+")])
    keys = [
        Key(name, _hue(0.78 * i / max(len(frequent) - 1, 1), i % 2), counts[name])
        for i, name in enumerate(frequent)
    ]
    named = {*frequent, _NO_AU}
    if counts[_NO_AU]:
        keys.append(Key(_NO_AU, _GREY, counts[_NO_AU]))
    if rest := sum(count for name, count in counts.items() if name not in named):
        keys.append(Key(_REST, _GREY, rest))
    return keys


def _hue(hue: float, odd: int) -> str:
    """A colour of a hue; neighbours also differ in lightness."""
    red, green, blue = colorsys.hls_to_rgb(hue, 0.42 if odd else 0.58, 0.72)
    return "#" + "".join(f"{round(255 * value):02x}" for value in (red, green, blue))


def _drawing(
    run: OpenedRun,
    embedding: Embedding,
    labels: Sequence[str],
    colours: Sequence[tuple[str, str]],
) -> Drawing:
    low = embedding.points.min(0)
    span = float(np.ptp(embedding.points, axis=0).max()) or 1.0  # one scale for both axes
    centred = (embedding.points - low - np.ptp(embedding.points, axis=0) / 2) / span
    places = _SIDE / 2 + centred * (_SIDE - 2 * _MARGIN)
    points = []
    for place, row, held_out, label, (own, shared) in zip(
        places, embedding.rows, embedding.held_out, labels, colours, strict=True
    ):
        clip = run.clips.clips[row]
        text = f"{clip.id}: {label}, AUs {clip.aus or 'none'}"
        x, y = (round(float(value), 1) for value in place)
        points.append(Point(x, y, clip.id, text, bool(held_out), own, shared))
    points.sort(key=lambda point: point.held_out)
    return Drawing(embedding.fold, embedding.perplexity, int(embedding.held_out.sum()), points)
