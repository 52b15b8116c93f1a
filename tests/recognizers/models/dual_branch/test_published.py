"""The dual-branch model's weights: ImageNet's, and its authors' by their forward pass."""

from __future__ import annotations

import math
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recognizers.models import PublishedError, create_model, load_published
from tests.recognizers.models.dual_branch.shuffle_attention_loop import slow_attention


def test_imagenet_weights_start_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    given = resnet18().state_dict()
    torch.save(given, folder / "resnet18-f37072fd.pth")
    own = create_model("dual_branch", 3, weights="imagenet").state_dict()
    for name, tensor in given.items():
        layer = name.split(".")[0]
        if layer == "fc":
            continue
        places = ["branches.eyes", "branches.mouth"] if layer in ("layer3", "layer4") else ["base"]
        for place in places:
            assert torch.equal(own[f"{place}.{name}"], tensor), name


def test_without_imagenet_weights_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    with pytest.raises(ValueError, match="is missing and could not be downloaded") as caught:
        create_model("dual_branch", 3, weights="imagenet")
    for said in (str(file), "resnet18", "TORCH_HOME", "weights=none"):
        assert said in str(caught.value)
    file.write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"resnet18-f37072fd.pth is damaged"):
        create_model("dual_branch", 3, weights="imagenet")


def published_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' state dict, built up layer by layer."""
    shapes: dict[str, tuple[int, ...]] = {"base_layers.layers.0.weight": (64, 3, 7, 7)}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def block(name: str, before: int, after: int) -> None:
        shapes[f"{name}.conv1.weight"] = (after, before, 3, 3)
        norm(f"{name}.bn1", after)
        shapes[f"{name}.conv2.weight"] = (after, after, 3, 3)
        norm(f"{name}.bn2", after)
        if before != after:
            shapes[f"{name}.downsample.0.weight"] = (after, before, 1, 1)
            norm(f"{name}.downsample.1", after)
        for part in ("cweight", "cbias", "sweight", "sbias"):
            shapes[f"{name}.sa.{part}"] = (1, 4, after // 8, 1, 1)
        shapes[f"{name}.sa.gn.weight"] = shapes[f"{name}.sa.gn.bias"] = (after // 8,)

    def linear(name: str, before: int, after: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (after, before), (after,)

    norm("base_layers.layers.1", 64)
    layers = [("base_layers.layers.4", 64, 64), ("base_layers.layers.6", 64, 128)]
    for region in ("eyes", "mouth"):
        layers.append((f"{region}_branch.layers.0", 128, 256))
        layers.append((f"{region}_branch.layers.2", 256, 512))
        linear(f"{region}.0", 512, 512)
        shapes[f"{region}.1.weight"] = shapes[f"{region}.1.bias"] = (512,)
        linear(f"{region}.4", 512, num_classes)
    for name, before, after in layers:
        block(f"{name}.0", before, after)
        block(f"{name}.1", after, after)
    for place in (0, 4):
        linear(f"area_weight.{place}", 1024, 1024)
        shapes[f"area_weight.{place + 1}.weight"] = (1024,)
        shapes[f"area_weight.{place + 1}.bias"] = (1024,)
    return shapes


def published_weights(num_classes: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    weights = {}
    for name, shape in published_shapes(num_classes).items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(100)
        elif name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            weights[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            scale = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) in (2, 4) else 0.3
            weights[name] = scale * torch.randn(shape, generator=generator)
    return weights


def published_forward(p: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eyes' and mouth's logits and the fused feature, straight from the authors' names."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, p[f"{name}.weight"], p[f"{name}.bias"])

    def block(name: str, x: Tensor, stride: int) -> Tensor:
        y = F.conv2d(x, p[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(norm(f"{name}.bn1", y).relu(), p[f"{name}.conv2.weight"], padding=1)
        y = norm(f"{name}.bn2", y)
        parts = {"cw": "cweight", "cb": "cbias", "sw": "sweight", "sb": "sbias"}
        numbers = {k: p[f"{name}.sa.{v}"].reshape(4, -1).numpy() for k, v in parts.items()}
        numbers |= {
            k: p[f"{name}.sa.gn.{v}"].numpy() for k, v in (("nw", "weight"), ("nb", "bias"))
        }
        y = torch.from_numpy(slow_attention(y.numpy(), numbers, 4))
        if f"{name}.downsample.0.weight" in p:
            x = F.conv2d(x, p[f"{name}.downsample.0.weight"], stride=stride)
            x = norm(f"{name}.downsample.1", x)
        return (x + y).relu()

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:], p[f"{name}.weight"], p[f"{name}.bias"])

    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    image = (image - mean) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    half = image.shape[2] // 2
    parts = []
    for region, x in (("eyes", image[:, :, :half]), ("mouth", image[:, :, half:])):
        x = F.conv2d(x, p["base_layers.layers.0.weight"], stride=2, padding=3)
        x = F.max_pool2d(norm("base_layers.layers.1", x).relu(), 3, 2, 1)
        for name, stride in (
            ("base_layers.layers.4", 1),
            ("base_layers.layers.6", 2),
            (f"{region}_branch.layers.0", 2),
            (f"{region}_branch.layers.2", 2),
        ):
            x = block(f"{name}.1", block(f"{name}.0", x, stride), 1)
        x = x.mean((2, 3))
        parts.append(x / x.norm(dim=1, keepdim=True))
    joined = torch.cat(parts, 1)
    hidden = layer_norm("area_weight.1", linear("area_weight.0", joined)).relu()
    joined = joined * layer_norm("area_weight.5", linear("area_weight.4", hidden)).sigmoid()
    logits = [
        linear(f"{region}.4", layer_norm(f"{region}.1", linear(f"{region}.0", x)).relu())
        for region, x in (("eyes", joined[:, :512]), ("mouth", joined[:, 512:]))
    ]
    return logits[0], logits[1], joined / joined.norm(dim=1, keepdim=True)


def test_published_weights_compute_what_their_names_say(tmp_path: Path) -> None:
    weights = published_weights()
    torch.save(weights, tmp_path / "model_best_1.pt")
    model = load_published("dual_branch", tmp_path / "model_best_1.pt", 5).eval()
    image = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output = model(image=image)
        eyes, mouth, fused = published_forward(weights, image)
    torch.testing.assert_close(output.extras["eyes_logits"], eyes, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(output.extras["mouth_logits"], mouth, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(output.features, fused, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(output.logits, eyes + mouth, atol=1e-4, rtol=1e-3)


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(
        PublishedError, match=r"shape \(4\): eyes.4.weight is \(5, 512\) instead of"
    ):
        load_published("dual_branch", published_weights(5), 3)
    lacking = published_weights(3)
    del lacking["area_weight.0.weight"]
    with pytest.raises(PublishedError, match=r"missing \(1\): area_weight.0.weight"):
        load_published("dual_branch", lacking, 3)
    with pytest.raises(PublishedError, match=r"unknown \(1\): fc.weight"):
        load_published("dual_branch", {**published_weights(3), "fc.weight": torch.ones(1)}, 3)
