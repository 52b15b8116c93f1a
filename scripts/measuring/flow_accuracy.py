"""Accuracy of optical flow: end-point errors against the phantom's true flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mersynth.clips import Strength
from mersynth.phantom.motion import peak_intensities
from mersynth.phantom.population import ClipSpec, clip_specs
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

#: (first, second), both (B, 3, H, W) in [0, 1], to the flow (B, 2, H, W) in pixels.
FlowMethod = Callable[[Tensor, Tensor], Tensor]

#: Phantom subjects that no shipped weights were trained on.
FIRST_SUBJECT = 7000
#: A pixel belongs to the moved region if the true flow there is above this share of its maximum.
REGION_SHARE = 0.05
_EMOTIONS = ("happiness", "anger", "surprise", "contempt")


@dataclass(frozen=True, slots=True)
class FlowPairs:
    """Pairs of frames and the truth.

    Attributes:
        onset: (N, 3, S, S) in [0, 1].
        apex: (N, 3, S, S).
        flow: (N, 2, S, S) the true flow from onset to apex, in pixels.
    """

    onset: Tensor
    apex: Tensor
    flow: Tensor


@dataclass(frozen=True, slots=True)
class FlowError:
    """Errors of a method's flow; means over the pairs.

    Attributes:
        motion: mean true motion of the moved region, in pixels.
        pixels: mean end-point error there, in pixels.
        relative: a pair's error over its true motion; no flow at all scores 1.
        elsewhere: mean end-point error outside the moved region, background included, in pixels:
            invented movement.
    """

    motion: float
    pixels: float
    relative: float
    elsewhere: float


def plan_clips(subjects: int, clips: int, strength: Strength) -> list[ClipSpec]:
    """Plan a number of phantom clips of a number of subjects, with emotions evenly distributed."""
    counts = {name: len(range(at, clips, len(_EMOTIONS))) for at, name in enumerate(_EMOTIONS)}
    return clip_specs(
        subjects=subjects, counts=counts, strength=strength, first_subject=FIRST_SUBJECT
    )


def flow_pairs(subjects: int, strength: Strength, image_size: int) -> FlowPairs:
    """Onset and apex of one expression each of so many subjects.

    Args:
        subjects: number of phantom subjects, and of pairs.
        strength: ``"micro"`` or ``"macro"``.
        image_size: side of the frames, in pixels; even, 32 at least.

    Returns:
        The pairs: with the subject's camera noise, while head and light stand still.
    """
    frames, flows = [], []
    for spec in plan_clips(subjects, subjects, strength):
        subject = PhantomSubject.sample(spec.subject)
        rng = np.random.default_rng(spec.seed)
        peaks = peak_intensities(spec.clip.aus, strength, subject.expressiveness, rng)
        rendered = PhantomRenderer(subject, image_size).render(
            torch.from_numpy(np.stack([np.zeros_like(peaks), peaks])),
            noise_generator=torch.Generator().manual_seed(spec.subject),
            flow=True,
        )
        assert rendered.flow is not None  # it was asked for
        frames.append(rendered.frames)
        flows.append(rendered.flow[1])
    onset, apex = torch.stack(frames).unbind(1)
    return FlowPairs(onset, apex, torch.stack(flows))


def measure_flow(methods: Mapping[str, FlowMethod], pairs: FlowPairs) -> dict[str, FlowError]:
    """Compare flow methods with the truth.

    Args:
        methods: flow methods by name.
        pairs: what they are shown, and the truth.

    Returns:
        The error of each method.
    """
    length = pairs.flow.norm(dim=1)  # (N, S, S)
    moved = length > REGION_SHARE * length.amax((1, 2), keepdim=True)
    area = moved.sum((1, 2))
    motion = (length * moved).sum((1, 2)) / area
    errors = {}
    for name, method in methods.items():
        distance = (method(pairs.onset, pairs.apex) - pairs.flow).norm(dim=1)
        error = (distance * moved).sum((1, 2)) / area
        elsewhere = (distance * ~moved).sum((1, 2)) / (~moved).sum((1, 2))
        errors[name] = FlowError(
            motion=motion.mean().item(),
            pixels=error.mean().item(),
            relative=(error / motion).mean().item(),
            elsewhere=elsewhere.mean().item(),
        )
    return errors
