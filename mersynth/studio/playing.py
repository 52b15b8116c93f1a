"""The clips of a store, playing, each with its AU curves below."""

from __future__ import annotations

from html import escape

from mersynth.curves import ConditionSettings, clip_curve
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.studio.markup import cards, curves_chart, film_player, note

EVERYONE = "everyone"
EVERY_CLASS = "every class"
CLIPS_A_PAGE = 8

_SIDE = 200  # pixels of a frame on the page


def chosen(store: ClipStore, emotion: str, person: str) -> ClipStore:
    """The clips of a class and a person; of all of them for the words above."""
    return store.filter(
        lambda clip: (
            emotion in (EVERY_CLASS, clip.emotion) and person in (EVERYONE, clip.subject_id)
        )
    )


def count_pages(store: ClipStore) -> int:
    """How many pages the clips fill; one at least."""
    return max(1, -(-len(store) // CLIPS_A_PAGE))


def page_of(store: ClipStore, page: int) -> str:
    """The clips of a page, counted from 1, as HTML."""
    first = (page - 1) * CLIPS_A_PAGE
    shown = [store[i] for i in range(first, min(first + CLIPS_A_PAGE, len(store)))]
    if not shown:
        return note("no clip of this class and person")
    return cards([_card(item) for item in shown])


def _card(item: StoredClip) -> str:
    clip = item.clip
    facts = [f"AU {clip.aus}" if clip.aus else "no AUs annotated"]
    facts.append(f"{clip.num_frames} frames at {clip.fps:.4g} a second")
    if clip.is_synthetic:
        facts.append(f"synthetic, follows {clip.template or 'no clip'}")
    curve = clip_curve(item, ConditionSettings())
    return (
        f"{film_player(item.frames, _SIDE)}<h4>{escape(clip.emotion)}</h4>{note(clip.id)}"
        f"{note(', '.join(facts))}{curves_chart(curve, clip.apex_index)}"
    )
