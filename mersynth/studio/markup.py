"""Pictures, films and curves as HTML that holds everything it shows, so that no file is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np

from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, stronger_side
from mersynth.pages.charts import points, scale
from mersynth.pages.pictures import data_url

MILLISECONDS = 70
"""A frame of a film, slowed down for the eye."""

_LONGEST_STRIP = 60000  # pixels; a JPEG is 65,535 wide at most
_MOST_FRAMES = 60
_MOST_CURVES = 5
_SEEN = 0.02  # an AU that moves less has no curve of its own
_WIDTH, _HEIGHT = 300, 84  # of the curves' drawing


def pictures_row(title: str, pictures: Mapping[str, np.ndarray], titles: Mapping[str, str]) -> str:
    """A generator's pictures (S, S, 3) uint8 side by side, by the name of the view."""
    figures = "".join(
        f'<figure><img data-view="{view}" src="{data_url(image)}" alt="{escape(titles[view])}">'
        f"<figcaption>{escape(titles[view])}</figcaption></figure>"
        for view, image in pictures.items()
    )
    return (
        f'<section class="row"><h4>{escape(title)}</h4><div class="tiles">{figures}</div></section>'
    )


def film_player(frames: np.ndarray, side: int) -> str:
    """Frames (T, H, W, 3) uint8 that play without end.

    They lie side by side in one picture, of which a style sheet's animation shows one after the
    other; of long films every n-th.

    Args:
        frames: the film.
        side: of a frame on the page, in pixels, at most its own.
    """
    side = min(side, frames.shape[1])
    most = min(_MOST_FRAMES, _LONGEST_STRIP // side)
    at = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    shown = [cv2.resize(frames[i], (side, side), interpolation=cv2.INTER_AREA) for i in at]
    strip = data_url(np.hstack(shown))
    return (
        f'<div class="film" style="background-image:url({strip});'
        f'background-size:{100 * len(shown)}% 100%;{_timing(len(shown))}"></div>'
    )


def _timing(count: int) -> str:
    if count == 1:
        return "animation:none"
    return (
        f"animation-duration:{count * MILLISECONDS}ms;"
        f"animation-timing-function:steps({count},jump-none)"
    )


def curves_chart(curve: np.ndarray, apex: int | None, play: bool = True) -> str:
    """The AUs that move most as lines over time, with a mark that runs along with the film.

    Args:
        curve: (T, 20, 2) intensities in [0, 1]; NaN where not measured.
        apex: frame that is marked; None for none.
        play: whether the mark runs.
    """
    values = stronger_side(np.nan_to_num(curve))
    spans = values.max(0) - values.min(0)
    rows = [i for i in np.argsort(-spans)[:_MOST_CURVES] if spans[i] > _SEEN]
    if not rows or len(curve) < 2:
        return '<p class="quiet">no AU moves</p>'
    top = max(0.1, float(values[:, rows].max()))
    x = scale(np.arange(len(values), dtype=float), 0, len(values) - 1, 0, _WIDTH)
    lines = [
        f'<polyline class="au{place}" points="'
        f'{points(x, scale(values[:, i], 0, top, _HEIGHT - 2, 4))}"/>'
        for place, i in enumerate(rows)
    ]
    if apex is not None:
        lines.insert(
            0, f'<line class="apex" x1="{x[apex]:.1f}" x2="{x[apex]:.1f}" y1="0" y2="84"/>'
        )
    names = "".join(
        f'<span class="au{place}">AU {CONDITION_AUS[i]} '
        f"<small>{escape(ACTION_UNITS[CONDITION_AUS[i]].name)}</small></span>"
        for place, i in enumerate(rows)
    )
    count = min(len(curve), _MOST_FRAMES)
    cursor = f'<i class="cursor" style="{_timing(count)}"></i>' if play else ""
    return (
        f'<div class="curves"><div class="plot"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'preserveAspectRatio="none">{"".join(lines)}</svg>{cursor}<b>{top:.2f}</b></div>'
        f'<div class="names">{names}</div></div>'
    )


def cards(contents: Sequence[str]) -> str:
    """Pieces of a page side by side, as many as fit."""
    return f'<div class="cards">{"".join(f"<article>{each}</article>" for each in contents)}</div>'


def note(text: str) -> str:
    """A quiet line."""
    return f'<p class="quiet">{escape(text)}</p>'
