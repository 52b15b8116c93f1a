"""OFF-ApexNet, against loops over its layers and its published size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizers.models import create_model, describe
from tests.recognizers.phantom_pairs import (
    LABELS,
    accuracy_after,
    model_config,
    phantom_clips,
    standardised,
)


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


def test_the_gradient_reaches_every_parameter() -> None:
    model = create_model("off_apexnet", 3, hidden=64)
    model.loss(model(flow=torch.randn(6, 2, 28, 28)), LABELS).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 30}, "image_size must be a positive multiple of 4, got 30"),
        ({"image_size": 0}, "image_size must be a positive multiple of 4, got 0"),
        ({"hidden": 0}, "hidden must be 1 or more, got 0"),
        ({"dropout": -0.1}, r"dropout must lie in \[0, 1\), got -0.1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        create_model("off_apexnet", 3, **options)


def test_a_handful_of_phantom_clips_is_learnt_by_heart() -> None:
    config = model_config("off_apexnet_tiny")
    assert config["training"]["standardise"]
    model = create_model("off_apexnet", 3, **config["options"])
    _, flow_strain = phantom_clips()
    inputs = {"flow": standardised(flow_strain[:, :2])}
    assert accuracy_after(model, inputs, LABELS, config["training"]) == 1


def test_configs_name_every_option() -> None:
    config = model_config("off_apexnet")
    assert config["name"] == "off_apexnet"
    assert config["options"] == describe("off_apexnet").options
    assert model_config("off_apexnet_tiny")["options"] == {**config["options"], "hidden": 32}
