"""Horizontal flip that also swaps left and right in landmarks and AUs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mersynth.augment.au_sets import MIRROR_ROWS
from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.vectors import FlowChannels, turn_vectors
from mersynth.facs.landmarks import MIRROR


def flip_landmarks(landmarks: Tensor, width: int) -> Tensor:
    """Landmarks of the flipped image; left and right landmarks are swapped.

    Args:
        landmarks: (..., 68, 2), x, y in pixels, the first pixel's centre at 0; NaN stays NaN.
        width: width of the image, in pixels.

    Returns:
        (..., 68, 2).
    """
    order = torch.tensor(MIRROR, device=landmarks.device)
    x, y = landmarks.index_select(-2, order).unbind(-1)
    return torch.stack([width - 1 - x, y], -1)


def flip_au_set(au_set: Tensor) -> Tensor:
    """The AU set of a flipped face: sides swap, and gaze or head turned left turn right.

    Args:
        au_set: (..., S, 2), rows as ``au_sets.ORDER``, then the subject's left and right side.

    Returns:
        (..., S, 2).
    """
    rows = torch.tensor(MIRROR_ROWS, device=au_set.device)
    return au_set.index_select(-2, rows).flip(-1)


class RandomHorizontalFlip(Augmentation):
    """Mirror images or clips; landmarks and the sides of AUs are swapped accordingly.

    ``aus`` have no sides and stay. The same flip twice is the identity.

    Args:
        p: probability that a sample is flipped; a clip is flipped as a whole.
        flow_channels: see :mod:`mersynth.augment.vectors`; the x displacement changes its sign.
        generator: see :class:`Augmentation`.

    Example:
        >>> flip = RandomHorizontalFlip(p=1)
        >>> flip(torch.arange(3.0).reshape(1, 1, 1, 3))
        tensor([[[[2., 1., 0.]]]])
    """

    def __init__(
        self,
        p: float = 0.5,
        flow_channels: FlowChannels = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.flow_channels = flow_channels

    def draw(self, batch: Batch) -> Params:
        """Nothing besides which samples are flipped."""
        return {}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        frames = batch.frames.flip(-1)
        mirror = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], device=batch.device)
        frames = turn_vectors(frames, mirror.expand(len(batch), 2, 2), self.flow_channels)
        marks, au_set = batch.landmarks, batch.au_set
        return replace(
            batch,
            frames=frames,
            landmarks=None if marks is None else flip_landmarks(marks, frames.shape[-1]),
            au_set=None if au_set is None else flip_au_set(au_set),
        )
