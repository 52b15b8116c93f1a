"""A face and its landmarks, and random numbers, for the tests of FRL-DGT."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def phantom_face() -> tuple[Tensor, np.ndarray]:
    """A phantom's frame (1, 3, 96, 96) and its landmarks (1, 68, 2)."""
    rendered = PhantomRenderer(PhantomSubject.sample(3), 96).render(torch.zeros(1, 20, 2))
    return rendered.frames, rendered.landmarks.numpy()
