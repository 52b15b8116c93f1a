"""OFF-ApexNet, against loops over its layers and its published size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizers.models import create_model, describe
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_flow


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_the_size_is_near_the_published_one() -> None:
    told = describe("off_apexnet")
    assert told.inputs["flow"].shape == (2, 28, 28)
    assert told.inputs["flow"].channels == ("u", "v")
    stream = (25 + 1) * 6 + (6 * 25 + 1) * 16
    linear = (2 * 16 * 7 * 7 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * 3
    assert told.parameters == 2 * stream + linear
    assert told.parameters == pytest.approx(2.77e6, rel=0.05)  # Table V of STSTNet's paper
    convolved = 2 * (28**2 * 6 * 25 + 14**2 * 16 * 6 * 25)
    assert told.multiply_adds == convolved + 2 * 16 * 49 * 1024 + 1024**2 + 1024 * 3


def slow_convolution(maps: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """5 x 5 with zeros around, ReLU, the largest of each 2 x 2 pixels."""
    count, side = len(weight), maps.shape[1]
    padded = np.pad(maps, ((0, 0), (2, 2), (2, 2)))
    out = np.zeros((count, side, side))
    for n, y, x in np.ndindex(count, side, side):
        out[n, y, x] = (weight[n] * padded[:, y : y + 5, x : x + 5]).sum() + bias[n]
    return np.maximum(out, 0).reshape(count, side // 2, 2, side // 2, 2).max((2, 4))


def test_forward_is_the_loop_over_the_layers() -> None:
    model = create_model("off_apexnet", 3, image_size=12, hidden=7).eval()
    p = {n: tensor.double().numpy() for n, tensor in model.state_dict().items()}
    flow = torch.randn(2, 2, 12, 12)
    output = model(flow=flow)
    for sample, logits in zip(flow.double().numpy(), output.logits.detach(), strict=True):
        parts = []
        for name, maps in (("u", sample[:1]), ("v", sample[1:])):
            for layer in ("conv1", "conv2"):
                key = f"streams.{name}.{layer}"
                maps = slow_convolution(maps, p[f"{key}.weight"], p[f"{key}.bias"])
            parts.append(maps.ravel())
        x = np.concatenate(parts)
        for layer in (0, 3):
            x = np.maximum(p[f"hidden.{layer}.weight"] @ x + p[f"hidden.{layer}.bias"], 0)
        wanted = p["classifier.weight"] @ x + p["classifier.bias"]
        np.testing.assert_allclose(logits, wanted, atol=1e-4)
    assert output.features.shape == (2, 7)


def test_each_stream_sees_its_own_direction() -> None:
    model = create_model("off_apexnet", 3, hidden=16).eval()
    flow = torch.randn(1, 2, 28, 28, requires_grad=True)
    joined: list[Tensor] = []
    model.hidden.register_forward_pre_hook(lambda module, given: joined.append(given[0]))
    model(flow=flow)
    (gradient,) = torch.autograd.grad(joined[0][:, : 16 * 49].sum(), flow)
    assert gradient[:, 0].abs().max() > 0
    assert gradient[:, 1].abs().max() == 0


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    config = model_config("off_apexnet_tiny")
    assert config["training"]["standardise"]
    model = create_model("off_apexnet", 3, **config["options"])
    inputs = {"flow": phantom_flow(28)[:, :2]}
    assert memorise(model, inputs, steps=200, lr=1e-2) == LABELS.tolist()
