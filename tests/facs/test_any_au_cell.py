"""The parser of AU cells on whatever a cell may hold (property-based)."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mersynth.facs import (
    ACTION_UNITS,
    AUCell,
    AUEvent,
    condition_vector,
    parse_au_cell,
    why_unread,
)

EVENTS = st.builds(
    AUEvent,
    number=st.sampled_from(sorted(ACTION_UNITS)),
    side=st.sampled_from([None, "left", "right"]),
    asymmetric=st.booleans(),
    part=st.sampled_from([None, "top", "bottom"]),
    letters=st.lists(st.sampled_from("ABCDE"), max_size=3).map(tuple),
    reflex=st.booleans(),
)
GROUPS = st.lists(EVENTS, min_size=1, max_size=3).map(tuple)
CELLS = st.lists(GROUPS, max_size=4).map(lambda groups: AUCell(groups=tuple(groups)))
NOTATION = st.text("124679ABCDELRTUabcorelf()+,;/?.: 、\uff0b", max_size=20)


def written(event: AUEvent) -> str:
    """An event as FACS coders write it."""
    asymmetric = ("A/" if event.side else "A") if event.asymmetric else ""
    side, part = (event.side or "")[:1].upper(), (event.part or "")[:1].upper()
    text = f"{asymmetric}{side}{part}{event.number}{'/'.join(event.letters)}"
    return f"ref({text})" if event.reflex else text


def cell_of(cell: AUCell) -> str:
    choices = [" or ".join(map(written, group)) for group in cell.groups]
    return " + ".join(f"({c})" if " or " in c else c for c in choices)


@given(CELLS, st.sampled_from("+,;"), st.booleans())
def test_what_is_written_is_read(cell: AUCell, joint: str, spoilt: bool) -> None:
    text = cell_of(cell).replace("+", joint)
    if spoilt:  # as spreadsheets and people write it
        text = f" {text.lower()}\xa0".replace("+", "\uff0b")
    assert parse_au_cell(text) == cell


@given(NOTATION | st.text())
@example("4" * 5000)  # more digits than Python makes a number of
@example("(" * 2000 + "4" + ")" * 2000)
@example("ref(" * 2000 + "4" + ")" * 2000)
def test_any_text_is_read_or_kept_as_unread(text: str) -> None:
    cell = parse_au_cell(text)
    whole = unicodedata.normalize("NFKC", text)
    for fragment in cell.unread:
        assert why_unread(fragment).startswith(repr(fragment[:40])[:-1])
        assert "cannot be read" in why_unread(fragment)
        assert cell.unclear or parse_au_cell(fragment).groups == ()
    assert cell.unclear == ("?" in whole)
    assert parse_au_cell(cell_of(cell)).groups == cell.groups
    vector = condition_vector(cell, unlettered=0.5)
    assert np.isnan(vector).all() == (not cell.groups)
    assert cell.groups == () or ((vector >= 0) & (vector <= 1)).all()
    # Nothing in a cell is dropped: every digit is one of an AU, or of what could not be read.
    kept = [*(str(e.number) for group in cell.groups for e in group), *cell.unread]
    digits = [Counter(c for c in part if c in "123456789") for part in (whole, " ".join(kept))]
    assert digits[0] == digits[1]
