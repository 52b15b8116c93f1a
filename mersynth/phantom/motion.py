"""How a face moves through a clip: the curve of the expression, and all other motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mersynth.clips import Strength
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, LETTER_INTENSITY, parse_au_cell
from mersynth.phantom.capture import PLAIN_CAPTURE, Capture
from mersynth.phantom.optics.camera import SPAN
from mersynth.phantom.settings import Range

# Intensity of a movement that a coder would rate E. In a micro-expression the skin moves by half a
# pixel to two at 128 pixels.
_FULL = {"micro": 0.42, "macro": 1.0}
_MOST = {"micro": 0.6, "macro": 1.0}
_UNLETTERED = (0.35, 0.8)  # movements without a letter, on the letters' scale
_LATERAL = np.array([ACTION_UNITS[au].lateral for au in CONDITION_AUS])
_LETTERS = tuple(LETTER_INTENSITY)
_AU43 = CONDITION_AUS.index(43)
# Resting pose of a clip's head: standard deviation of shift right and down, roll, yaw and pitch.
_HELD = (0.008, 0.008, 0.02, 0.05, 0.03)
_SWALLOW = ((17, 24),)  # chin and lips close the mouth while it swallows
_LIPS = ((24,), (25,), (28,), (23,))


@dataclass(frozen=True, slots=True)
class ClipMotion:
    """What the renderer needs to know of every frame of a clip.

    Attributes:
        aus: (T, 20, 2) AU intensities in [0, 1], the subject's left and right side.
        pose: (T, 5) shift right and down (share of the image's side), roll, yaw, pitch (radians).
        blink: (T,) closing of the lids in [0, 1].
        light: (T,) factor on the light's strength.
    """

    aus: np.ndarray
    pose: np.ndarray
    blink: np.ndarray
    light: np.ndarray

    @property
    def intensities(self) -> np.ndarray:
        """(T, 20, 2) float32: the AUs; a blink is two closed eyes, AU 43."""
        shown = self.aus.copy()
        shown[:, _AU43] = np.maximum(shown[:, _AU43], self.blink[:, None])
        return shown.astype(np.float32)


def peak_intensities(
    cell: str,
    strength: Strength,
    expressiveness: float,
    rng: np.random.Generator,
    gain: float = 1.0,
) -> np.ndarray:
    """Intensities of an AU cell at the apex.

    The first of alternatives is shown. An AU on one side leaves the other at rest; an asymmetric
    one moves it half as much. AUs that are not in ``CONDITION_AUS`` move nothing.

    Args:
        cell: an AU cell, for instance ``"4B+L14"``.
        strength: the letter E means about 0.42 in a micro-expression and 1 in a macro-expression.
        expressiveness: how strongly the subject shows expressions, about 1.
        rng: draws the strength of AUs without a letter, and variation.
        gain: times that strength.

    Returns:
        (20, 2) in [0, 1], left and right.
    """
    peaks = np.zeros((len(CONDITION_AUS), 2))
    for event in parse_au_cell(cell).events:
        unlettered = rng.uniform(*_UNLETTERED)
        wobble = rng.uniform(0.9, 1.1, 2)
        number = 43 if event.number == 45 else event.number
        if number not in CONDITION_AUS:
            continue
        level = unlettered if event.intensity is None else event.intensity
        sides = np.array(event.shares)
        if event.asymmetric and event.side is None:
            sides[rng.integers(2)] = 0.5
        shown = level * gain * _FULL[strength] * expressiveness * sides * wobble
        row = CONDITION_AUS.index(number)
        peaks[row] = np.maximum(peaks[row], shown)
    return np.clip(peaks, 0.0, min(1.0, gain * _MOST[strength]))


def letter_of(level: float) -> str:
    """The letter A..E nearest to a level in [0, 1]."""
    return min(_LETTERS, key=lambda letter: abs(LETTER_INTENSITY[letter] - level))


def expression_curve(count: int, apex: float, rng: np.random.Generator) -> np.ndarray:
    """Rise from 0 at the onset to 1 at the apex, and fall to nearly 0 at the offset.

    Rise and fall each have their own speed and unevenness; the apex may be held for a moment.

    Args:
        count: number of frames.
        apex: position of the apex, 0..count - 1; need not be whole.
        rng: draws the shape.

    Returns:
        (count,) in [0, 1].
    """
    time = np.arange(count, dtype=float)
    hold = rng.uniform(0.0, 0.12) * count
    rise_end, fall_start = max(apex - hold / 2, 1e-6), min(apex + hold / 2, count - 1.0)
    rise = np.clip(time / rise_end, 0, 1)
    fall = np.clip((time - fall_start) / max(count - 1 - fall_start, 1e-6), 0, 1)
    bend_up, bend_down = rng.uniform(0.75, 1.7), rng.uniform(0.6, 1.3)
    rest = rng.uniform(0.0, 0.15)
    up = _smooth(rise**bend_up)
    down = 1 - (1 - rest) * _smooth(fall**bend_down)
    return np.minimum(up, down)


def clip_motion(
    peaks: np.ndarray,
    count: int,
    apex: int,
    fps: float,
    rng: np.random.Generator,
    capture: Capture = PLAIN_CAPTURE,
) -> ClipMotion:
    """A clip's motion: the expression, and the disturbances of real clips.

    Args:
        peaks: (20, 2) intensities at the apex.
        count: number of frames.
        apex: position of the apex among them.
        fps: frames per second.
        rng: source of randomness.
        capture: which motion there is besides the expression, and how much.
    """
    # Each has its own random draws: whether somebody blinks does not change how the head sways.
    stillness, lips, lids, sides = rng.spawn(4)
    peaks = _uneven(peaks, capture.uneven, sides)
    aus = np.zeros((count, *peaks.shape))
    for row in np.flatnonzero(peaks.any(1)):
        shifted = np.clip(apex + rng.normal(0.0, 0.04) * count, 1, max(count - 2, 1))
        at = apex if rng.random() < 0.5 else shifted
        aus[:, row] = expression_curve(count, at, rng)[:, None] * peaks[row]
    odds = (1 - capture.stray_aus, 8 / 13 * capture.stray_aus, 5 / 13 * capture.stray_aus)
    for row in rng.choice(len(peaks), size=rng.choice(3, p=odds), replace=False):
        weak = rng.uniform(*capture.stray_strength) * rng.uniform(0.6, 1.0, 2)
        curve = expression_curve(count, rng.uniform(0.1, 0.9) * (count - 1), rng)
        aus[:, row] = np.maximum(aus[:, row], curve[:, None] * weak)
    seconds = np.arange(count) / fps
    share = stillness.uniform(*capture.head_share)
    pose = rng.normal(0.0, _HELD) + share * _sway(seconds, capture, rng)
    light = 1 + capture.flicker * _wander(seconds, (0.3, 2.5), rng)
    light += capture.flicker * rng.random() * rng.normal(size=count)
    aus = np.maximum(aus, _restless_mouth(seconds, capture, lips)[:, :, None])
    return ClipMotion(np.clip(aus, 0, 1), pose, _blinks(seconds, capture, lids), light)


def _uneven(peaks: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """(20, 2) peaks whose sides differ, half of that by clip and half by AU."""
    log_ratio = spread * math.sqrt(0.5) * (rng.normal() + rng.normal(size=len(peaks)))
    half = np.where(_LATERAL, log_ratio / 2, 0.0)[:, None]
    return np.clip(peaks * np.exp(half * [1, -1]), 0, 1)


def _smooth(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)


def _wander(seconds: np.ndarray, hertz: Range, rng: np.random.Generator) -> np.ndarray:
    """A slow, smooth drift that starts at 0; over minutes its standard deviation is 1."""
    total = np.zeros_like(seconds)
    for frequency in rng.uniform(*hertz, 3):
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * frequency * seconds + phase) - np.sin(phase)
        total += rng.normal(0.0, math.sqrt(2 / 3)) * wave
    return total


def _sway(seconds: np.ndarray, capture: Capture, rng: np.random.Generator) -> np.ndarray:
    """(T, 5) drift of the pose, starting at 0."""
    shift = capture.head_shift / SPAN
    turns = np.deg2rad([capture.head_roll, capture.head_yaw, capture.head_pitch])
    size = np.array([shift, 0.75 * shift, *turns])
    return size * np.stack([_wander(seconds, capture.head_hz, rng) for _ in size], 1)


def _blinks(seconds: np.ndarray, capture: Capture, rng: np.random.Generator) -> np.ndarray:
    """(T,) closing of the lids: fast down, slower up, half of the time not completely."""
    spread = capture.blink_spread
    rate = capture.blinks * rng.lognormal(-(spread**2) / 2, spread)
    closed = np.zeros_like(seconds)
    for start in _times(seconds, rate, capture.blink_seconds[1], rng):
        long = rng.uniform(*capture.blink_seconds)
        partial = rng.random() < capture.partial_blinks
        depth = rng.uniform(0.25, 0.9) if partial else 1.0
        closed = np.maximum(closed, depth * _bump(seconds - start, long, 0.35))
    return closed


def _restless_mouth(seconds: np.ndarray, capture: Capture, rng: np.random.Generator) -> np.ndarray:
    """(T, 20) AU intensities of swallowing, and of lips that press, part or roll."""
    aus = np.zeros((len(seconds), len(CONDITION_AUS)))
    kinds = ((capture.swallows, (0.8, 1.4), _SWALLOW), (capture.mouth_moves, (0.3, 1.2), _LIPS))
    for rate, length, choices in kinds:
        for start in _times(seconds, rate, length[1], rng):
            long, strength = rng.uniform(*length), rng.uniform(*capture.mouth_strength)
            for au in choices[rng.integers(len(choices))]:
                row = CONDITION_AUS.index(au)
                bump = strength * _bump(seconds - start, long, 0.45)
                aus[:, row] = np.maximum(aus[:, row], bump)
    return aus


def _times(
    seconds: np.ndarray, rate: float, longest: float, rng: np.random.Generator
) -> np.ndarray:
    """Start times of events at a rate per minute; some begin before the clip and reach into it."""
    whole = seconds[-1] + longest
    return rng.uniform(-longest, seconds[-1], rng.poisson(rate * whole / 60))


def _bump(after: np.ndarray, long: float, rise: float) -> np.ndarray:
    """0 to 1 and back to 0 within ``long`` seconds; ``rise`` is the rise's share of them."""
    up = np.clip(after / (rise * long), 0, 1)
    down = np.clip((long - after) / ((1 - rise) * long), 0, 1)
    return _smooth(np.minimum(up, down))
