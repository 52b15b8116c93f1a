"""What a recording shows besides the expression: blinks, mouth movements, head drift, flicker.

Sources:
    A. Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", Movement Disorders
    12, 1997: 17 blinks a minute at rest, log-normal over 150 people.
    G. Ousler et al., "Blink patterns and lid-contact times in dry-eye and normal subjects",
    Clinical Ophthalmology 8, 2014: of people who watch a video half of the blinks are partial.
    L. Peeters, thesis on head and trunk movement, chapter 3: in quiet sitting the head's angles
    deviate by at most 1.1 (frontal), 1.4 (sagittal) and 1.0 degrees (transverse), one standard
    deviation.
    "Head movement: recording and significance", cephalography of 20 standing adults: 0.34 to 0.39
    swings a second; 37 cm of path a minute at the head.
    J. Bulmer et al., "Evaluation of spontaneous swallow frequency", Gerontology & Geriatric
    Medicine 7, 2021: 0.98 swallows a minute in healthy younger people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mersynth.phantom.settings import Range, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Settings):
    """Rates and sizes; the defaults are those of ``configs/capture/lab.yaml``.

    Args:
        blinks: mean number per minute.
        blink_spread: standard deviation over clips of the rate's logarithm.
        partial_blinks: share of blinks that leave the eye partly open.
        blink_seconds: shortest and longest, from open to open.
        swallows: per minute; chin and lips move for about a second.
        mouth_moves: meaningless pressing, parting or rolling of the lips, per minute.
        mouth_strength: AU intensities of both, uniform.
        stray_aus: share of clips with one or two weak AUs unrelated to the expression.
        stray_strength: their intensities, uniform.
        uneven: standard deviation, over clips and AUs on both sides, of the logarithm of the left
            side's intensity over the right's; AUs without sides are even.
        head_roll, head_yaw, head_pitch: sway of the head about its resting pose; standard deviation
            in degrees for the person who moves most.
        head_shift: the same for its position, cm.
        head_share: share of these by which a person sways, uniform.
        head_hz: swings of the head per second, uniform.
        flicker: of the light, as a share.

    Raises:
        ValueError: if a number lies outside its range.
    """

    blinks: float = 17.0
    blink_spread: float = 0.5
    partial_blinks: float = 0.5
    blink_seconds: Range = (0.1, 0.4)
    swallows: float = 1.0
    mouth_moves: float = 4.0
    mouth_strength: Range = (0.05, 0.25)
    stray_aus: float = 0.65
    stray_strength: Range = (0.015, 0.07)
    uneven: float = 0.35
    head_roll: float = 1.1
    head_yaw: float = 1.0
    head_pitch: float = 1.4
    head_shift: float = 0.25
    head_share: Range = (0.15, 0.5)
    head_hz: Range = (0.1, 0.6)
    flicker: float = 0.008

    group: ClassVar = "capture"
    numbers: ClassVar = {
        "blinks": (0, 120),
        "blink_spread": (0, 2),
        "partial_blinks": (0, 1),
        "swallows": (0, 60),
        "mouth_moves": (0, 120),
        "stray_aus": (0, 1),
        "uneven": (0, 2),
        "head_roll": (0, 10),
        "head_yaw": (0, 10),
        "head_pitch": (0, 10),
        "head_shift": (0, 2),
        "flicker": (0, 0.2),
    }
    ranges: ClassVar = {
        "blink_seconds": (0.05, 1),
        "mouth_strength": (0, 1),
        "stray_strength": (0, 1),
        "head_share": (0, 1),
        "head_hz": (0.01, 10),
    }


LAB = Capture()
"""A seated person who watches a video and has been asked to keep still."""

PLAIN_CAPTURE = Capture(
    blinks=10.0, blink_spread=0.0, blink_seconds=(0.18, 0.3), swallows=0.0, mouth_moves=0.0,
    head_roll=0.295, head_yaw=0.589, head_pitch=0.491, head_shift=0.0686, head_share=(1.0, 1.0),
    head_hz=(0.3, 2.5), uneven=0.0,
)  # fmt: skip
"""A faster head and a resting mouth: what stores of the phantom show by default."""

STILL = Capture(
    blinks=0.0, swallows=0.0, mouth_moves=0.0, stray_aus=0.0, head_roll=0.0, head_yaw=0.0,
    head_pitch=0.0, head_shift=0.0, flicker=0.0, uneven=0.0,
)  # fmt: skip
"""Only the expression; the head keeps the pose in which each clip begins."""
