"""Long films of phantoms whose movements are known, to try spotting on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mersynth.clips import Strength
from mersynth.phantom.capture import LAB, Capture
from mersynth.phantom.cells import CELLS
from mersynth.phantom.motion import clip_motion, expression_curve, peak_intensities
from mersynth.phantom.optics.sensor import to_bytes
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.variety import WIDE, Population

SECONDS: dict[Strength, tuple[float, float]] = {"micro": (0.25, 0.5), "macro": (0.6, 1.8)}
GAP = 2.0, 6.0  # seconds of rest between expressions


@dataclass(frozen=True, slots=True)
class Shown:
    """An expression in a film.

    Attributes:
        onset, apex, offset: frames, from 0.
        strength: micro or macro.
        emotion: the phantom's.
    """

    onset: int
    apex: int
    offset: int
    strength: Strength
    emotion: str


def film(
    person: int,
    seconds: float,
    fps: float,
    image_size: int,
    capture: Capture = LAB,
    population: Population = WIDE,
    emotions: Sequence[str] = ("happiness", "anger", "contempt", "surprise"),
) -> tuple[np.ndarray, list[Shown]]:
    """A person's film: expressions and rest, blinks, mouth movements, a head that drifts.

    Args:
        person: number of the phantom subject; the film's seed too.
        seconds: its length.
        fps: frames a second.
        image_size: side of its frames, in pixels.
        capture: what there is besides expressions.
        population: of the person.
        emotions: that are shown.

    Returns:
        (T, S, S, 3) uint8, RGB; the expressions in order, half of them micro.
    """
    rng = np.random.default_rng([77, person])
    renderer = PhantomRenderer(population.person(person), image_size)
    count = round(seconds * fps)
    # The camera's own motion, and what is no expression, run through the whole film.
    motion = clip_motion(np.zeros((20, 2)), count, count // 2, fps, rng, capture)
    aus, shown = motion.aus.copy(), []
    now = rng.uniform(*GAP)
    while True:
        strength: Strength = "micro" if rng.random() < 0.5 else "macro"
        emotion = str(rng.choice(list(emotions)))
        long = rng.uniform(*SECONDS[strength])
        if now + long > seconds - 1:
            break
        onset, frames = round(now * fps), max(5, round(long * fps))
        apex = int(np.clip(round(rng.uniform(0.35, 0.6) * (frames - 1)), 2, frames - 3))
        cells, weights = list(CELLS[emotion]), np.array(list(CELLS[emotion].values()))
        cell = str(rng.choice(cells, p=weights / weights.sum()))
        peaks = peak_intensities(cell, strength, renderer.subject.expressiveness, rng)
        curve = expression_curve(frames, apex, rng)
        curve = np.clip((curve - curve[-1]) / (1 - curve[-1]), 0, 1)  # back at rest at the offset
        part = aus[onset : onset + frames]
        aus[onset : onset + frames] = np.maximum(part, curve[:, None, None] * peaks)
        shown.append(Shown(onset, onset + apex, onset + frames - 1, strength, emotion))
        now += long + rng.uniform(*GAP)
    rendered = renderer.render(
        torch.from_numpy(np.clip(aus, 0, 1)),
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.blink),
        torch.from_numpy(motion.light),
        torch.Generator().manual_seed(person),
    )
    return to_bytes(rendered.frames, renderer.subject.look.jpeg), shown
