"""STSTNet, against a loop over Table I, its authors' parameter count and their weights' layout."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizers.models import PublishedError, create_model, describe, load_published
from recognizers.models.ststnet.model import QuickDropout, STSTNet
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_flow


def published_weights(num_classes: int = 3) -> dict[str, Tensor]:
    """Names and shapes as their files have them, filled at random."""
    generator = torch.Generator().manual_seed(4)

    def some(*shape: int) -> Tensor:
        return 0.2 * torch.randn(shape, generator=generator)

    weights = {"fc.weight": some(num_classes, 400), "fc.bias": some(num_classes)}
    for i, filters in enumerate((3, 5, 8), 1):
        weights |= {f"conv{i}.weight": some(filters, 3, 3, 3), f"conv{i}.bias": some(filters)}
        weights |= {f"bn{i}.weight": 1 + some(filters), f"bn{i}.bias": some(filters)}
        weights[f"bn{i}.running_mean"] = some(filters)
        weights[f"bn{i}.running_var"] = 0.5 + torch.rand(filters, generator=generator)
        weights[f"bn{i}.num_batches_tracked"] = torch.tensor(1600)
    return weights


def slow_forward(p: dict[str, np.ndarray], image: np.ndarray, padding: int) -> np.ndarray:
    """Logits of an image (3, 28, 28) by loops over the authors' names."""
    maps = []
    x = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    side = 28 + 2 * padding - 2
    for i, filters in enumerate((3, 5, 8), 1):
        for f in range(filters):
            y = np.full((side, side), p[f"conv{i}.bias"][f])
            for c, dy, dx in itertools.product(range(3), repeat=3):
                weight = p[f"conv{i}.weight"][f, c, dy, dx]
                y += weight * x[c, dy : dy + side, dx : dx + side]
            y = np.maximum(y, 0)
            y = (y - p[f"bn{i}.running_mean"][f]) / np.sqrt(p[f"bn{i}.running_var"][f] + 1e-5)
            y = y * p[f"bn{i}.weight"][f] + p[f"bn{i}.bias"][f]
            y = np.pad(y, ((1, 2), (1, 2)), constant_values=-np.inf)
            maps.append(np.zeros((10, 10)))
            for r, c in np.ndindex(10, 10):
                maps[-1][r, c] = y[3 * r : 3 * r + 3, 3 * c : 3 * c + 3].max()
    cells = itertools.product(maps, range(0, 10, 2), range(0, 10, 2))
    averages = [m[r : r + 2, c : c + 2].mean() for m, r, c in cells]
    return p["fc.weight"] @ np.array(averages) + p["fc.bias"]


def numbers(weights: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in weights.items()}


def test_the_sizes_are_those_of_table_1_and_table_5() -> None:
    told = describe("ststnet")
    assert told.inputs["flow_strain"].shape == (3, 28, 28)
    assert told.inputs["flow_strain"].channels == ("u", "v", "strain")
    filters, pooled = 3 + 5 + 8, 5 * 5
    assert told.parameters == filters * (3 * 9 + 1) + 2 * filters + 3 * (filters * pooled + 1)
    assert told.parameters == pytest.approx(0.00167e6, rel=0.01)  # Table V
    assert told.multiply_adds == filters * 27 * 28**2 + 3 * filters * pooled
    model = STSTNet(3)
    output = model(flow_strain=torch.rand(2, 3, 28, 28))
    assert output.logits.shape == (2, 3)
    assert output.features.shape == (2, 400)


@pytest.mark.parametrize(("size", "padding"), [(4, 1), (28, 1), (28, 2), (29, 2), (30, 1), (64, 1)])
def test_any_size_fits(size: int, padding: int) -> None:
    model = STSTNet(4, image_size=size, padding=padding)
    assert model(flow_strain=torch.rand(2, 3, size, size)).logits.shape == (2, 4)


@pytest.mark.parametrize("padding", [1, 2])
def test_forward_is_the_loop_over_the_layers(padding: int) -> None:
    weights = published_weights()
    model = STSTNet(3, padding=padding).eval()
    for ours, theirs in (("conv", "conv"), ("norm", "bn")):
        layer = model.streams.get_submodule(ours)
        parts = {n: [weights[f"{theirs}{i}.{n}"] for i in (1, 2, 3)] for n in layer.state_dict()}
        layer.load_state_dict({n: torch.cat(p) if p[0].dim() else p[0] for n, p in parts.items()})
    model.classifier.load_state_dict({n: weights[f"fc.{n}"] for n in ("weight", "bias")})
    image = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    slow = [slow_forward(numbers(weights), x, padding) for x in image.double().numpy()]
    np.testing.assert_allclose(model(flow_strain=image).logits.detach(), slow, atol=1e-4)


def test_published_weights_read_strain_first(tmp_path: Path) -> None:
    """The authors read blue, green, red: strain, v, u; the model is given u, v, strain."""
    weights = published_weights()
    torch.save(weights, tmp_path / "006.pth")
    model = load_published("ststnet", tmp_path / "006.pth", 3).eval()
    theirs = np.random.default_rng(0).uniform(0, 255, (2, 3, 28, 28))
    slow = [slow_forward(numbers(weights), x, padding=2) for x in theirs]
    ours = torch.from_numpy(theirs[:, ::-1].copy()).float()
    np.testing.assert_allclose(model(flow_strain=ours).logits.detach(), slow, rtol=1e-4, atol=1e-2)


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(PublishedError, match=r"shape \(2\): fc.weight is \(3, 400\) instead of"):
        load_published("ststnet", published_weights(3), 5)
    lacking = published_weights()
    del lacking["bn2.running_mean"]
    with pytest.raises(PublishedError, match=r"missing \(1\): bn2.running_mean"):
        load_published("ststnet", lacking, 3)
    with pytest.raises(PublishedError, match=r"unknown \(1\): conv4.weight"):
        load_published("ststnet", {**published_weights(), "conv4.weight": torch.ones(1)}, 3)


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    torch.manual_seed(0)
    config = model_config("ststnet_tiny")
    assert config["training"]["standardise"]
    model = create_model("ststnet", 3, **config["options"])
    inputs = {"flow_strain": phantom_flow(28)}
    assert memorise(model, inputs, steps=200, lr=1e-2) == LABELS.tolist()


def test_the_published_config_is_what_published_weights_need() -> None:
    model = create_model("ststnet", 3, **model_config("ststnet_published")["options"])
    their = load_published("ststnet", published_weights(), 3)
    model.load_state_dict(their.state_dict())
    image = torch.rand(1, 3, 28, 28)
    first, second = (m.eval()(flow_strain=image).logits for m in (model, their))
    assert torch.equal(first, second)


@pytest.mark.parametrize("portion", [0.0, 0.25, 0.5])
def test_dropout_is_torchs_but_for_the_draw(portion: float) -> None:
    torch.manual_seed(0)
    dropout = QuickDropout(portion)
    x = torch.ones(100_000, requires_grad=True)
    y = dropout(x)
    values = y.unique().tolist()
    assert values == pytest.approx([0, 1 / (1 - portion)] if portion else [1])
    assert (y == 0).float().mean().item() == pytest.approx(portion, abs=0.01)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())  # what is dropped has no gradient
    assert dropout.eval()(x) is x
