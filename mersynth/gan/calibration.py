"""Gains of AUs: corrections that make generated faces move as far as real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth.gan.data import TrainingClips, draw_image_batch
from mersynth.gan.generator import left_weight
from mersynth.gan.motion_generator import MotionGenerator
from mersynth.logs import progress
from mersynth.motion.flow import farneback

BOUNDS = (0.5, 2.0)
"""Limits of the gains; values outside would mean that an AU was not learned."""

_BATCH = 8
_FLOW = {"levels": 3, "winsize": 9, "iterations": 3}
_BELIEF = 0.1  # weight of the prior gain 1, as a share of the mean weight of an AU's pairs


@torch.inference_mode()
def measure_gains(
    generator: MotionGenerator,
    clips: Sequence[TrainingClips],
    rng: np.random.Generator,
    pairs: int,
) -> np.ndarray:
    """Factors by which to multiply each AU's change so that faces move as far as real ones.

    For pairs p of frames of clips that move, the generator makes the second from the first. With
    f_p the flow from the first to the true frame, e_p that to the generated one, and w_pk the share
    of AU k in the generator's motion,

        s_p = <f_p, e_p> / <f_p, f_p>,
        g = argmin sum_p |f_p|^2 (s_p sum_k w_pk g_k - 1)^2 + b sum_k (g_k - 1)^2.

    s_p is how far a face goes along the true motion, 1 being all the way. An AU that no clip shows
    keeps the gain 1. Source: own.

    Args:
        generator: the generator to measure.
        clips: the sets it was trained on.
        rng: draws the pairs.
        pairs: number of pairs over all sets.

    Returns:
        (20,) float64 within :data:`BOUNDS`.
    """
    sets = [(each, _BATCH) for each in clips if each.moving]
    shares, strengths, weights = [], [], []
    batches = max(1, pairs // pairs_at_once(clips))
    with progress("measuring gains", batches if sets else 0, "batches") as advance:
        for _ in range(batches if sets else 0):
            batch = draw_image_batch(sets, rng, 1.0, 0.0, size=generator.working_size)
            change = (batch.target_aus - batch.image_aus).nan_to_num()
            image = batch.image.to(generator.fields.weight.device)
            fields = generator.study(image)
            made = generator.move(image, fields, change.to(image).unflatten(0, (-1, 1))).image
            true, own = (farneback(batch.image, x.cpu(), **_FLOW) for x in (batch.truth, made))
            energy = true.square().sum((1, 2, 3))
            strengths.append((true * own).sum((1, 2, 3)) / energy.clamp(min=1e-9))
            weights.append(energy)
            shares.append(_shares(fields.motion.cpu(), change))
            advance(1)
    if not shares:
        return np.ones(generator.num_aus)
    return _solve(*(torch.cat(x).double().numpy() for x in (shares, strengths, weights)))


def pairs_at_once(clips: Sequence[TrainingClips]) -> int:
    """Number of pairs in a batch, over all sets."""
    return _BATCH * max(1, sum(bool(each.moving) for each in clips))


def _shares(motion: Tensor, change: Tensor) -> Tensor:
    """(B, N): the share of each AU in the energy of the motion."""
    left = left_weight(motion.shape[-1], motion.device)
    there, other = change[..., None, None, None].unbind(2)
    moved = motion * (other + (there - other) * left)  # (B, N, 2, h, w)
    energy = moved.square().sum((2, 3, 4))
    return energy / energy.sum(1, keepdim=True).clamp(min=1e-12)


def _solve(shares: np.ndarray, strengths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    reached = shares * strengths[:, None]
    weighted = reached * weights[:, None]
    normal = weighted.T @ reached
    shown = np.diag(normal)
    belief = _BELIEF * (shown[shown > 0].mean() if (shown > 0).any() else 1.0)
    right = weighted.sum(0) + belief
    gains = np.linalg.solve(normal + belief * np.eye(len(normal)), right)
    return np.clip(gains, *BOUNDS)
