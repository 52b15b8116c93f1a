"""What is known about the face: action units, emotions, landmarks and regions."""

from mersynth.facs.action_units import (
    ACTION_UNITS,
    CONDITION_AUS,
    LETTER_INTENSITY,
    ActionUnit,
    AUCell,
    AUEvent,
    condition_vector,
    parse_au_cell,
    why_unread,
)

__all__ = [
    "ACTION_UNITS",
    "CONDITION_AUS",
    "LETTER_INTENSITY",
    "AUCell",
    "AUEvent",
    "ActionUnit",
    "condition_vector",
    "parse_au_cell",
    "why_unread",
]
