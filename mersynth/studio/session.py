"""What the tab that moves a face shows: pictures, films and choices, without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mersynth.facs.emotions import native_labels, prototypes
from mersynth.phantom.population import clip_specs
from mersynth.sources import PHANTOM
from mersynth.store.clip_store import StoredClip, StoreError
from mersynth.studio.faces import TITLES, Face
from mersynth.studio.keeping import MadeClip
from mersynth.studio.looking import VIEWS, apex_of, film, look
from mersynth.studio.markup import curves_chart, film_player, note, pictures_row
from mersynth.studio.motion import Wish
from mersynth.studio.shelf import Shelf
from mersynth.studio.sliders import peaks_from

BUILT_IN = "phantom (built in)"
_FILM_SIDE = 256  # pixels


@dataclass(eq=False)
class Session:
    """What one visitor's page holds.

    Attributes:
        face: that moves.
        followed: the clip whose curve it follows; None: what the sliders say.
        made: the clips that were kept.
        photo: the faces on the photo that was dropped last.
    """

    face: Face
    followed: StoredClip | None = None
    made: list[MadeClip] = field(default_factory=list)
    photo: Sequence[Face] = ()

    def wish(self, strength: float, sliders: Sequence[Any]) -> Wish:
        """What the page asks for."""
        return Wish(peaks_from(sliders), float(strength), self.followed)


def stills(session: Session, wish: Wish, views: Sequence[str]) -> str:
    """The apex as each generator makes it, as HTML."""
    item = session.face.item
    curve = wish.curve(item)
    rows = (
        pictures_row(TITLES[each.name], look(item, each, curve, views), VIEWS)
        for each in session.face.generators
    )
    return "".join(rows)


def films(session: Session, wish: Wish) -> str:
    """The face following the curve, as each generator makes it, and the curve, as HTML."""
    item = session.face.item
    curve = wish.curve(item)
    played = (
        f"<div><h4>{TITLES[each.name]}</h4>{film_player(film(item, each, curve), _FILM_SIDE)}</div>"
        for each in session.face.generators
    )
    followed = session.followed
    said = f"follows {followed.clip.id}" if followed else f"AU {wish.aus or 'none'}"
    chart = curves_chart(curve, apex_of(curve) or None)
    curves = f"<div><h4>AU intensities</h4>{chart}{note(said)}</div>"
    return f'<div class="films">{"".join(played)}{curves}</div>'


def prototype_choices() -> list[tuple[str, str]]:
    """What the list of emotions offers: title and AU cell of every prototype."""
    emotions = [name for name in (*native_labels(PHANTOM), "repression") if name != "other"]
    return [
        (f"{emotion}: {each.aus}", each.aus) for emotion in emotions for each in prototypes(emotion)
    ]


def clips_to_follow(shelf: Shelf, name: str) -> list[str]:
    """Ids of the clips of a store, or of those that the phantom's population shows."""
    if name == BUILT_IN:
        return [spec.clip.id for spec in clip_specs()]
    return [clip.id for clip in shelf.open(name).clips]


def clip_to_follow(shelf: Shelf, name: str, clip_id: str) -> StoredClip:
    """A clip of :func:`clips_to_follow`; the phantom's have annotations, and no frames.

    Raises:
        StoreError: if there is no such store or clip.
    """
    if name == BUILT_IN:
        for spec in clip_specs():
            if spec.clip.id == clip_id:
                unknown = np.full((spec.clip.num_frames, 20, 2), np.nan, np.float32)
                return StoredClip(spec.clip, np.empty(0), unknown, np.empty(0))
    else:
        store = shelf.open(name)
        for i, clip in enumerate(store.clips):
            if clip.id == clip_id:
                return store[i]
    raise StoreError(f"{name} has no clip {clip_id}; choose one from the list")
