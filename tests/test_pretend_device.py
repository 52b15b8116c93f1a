"""The pretended device itself: it computes as the CPU does, and finds what was left there."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.pretend_device import DEVICE, pretend_device


class Scaled(nn.Module):
    """A layer with a constant that is no buffer, and so stays where it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.constant = torch.tensor([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.constant


def test_a_step_gives_what_the_processor_gives() -> None:
    torch.manual_seed(0)
    here = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    there, images = copy.deepcopy(here), torch.rand(2, 3, 8, 8)
    with pretend_device() as device:
        there.to(DEVICE)
        for model, given in ((here, images), (there, images.to(DEVICE))):
            optimizer = torch.optim.Adam(model.parameters(), 0.1)
            model(given).square().mean().backward()
            optimizer.step()
        assert not device.waits
        assert all(value.device == DEVICE for value in there.state_dict().values())
        for name, value in there.state_dict().items():
            assert torch.equal(value.cpu(), here.state_dict()[name]), name


def test_a_tensor_on_the_wrong_device_is_found() -> None:
    with pretend_device():
        model, x = Scaled().to(DEVICE), torch.rand(4, 3).to(DEVICE)
        with pytest.raises(RuntimeError, match=r"aten.mul: not on the device: .* shape \(2,\)"):
            model(x)
        for wrong in (
            lambda: x + torch.rand(4, 3),
            lambda: torch.rand(4, 3).add_(x),
            lambda: torch.cat([x, torch.rand(1, 3)]),
            lambda: torch.stack([x[0, 0], torch.tensor(1.0)]),
            lambda: torch.rand(4, 3)[x[:, 0].long()],
            lambda: x.index_put_((torch.tensor([0, 1]),), torch.rand(2, 3)),
        ):
            with pytest.raises(RuntimeError, match="not on the device"):
                wrong()
        with pytest.raises(RuntimeError, match=r"aten.rand .* draws from a generator of the CPU"):
            torch.rand(2, device=DEVICE, generator=torch.Generator())


def test_what_cuda_takes_from_the_cpu_is_taken() -> None:
    with pretend_device():
        x = torch.arange(6.0).view(2, 3).to(DEVICE)
        assert (x * torch.tensor(2.0)).tolist() == [[0, 2, 4], [6, 8, 10]]
        assert x[torch.tensor([1])].tolist() == [[3, 4, 5]]
        x[torch.tensor([True, False])] = x.new_tensor([7.0, 8.0, 9.0])
        assert x.tolist() == [[7, 8, 9], [3, 4, 5]]
        assert torch.tensor([1.5], device=x.device).tolist() == [1.5]
        x[:, 1:].mul_(2)
        assert x.tolist() == [[7, 16, 18], [3, 8, 10]]


def test_waiting_for_a_result_is_recorded() -> None:
    with pretend_device() as device:
        x = torch.arange(4.0).to(DEVICE)
        y = torch.where(x > 1, x, 0).cumsum(0)
        assert not device.waits
        assert (float(y[-1]), bool((y > 9).any())) == (5, False)
        assert len(device.waits) == 2
        assert torch.equal(y[y > 2].cpu(), torch.tensor([5.0]))
        assert device.waits[2:] == ["aten.index", "aten._to_copy"]
