"""Phantom faces for pictures: posed, recorded, or during a weak expression."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from measuring.flow_accuracy import plan_clips
from torch import Tensor

from mersynth import augment
from mersynth.clips import Strength
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.population import render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SIZE = 128  # pixels of a rendered face
Sample = dict[str, Any]


@cache
def renderer(subject: int) -> PhantomRenderer:
    """A phantom subject's renderer."""
    return PhantomRenderer(PhantomSubject.sample(subject), SIZE)


def sides_of(cell: str) -> Tensor:
    """(20, 2): the condition AUs of a cell on the subject's left and right side, 1 or 0."""
    return augment.au_sets([cell])[0, [augment.ORDER.index(n) for n in CONDITION_AUS]]


def posed(subject: int, cell: str, intensity: float = 0.9) -> Sample:
    """A clip of two frames, onset and apex, of a subject that shows the AUs of a cell."""
    peak = intensity * sides_of(cell)
    curves = torch.stack([0 * peak, peak])
    seen = renderer(subject).render(curves)
    return {
        "clip": seen.frames[None],
        "landmarks": seen.landmarks[None],
        "aus": curves.amax(-1)[None],
        "au_set": augment.au_sets([cell]),
        "label": torch.zeros(1, dtype=torch.int64),
        "subject": torch.tensor([subject]),
        "onset_index": torch.tensor([0]),
        "apex_index": torch.tensor([1]),
    }


def batch_of(*samples: Sample) -> Sample:
    """Samples as one batch."""
    return {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}


@cache
def recorded(strength: Strength, number: int, clips: int) -> tuple[Tensor, int]:
    """A phantom clip with the disturbances of real ones: (T, 3, S, S), and its apex."""
    spec = plan_clips(clips, clips, strength)[number]
    frames, _, _ = render_clip(spec, SIZE)
    assert spec.clip.apex_index is not None
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255, spec.clip.apex_index


def course(subject: int, cell: str, frames: int, onset: int, top: int) -> tuple[Tensor, Tensor]:
    """A weak expression that rises and falls, head still: (T, 3, S, S), and its strength (T,)."""
    place = torch.arange(frames)
    way = torch.where(
        place < top, (place - onset) / (top - onset), (frames - place) / (frames - top)
    )
    strength = 0.35 * (0.5 - 0.5 * torch.cos(torch.pi * way.clamp(0, 1)))
    return renderer(subject).render(strength[:, None, None] * sides_of(cell)).frames, strength


def seeded(seed: int = 0) -> torch.Generator:
    """The generator from which a picture's parameters are drawn."""
    return torch.Generator().manual_seed(seed)


def aus_of(au_set: Tensor) -> str:
    """An AU set (S, 2) as a cell: the inverse of ``augment.au_sets``."""
    sides = {(1.0, 1.0): "", (1.0, 0.0): "L", (0.0, 1.0): "R"}
    found = zip(augment.ORDER, map(tuple, au_set.tolist()), strict=True)
    return "AU " + (" + ".join(f"{sides[s]}{n}" for n, s in found if s in sides) or "none")
