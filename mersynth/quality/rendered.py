"""Phantom frames with true AU intensities, for AU readers to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth import logs
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.quality.reader import Pairs

FIRST_SUBJECT = 2000
"""Number of the first phantom subject for training AU readers."""

# How far the head drifts in a phantom's clip (phantom.motion): not to be read as an AU.
_DRIFT = (0.004, 0.003, 0.006, 0.012, 0.01)
_LIGHT = 0.012
# Far more than in people: a reader that rarely sees one-sided AUs reads both sides alike.
_ONE_SIDED = 0.5


def draw_intensities(rng: np.random.Generator, count: int, strongest: float = 1.0) -> Tensor:
    """(count, 20, 2): one to four AUs each at random intensities, half of them on one side.

    Args:
        rng: source of randomness.
        count: number of rows.
        strongest: intensities are uniform from 0 to this.
    """
    aus = np.zeros((count, len(CONDITION_AUS), 2), np.float32)
    for row in aus:
        for column in rng.choice(len(CONDITION_AUS), rng.integers(1, 5), replace=False):
            row[column] = rng.uniform(0, 1) * strongest
            if rng.random() < _ONE_SIDED:
                row[column, rng.integers(2)] = 0
    return torch.from_numpy(aus)


def noise(seed: int) -> torch.Generator:
    """Camera noise, one stream per subject."""
    return torch.Generator().manual_seed(seed)


def rendered_pairs(
    size: int,
    numbers: Sequence[int],
    each: int,
    seed: int,
    strongest: float = 1.0,
    drift: bool = False,
    framing: Framing = HEAD,
) -> Pairs:
    """``each`` frames of every subject, paired with its resting face.

    Args:
        size: side of the frames, in pixels.
        numbers: of the phantom subjects.
        each: frames per subject.
        seed: of the intensities and drifts.
        strongest: see :func:`draw_intensities`.
        drift: let head and light of every second frame differ from the resting face's, as in a
            clip; the other frames differ only by the AUs and share the camera noise, like a
            generator's frames.
        framing: of the frames.
    """
    rng = np.random.default_rng(seed)
    onsets, frames, truths = [], [], []
    with logs.progress("rendering for the AU reader", len(numbers), "subjects") as step:
        for number in numbers:
            subject = PhantomSubject.sample(number)
            renderer = PhantomRenderer(subject, size, framing=framing)
            moved = draw_intensities(rng, each, strongest)
            aus = torch.cat([torch.zeros(1, len(CONDITION_AUS), 2), moved])
            if drift:
                onset, rest = _drifting(renderer, aus, rng)
            else:
                rendered = renderer.render(aus, noise_generator=noise(number)).frames
                onset, rest = rendered[:1].expand(each, -1, -1, -1), rendered[1:]
            onsets.append(onset)
            frames.append(rest)
            truths.append(aus[1:])
            step(1)
    return Pairs(torch.cat(onsets), torch.cat(frames), torch.cat(truths))


def _drifting(
    renderer: PhantomRenderer, aus: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Resting and moved faces; the even ones do not drift and share their camera noise."""
    count, size = len(aus), renderer.image_size
    still = np.arange(count) % 2 == 0
    drift = rng.normal(0, 1, (count, len(_DRIFT))) * np.array(_DRIFT)
    drift[still] = 0
    drift[0] = 0
    light = np.where(still, 1.0, 1 + _LIGHT * rng.normal(size=count))
    frames = renderer.render(
        aus,
        torch.from_numpy(drift.astype(np.float32)),
        light=torch.from_numpy(light.astype(np.float32)),
    ).frames
    grain = renderer.subject.noise * rng.standard_normal((2, count - 1, 3, size, size))
    grain[1][still[1:]] = grain[0][still[1:]]
    onset_grain, own_grain = torch.from_numpy(grain.astype(np.float32))
    onset = (frames[:1] + onset_grain).clamp(0, 1)
    return onset, (frames[1:] + own_grain).clamp(0, 1)
