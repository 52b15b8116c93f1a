"""A store's gallery: a page on which its clips play, each above the curves of its AUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mersynth.curves import ConditionSettings, clip_curve, movement
from mersynth.disk.files import whole_folder
from mersynth.disk.lock import hold
from mersynth.disk.partial import remove
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, SIDES
from mersynth.logs import progress
from mersynth.marks import mark_of, picture_options
from mersynth.pages.pictures import QUALITY
from mersynth.pages.rendering import render
from mersynth.store.clip_store import ClipStore, StoredClip

PAGE = "gallery.html"
FILMS = "gallery"
"""Folder of the films, beside the page."""

SHEETS = {
    "contact_sheet.png": "Onset, apex, their magnified difference, and the mask: dark where the "
    "generator changed the picture.",
    "classes.gif": "A clip of each class. GIFs of three clips of each are in the folder gifs.",
}
"""Pictures in a synthetic store's folder that the page shows, with what each is."""

MOST = 2000
"""Clips of a page; of a larger store it shows some, evenly from all classes."""

_SIDE = 128  # pixels of a film's frame, at most
_BLOCK = 16  # pixels that JPEG encodes together
_FRAMES = 24  # of a film, at most
_LINES = 4  # AU curves of a clip, at most
_LIDS = 43
_MOVES = 0.05  # an AU that changes less has no curve
_WIDTH, _HEIGHT = 150, 40  # of a drawing


@dataclass(frozen=True, slots=True)
class Line:
    """The curve of an AU: its name, its highest intensity, and its points in SVG notation."""

    au: str
    peak: float
    points: str


@dataclass(frozen=True, slots=True)
class Film:
    """A clip on the page.

    Attributes:
        id: of the clip, and of its place on the page.
        picture: its film: frames side by side.
        frames: number of them.
        apex: which one is the apex, from 0.
        lasts: seconds.
        aus: the AU cell, as annotated or asked for.
        person: id of the subject.
        template: id of the clip whose curve it follows, if it is synthetic.
        lines: curves of the AUs that move most.
    """

    id: str
    picture: str
    frames: int
    apex: int
    lasts: float
    aus: str
    person: str
    template: str | None
    lines: Sequence[Line]


def write_gallery(store: ClipStore) -> Path:
    """Write ``gallery.html``, and its films into ``gallery/``, into a store's folder.

    The page needs no network; it asks for a film when it is scrolled to. A film has at most 24
    frames of at most 128 pixels. AUs that were not measured have the curves of their annotation. An
    earlier gallery is replaced.

    Args:
        store: a whole store, real or synthetic.

    Returns:
        The page.

    Raises:
        InUseError: if another process is writing it.
    """
    shown = _shown(store)
    folder = store.path / FILMS
    with hold(store.path / PAGE):
        remove(store.path / PAGE)
        remove(folder)
        with (
            whole_folder(folder) as partial,
            progress("gallery", len(shown), "clips") as advance,
        ):
            curves = [clip_curve(store[i], ConditionSettings()) for i in shown]
            top = _top(curves)
            films: dict[str, list[Film]] = {}
            for number, (i, curve) in enumerate(zip(shown, curves, strict=True)):
                name = f"{number:04}.jpg"
                item = store[i]
                moments = _moments(item)
                marked = picture_options(".jpg", mark_of([item.clip]))
                _film(item.frames, moments).save(partial / name, quality=QUALITY, **marked)
                film = _described(item, f"{FILMS}/{name}", moments, curve, top)
                films.setdefault(item.clip.emotion, []).append(film)
                advance(1)
        return render(
            Path(__file__).parent,
            "gallery.html.j2",
            store.path / PAGE,
            title=_title(store),
            films=films,
            counts=Counter(clip.emotion for clip in store.clips),
            people=Counter(store.clips[i].subject_id for i in shown),
            aus=_aus(films),
            total=len(store),
            count=len(shown),
            top=top,
            cut=any(
                round(line.peak, 3) > top for own in films.values() for f in own for line in f.lines
            ),
            annotated=bool(np.isnan(store.intensities).all()),
            header=store.meta["header"],
            synthetic=_is_synthetic(store),
            sheets={name: text for name, text in SHEETS.items() if (store.path / name).exists()},
            prefix=_prefix(store),
            width=_WIDTH,
            height=_HEIGHT,
        )


def _title(store: ClipStore) -> str:
    kind = "synthetic clips" if _is_synthetic(store) else "clips"
    scheme = store.meta["header"].get("scheme")
    return f"{len(store):,} {kind}{f', {scheme} classes' if scheme else ''}"


def _is_synthetic(store: ClipStore) -> bool:
    return any(clip.is_synthetic for clip in store.clips)


def _prefix(store: ClipStore) -> str:
    """What all ids begin with, and need not be said for each: the source, if there is one."""
    sources = {clip.source for clip in store.clips}
    return f"{sources.pop()}/" if len(sources) == 1 else ""


def _shown(store: ClipStore) -> list[int]:
    """The clips to show, by class."""
    classes = list(dict.fromkeys(clip.emotion for clip in store.clips))
    order = sorted(range(len(store)), key=lambda i: classes.index(store.clips[i].emotion))
    chosen = np.linspace(0, len(order) - 1, min(MOST, len(order))).round().astype(int)
    return [order[i] for i in chosen]


def _moments(item: StoredClip) -> np.ndarray:
    """The frames to show, the apex among them."""
    last, apex = len(item.frames) - 1, item.clip.apex_index
    moments = np.linspace(0, last, min(_FRAMES, last + 1)).round().astype(int)
    if apex is not None:
        moments[np.abs(moments - apex).argmin()] = apex
    return moments


def _film(frames: np.ndarray, moments: np.ndarray) -> Image.Image:
    # Blocks of JPEG as in every other frame: artefacts that differ would look like movement.
    side = min(_SIDE, max(_BLOCK, frames.shape[1] // _BLOCK * _BLOCK))
    chosen = [np.asarray(frames[i]) for i in moments]
    if side != frames.shape[1]:
        chosen = [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in chosen]
    return Image.fromarray(np.concatenate(chosen, 1))


def _described(
    item: StoredClip, picture: str, moments: np.ndarray, curve: np.ndarray, top: float
) -> Film:
    clip = item.clip
    apex = (
        len(moments) // 2 if clip.apex_index is None else np.abs(moments - clip.apex_index).argmin()
    )
    return Film(
        id=clip.id,
        picture=picture,
        frames=len(moments),
        apex=int(apex),
        lasts=clip.num_frames / clip.fps,
        aus=clip.aus,
        person=clip.subject_id,
        template=clip.template,
        lines=_lines(curve, top),
    )


def _lines(curve: np.ndarray, top: float) -> list[Line]:
    """Curves of the AUs (T, 20, 2) that move most, in an axis that ends at ``top``."""
    moved = movement(curve).max(0)  # (20, 2)
    found = []
    for column in np.argsort(-moved.max(1), kind="stable")[:_LINES]:
        if moved[column].max() < _MOVES:
            break
        side = int(moved[column].argmax())
        alone = moved[column].min() < _MOVES
        values = np.nan_to_num(curve[:, column, side])
        x = np.linspace(0, _WIDTH, len(values))
        if len(values) > _FRAMES:  # as many points as the film has frames tell the same
            x = np.linspace(0, _WIDTH, _FRAMES)
            values = np.interp(x, np.linspace(0, _WIDTH, len(values)), values)
        y = _HEIGHT * (1 - values / top)
        found.append(
            Line(
                au=f"{SIDES[side][0].upper() if alone else ''}{CONDITION_AUS[column]}",
                peak=float(values.max()),
                points=" ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True)),
            )
        )
    return found


def _top(curves: Sequence[np.ndarray]) -> float:
    """Where the axis of all curves ends: a round value, above all but those of closing lids.

    A blink closes the lids entirely; beside it the curves of micro-expressions would be flat.
    """
    others = [i for i, au in enumerate(CONDITION_AUS) if au != _LIDS]
    highest = max((float(np.nan_to_num(c[:, others]).max(initial=0)) for c in curves), default=0.0)
    return float(np.clip(np.ceil(10 * highest - 1e-6) / 10, 0.1, 1))


def _aus(films: Mapping[str, Sequence[Film]]) -> dict[int, str]:
    """The AUs that have curves, by number: their names."""
    numbers = {int(line.au.lstrip("LR")) for of in films.values() for f in of for line in f.lines}
    return {number: ACTION_UNITS[number].name for number in sorted(numbers)}
