"""Pairs of phantom frames: a weak expression, and the same one alpha times as strong.

The renderer's displacement fields are linear in the AU intensities, so that the frame of
intensities ``alpha * a`` shows exactly alpha times the motion of the frame of intensities ``a``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth import logs
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.magnify.pairs import Pairs
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

#: A closing eye hides and uncovers parts: no displacement field can describe that.
MOVING_AUS = tuple(au for au in CONDITION_AUS if au != 43)


def draw_peak(rng: np.random.Generator) -> np.ndarray:
    """(20, 2) intensities of one to four AUs, sometimes weaker on one side."""
    count = rng.choice([1, 2, 3, 4], p=[0.3, 0.3, 0.25, 0.15])
    peak = np.zeros((len(CONDITION_AUS), 2), np.float32)
    for au in rng.choice(MOVING_AUS, count, replace=False):
        row = CONDITION_AUS.index(au)
        peak[row] = rng.uniform(0.2, 1.0)
        if rng.random() < 0.15:
            peak[row, rng.integers(2)] *= 0.5
    return peak


def phantom_pairs(
    subjects: Sequence[int],
    each: int,
    size: int,
    image_sizes: Sequence[int],
    largest_alpha: float,
    seed: int,
) -> Pairs:
    """Render pairs and cut from each a patch where something moves.

    Args:
        subjects: numbers of the phantom subjects.
        each: pairs per subject; B is ``len(subjects) * each``.
        size: side of the patches, in pixels.
        image_sizes: sides of the whole frames, at least ``size``; they alternate over subjects.
        largest_alpha: alpha is drawn log-uniformly from 1.2 to this.
        seed: of all random draws.
    """
    parts: list[Pairs] = []
    with logs.progress("rendering pairs", len(subjects), "subjects") as advance:
        for turn, number in enumerate(subjects):
            rng = np.random.default_rng([seed, number])
            image_size = image_sizes[turn % len(image_sizes)]
            renderer = PhantomRenderer(PhantomSubject.sample(number), image_size)
            parts += [_pair(renderer, rng, size, largest_alpha) for _ in range(each)]
            advance(1)
    return Pairs(*(torch.cat(list(values)) for values in zip(*parts, strict=True)))


def _pair(
    renderer: PhantomRenderer, rng: np.random.Generator, size: int, largest_alpha: float
) -> Pairs:
    alpha = float(np.exp(rng.uniform(np.log(1.2), np.log(largest_alpha))))
    share = torch.tensor([0.0, 1 / alpha, 1.0])
    peak = torch.from_numpy(draw_peak(rng))
    # Every third head also shifts in front of a fixed room.
    shift = rng.normal(0, 0.012, 2) * (rng.random() < 1 / 3)
    pose = torch.tensor([*shift, 0, 0, 0], dtype=torch.float32)
    rendered = renderer.render(share[:, None, None] * peak, share[:, None] * pose, flow=True)
    assert rendered.flow is not None  # asked for
    top, left = _moving_place(rendered.flow[-1], rng, size)
    patch = rendered.frames[:, :, top : top + size, left : left + size]
    return Pairs(patch[:1], patch[1:2], patch[2:], torch.tensor([alpha]))


def _moving_place(flow: Tensor, rng: np.random.Generator, size: int) -> tuple[int, int]:
    """Top and left of a patch around a place that moves; one in seven is anywhere."""
    length = flow.norm(dim=0).numpy()
    height, width = length.shape
    moving = length > (0.3 * length.max() if rng.random() > 1 / 7 else -1)
    y, x = rng.choice(np.argwhere(moving))
    y, x = y + rng.integers(-size // 4, size // 4 + 1), x + rng.integers(-size // 4, size // 4 + 1)
    top, left = np.clip([y - size // 2, x - size // 2], 0, [height - size, width - size])
    return int(top), int(left)
