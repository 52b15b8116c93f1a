"""What the page asks a face to do: AUs from sliders, an AU cell or a clip, and their curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mersynth.curves import (
    ConditionSettings,
    added_to_rest,
    clip_curve,
    expression_course,
    movement,
    resample,
)
from mersynth.facs.action_units import (
    ACTION_UNITS,
    CONDITION_AUS,
    SIDES,
    condition_vector,
    parse_au_cell,
    why_unread,
)
from mersynth.store.clip_store import StoredClip

NUM_FRAMES = 24
FPS = 60.0
"""Of what no clip gives a timing: 24 frames are 0.4 s, as long as a micro-expression."""

_APEX = 10  # frame of the apex, where no clip gives one
_SETTINGS = ConditionSettings()
MICRO = _SETTINGS.micro_gain
"""The strength at which the sliders' full scale is a micro-expression's."""


def _at_rest() -> np.ndarray:
    return np.zeros((len(CONDITION_AUS), len(SIDES)), np.float32)


@dataclass(frozen=True, eq=False)
class Wish:
    """What a face shall show.

    Attributes:
        peaks: (20, 2) intensities in [0, 1] at the apex, left and right.
        strength: all intensities are multiplied by it.
        followed: a clip whose AU curve is followed, instead of the peaks.
    """

    peaks: np.ndarray = field(default_factory=_at_rest)
    strength: float = 1.0
    followed: StoredClip | None = None

    def curve(self, face: StoredClip) -> np.ndarray:
        """(24, 20, 2) float32 in [0, 1]: what the face shows, on top of what it shows at rest."""
        if self.followed is None:
            course = expression_course(NUM_FRAMES, _APEX)
            moved = course[:, None, None] * self.peaks
        else:
            moved = resample(movement(clip_curve(self.followed, _SETTINGS)), NUM_FRAMES)
        return added_to_rest(clip_curve(face, _SETTINGS), self.strength * moved)

    @property
    def fps(self) -> float:
        """Frames a second: the followed clip lasts as long as it did."""
        if self.followed is None:
            return FPS
        clip = self.followed.clip
        return clip.fps * NUM_FRAMES / clip.num_frames

    @property
    def aus(self) -> str:
        """The AUs as an annotation table writes them: the followed clip's, or those that move."""
        return cell_of(self.peaks) if self.followed is None else self.followed.clip.aus


def peaks_of(cell: str) -> np.ndarray:
    """(20, 2) intensities that an AU cell names; an AU without a letter is as strong as can be.

    Raises:
        ValueError: if it names no AU, one that cannot be read, or one that nothing here moves.

    Example:
        >>> peaks_of("L12C")[CONDITION_AUS.index(12)].round(1).tolist()
        [0.6000000238418579, 0.0]
    """
    read = parse_au_cell(cell)
    if read.unread:
        raise ValueError("; ".join(why_unread(fragment) for fragment in read.unread))
    known = ", ".join(map(str, CONDITION_AUS))
    if not read.groups:
        raise ValueError(f"the cell {cell!r} names no AU; write for instance 6+12, L14 or 1B+2C")
    others = [event.number for event in read.events if event.number not in CONDITION_AUS]
    if others:
        raise ValueError(f"AU {', '.join(map(str, others))} cannot be moved; can be: {known}")
    return condition_vector(read, unlettered=1.0)


def peaks_of_clip(item: StoredClip) -> np.ndarray:
    """(20, 2) the largest intensities of a clip's movement."""
    peaks: np.ndarray = movement(clip_curve(item, _SETTINGS)).max(axis=0)
    return peaks


def cell_of(peaks: np.ndarray) -> str:
    """The AU cell of intensities (20, 2), without letters.

    Example:
        >>> cell_of(peaks_of("L12+4"))
        '4+L12'
    """
    parts = []
    for number, (left, right) in zip(CONDITION_AUS, peaks, strict=True):
        if left == right or not ACTION_UNITS[number].lateral:
            prefix = ""
        elif min(left, right) == 0:
            prefix = "L" if left else "R"
        else:
            prefix = "A/L" if left > right else "A/R"
        if max(left, right) > 0:
            parts.append(f"{prefix}{number}")
    return "+".join(parts)
