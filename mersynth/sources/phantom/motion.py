"""How a face moves through a clip: the expression's curve, and what else is never still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mersynth.clips import Strength
from mersynth.facs.action_units import CONDITION_AUS, LETTER_INTENSITY, parse_au_cell

# Intensity of a movement that a coder would give the letter E. A micro-expression's skin moves
# half a pixel to two at 128 pixels.
_FULL = {"micro": 0.42, "macro": 1.0}
_UNLETTERED = (0.35, 0.8)  # what a coder gives no letter, on the letters' scale
_LETTERS = tuple(LETTER_INTENSITY)
_AU43 = CONDITION_AUS.index(43)


@dataclass(frozen=True, slots=True)
class ClipMotion:
    """What the renderer needs to know of every frame of a clip.

    Attributes:
        aus: (T, 20, 2) AU intensities in [0, 1], the subject's left and right side.
        pose: (T, 5) shift right and down (share of the image's side), roll, yaw, pitch (radians).
        blink: (T,) closing of the lids in [0, 1].
        light: (T,) factor on the light.
    """

    aus: np.ndarray
    pose: np.ndarray
    blink: np.ndarray
    light: np.ndarray

    @property
    def intensities(self) -> np.ndarray:
        """(T, 20) float32: the stronger side of each AU; a blink is a closed eye, AU 43."""
        stronger = self.aus.max(2)
        stronger[:, _AU43] = np.maximum(stronger[:, _AU43], self.blink)
        return stronger.astype(np.float32)


def peak_intensities(
    cell: str, strength: Strength, expressiveness: float, rng: np.random.Generator
) -> np.ndarray:
    """Intensities at the apex of what an AU cell names.

    Of alternatives the first is shown. An AU on one side leaves the other at rest; an asymmetric
    one moves it half as much. AUs outside of ``CONDITION_AUS`` move nothing.

    Args:
        cell: an AU cell, for instance ``"4B+L14"``.
        strength: the letter E means about 0.42 in a micro-expression and 1 in a macro-expression.
        expressiveness: how strongly the subject shows what it shows, about 1.
        rng: draws the strength of what has no letter, and variation.

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
        sides = np.ones(2)
        if event.side is not None:
            sides[1 if event.side == "left" else 0] = 0.5 if event.asymmetric else 0.0
        elif event.asymmetric:
            sides[rng.integers(2)] = 0.5
        shown = level * _FULL[strength] * expressiveness * sides * wobble
        row = CONDITION_AUS.index(number)
        peaks[row] = np.maximum(peaks[row], shown)
    return np.clip(peaks, 0.0, 1.0 if strength == "macro" else 0.6)


def letter_of(level: float) -> str:
    """The letter A..E nearest to a level in [0, 1]."""
    return min(_LETTERS, key=lambda letter: abs(LETTER_INTENSITY[letter] - level))


def expression_curve(count: int, apex: float, rng: np.random.Generator) -> np.ndarray:
    """Rise from 0 at the onset to 1 at the apex, and fall to nearly 0 at the offset.

    Rise and fall have each their own speed and unevenness; around the apex it may stay a moment.

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
    peaks: np.ndarray, count: int, apex: int, fps: float, rng: np.random.Generator
) -> ClipMotion:
    """A clip's motion: the expression, and what makes real clips hard.

    Beside the expression there are up to two weak AUs that have nothing to do with it, sometimes a
    blink, a head that drifts and turns a little, light that flickers.

    Args:
        peaks: (20, 2) intensities at the apex.
        count: number of frames.
        apex: position of the apex among them.
        fps: frames a second.
        rng: draws all of it.
    """
    aus = np.zeros((count, *peaks.shape))
    for row in np.flatnonzero(peaks.any(1)):
        shifted = np.clip(apex + rng.normal(0.0, 0.04) * count, 1, max(count - 2, 1))
        at = apex if rng.random() < 0.5 else shifted
        aus[:, row] = expression_curve(count, at, rng)[:, None] * peaks[row]
    for row in rng.choice(len(peaks), size=rng.choice(3, p=[0.35, 0.4, 0.25]), replace=False):
        weak = rng.uniform(0.015, 0.07) * rng.uniform(0.6, 1.0, 2)
        curve = expression_curve(count, rng.uniform(0.1, 0.9) * (count - 1), rng)
        aus[:, row] = np.maximum(aus[:, row], curve[:, None] * weak)
    drift = np.array([0.004, 0.003, 0.006, 0.012, 0.01])
    start = rng.normal(0.0, [0.008, 0.008, 0.02, 0.05, 0.03])
    pose = start + drift * np.stack([_wander(count, fps, rng) for _ in drift], 1)
    light = 1 + 0.008 * _wander(count, fps, rng) + rng.uniform(0.0, 0.008) * rng.normal(size=count)
    return ClipMotion(np.clip(aus, 0, 1), pose, _blink(count, fps, rng), light)


def _smooth(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)


def _wander(count: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """A slow, smooth wander that starts at 0, of about unit size."""
    seconds = np.arange(count) / fps
    total = np.zeros(count)
    for frequency in rng.uniform(0.3, 2.5, 3):
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * frequency * seconds + phase) - np.sin(phase)
        total += rng.normal(0.0, 0.7) * wave
    return total


def _blink(count: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Now and then the lids close and open: fast down, slower up, about a quarter of a second."""
    blink = np.zeros(count)
    present, when, depth = rng.random() < 0.1, rng.uniform(0.0, 1.0), rng.uniform(0.6, 1.0)
    down, up = rng.uniform(0.06, 0.1), rng.uniform(0.12, 0.2)
    if not present:
        return blink
    seconds = np.arange(count) / fps - when * count / fps
    rise = np.clip(1 + seconds / down, 0, 1)
    fall = np.clip(1 - seconds / up, 0, 1)
    return depth * _smooth(np.minimum(rise, fall))
