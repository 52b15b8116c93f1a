"""Facts about the face: action units, emotions, landmarks and regions."""

from mersynth.facs.action_units import (
    ACTION_UNITS,
    CONDITION_AUS,
    LETTER_INTENSITY,
    SIDES,
    ActionUnit,
    AUCell,
    AUEvent,
    condition_vector,
    on_both_sides,
    parse_au_cell,
    stronger_side,
    why_unread,
)

__all__ = [
    "ACTION_UNITS",
    "CONDITION_AUS",
    "LETTER_INTENSITY",
    "SIDES",
    "AUCell",
    "AUEvent",
    "ActionUnit",
    "condition_vector",
    "on_both_sides",
    "parse_au_cell",
    "stronger_side",
    "why_unread",
]
