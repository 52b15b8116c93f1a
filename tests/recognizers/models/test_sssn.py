"""SSSN and its AlexNet, against the layers one by one and the sizes of a public port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from recognizers.data.inputs import build_inputs
from recognizers.models import create_model, describe
from recognizers.models.shallow_alexnet import alexnet_trunk, trunk_side
from recognizers.models.sssn import SSSN
from tests.recognizers.models.handful import (
    LABELS,
    memorise,
    model_config,
    phantom_flow,
    phantom_store,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_the_sizes_are_those_of_the_figure_and_of_a_port() -> None:
    told = describe("sssn", num_classes=5)
    convolutions = 96 * (3 * 11**2 + 1) + 256 * (48 * 5**2 + 1)
    assert told.parameters == convolutions + 5 * (57600 + 1)  # 57600 stands in the figure
    assert round(told.parameters / 1e6, 2) == 0.63  # of a port in PyTorch, by its README
    assert told.inputs["flow_magnitude"].shape == (3, 227, 227)
    maps = {}
    trunk = alexnet_trunk("original", "none")
    x = torch.randn(1, 3, 227, 227)
    for name, layer in trunk.named_children():
        x = layer(x)
        maps[name] = x.shape[1:]
    assert maps["conv1"] == (96, 55, 55)  # the figure's
    assert maps["conv2"] == (256, 27, 27)  # two groups of the figure's 128
    assert maps["frame"] == (256, 15, 15)


def slow_normalisation(x: np.ndarray) -> np.ndarray:
    """AlexNet's section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
    out = np.zeros_like(x)
    for i in range(x.shape[1]):
        near = x[:, max(0, i - 2) : i + 3]
        out[:, i] = x[:, i] / (2 + 1e-4 * (near**2).sum(1)) ** 0.75
    return out


def test_forward_is_the_chain_of_layers() -> None:
    model = create_model("sssn", 4, image_size=67).eval()
    p = model.state_dict()
    image = 30 * torch.randn(2, 3, 67, 67)  # large, so that normalisation shows

    def normalised(x: Tensor) -> Tensor:
        return torch.from_numpy(slow_normalisation(x.double().numpy())).float()

    x = F.conv2d(image, p["trunk.conv1.weight"], p["trunk.conv1.bias"], stride=4).relu()
    x = normalised(F.max_pool2d(x, 3, 2))
    halves = []  # each group sees the half of the maps
    for group in range(2):
        rows = slice(128 * group, 128 * group + 128)
        weight, bias = p["trunk.conv2.weight"][rows], p["trunk.conv2.bias"][rows]
        halves.append(F.conv2d(x[:, 48 * group : 48 * group + 48], weight, bias, padding=2))
    x = normalised(F.max_pool2d(torch.cat(halves, 1).relu(), 3, 2))
    x = F.pad(x, (1, 1, 1, 1)).flatten(1)
    output = model(flow_magnitude=image)
    torch.testing.assert_close(output.features, x, rtol=1e-3, atol=1e-4)
    wanted = x @ p["classifier.weight"].T + p["classifier.bias"]
    torch.testing.assert_close(output.logits, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("trunk", ["original", "torchvision"])
@pytest.mark.parametrize("size", [35, 36, 63, 64, 127, 224, 227])
def test_sides_of_the_trunk_are_as_counted(trunk: Any, size: int) -> None:
    with torch.device("meta"):
        maps = alexnet_trunk(trunk, "none")(torch.zeros(1, 3, size, size))
    assert maps.shape[2:] == (trunk_side(trunk, size), trunk_side(trunk, size))


def test_imagenet_weights_start_the_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.alexnet().eval()
    monkeypatch.setattr(
        "recognizers.models.shallow_alexnet.imagenet_weights",
        lambda name: {"alexnet": theirs.state_dict()}[name],
    )
    model = create_model("sssn", 3, trunk="torchvision", weights="imagenet").eval()
    image = torch.randn(1, 3, 227, 227)
    wanted = F.pad(theirs.features[:6](image), (1, 1, 1, 1)).flatten(1)
    output = model(flow_magnitude=image)
    assert torch.equal(output.features, wanted)
    assert output.features.shape == (1, 192 * 15 * 15)


def test_random_weights_are_normal_by_the_number_of_inputs() -> None:
    model = create_model("sssn", 3)
    for name, inputs in (("trunk.conv1", 363), ("trunk.conv2", 1200), ("classifier", 57600)):
        layer = model.get_submodule(name)
        assert isinstance(layer.weight, Tensor)
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.02)
        assert isinstance(layer.bias, Tensor)
        assert not layer.bias.any()


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    config = model_config("sssn_tiny")
    assert config["training"]["standardise"]
    model = SSSN(3, **{**config["options"], "image": "flow_strain"})
    inputs = {"flow_strain": phantom_flow(63)}
    assert memorise(model, inputs, steps=50, lr=1e-4) == LABELS.tolist()


@pytest.mark.parametrize("image", ["flow_magnitude", "flow_strain"])
def test_it_reads_a_store(tmp_path: Path, image: Any) -> None:
    model = SSSN(3, image=image, image_size=63)
    data = build_inputs(phantom_store(tmp_path / "phantom"), model.inputs, "three")
    assert model(**data.inputs).logits.shape == (len(data.clips), 3)
