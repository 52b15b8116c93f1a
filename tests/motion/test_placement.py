"""Flow and magnification on a device, where a tensor left on the CPU is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mersynth.motion.dynamic_image import dynamic_image
from mersynth.motion.flow import METHODS, optical_strain, tvl1
from mersynth.motion.magnify import eulerian, load_magnet, magnify_clip
from mersynth.motion.tim import tim
from tests.pretend_device import DEVICE, pretend_device


def clip(frames: int = 4, side: int = 36) -> Tensor:
    return torch.rand(2, frames, 3, side, side, generator=torch.Generator().manual_seed(0))


def prefiltered(first: Tensor, second: Tensor) -> Tensor:
    return tvl1(first, second, prefilter=True)


FLOWS = {**METHODS, "tvl1, prefiltered": prefiltered}


@pytest.mark.parametrize("name", FLOWS)
def test_flow(name: str) -> None:
    first, second = clip(2).unbind(1)
    flow = FLOWS[name](first, second)
    with pretend_device():
        there = FLOWS[name](first.to(DEVICE), second.to(DEVICE))
        strain = optical_strain(there)
        assert there.device == strain.device == DEVICE
        torch.testing.assert_close(there.cpu(), flow)
        torch.testing.assert_close(strain.cpu(), optical_strain(flow))


def test_magnet(elsewhere: torch.device) -> None:
    model, given, alpha = load_magnet(), clip(2), torch.tensor([2.0, 4.0])
    wanted = magnify_clip(model, given, alpha)
    model.to(elsewhere)
    for factor in (alpha, alpha.to(elsewhere)):
        there = magnify_clip(model, given.to(elsewhere), factor)
        assert there.device == elsewhere
        torch.testing.assert_close(there.cpu(), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda given: eulerian(given, 4.0, low=0.5, high=3, fps=10),
        lambda given: tim(given, 7),
        lambda given: dynamic_image(given),
    ],
    ids=["eulerian", "tim", "dynamic image"],
)
def test_clips(change: Callable[[Tensor], Tensor]) -> None:
    wanted = change(clip())
    with pretend_device():
        there = change(clip().to(DEVICE))
        assert there.device == DEVICE
        torch.testing.assert_close(there.cpu(), wanted)
