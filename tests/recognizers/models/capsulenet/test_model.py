"""CapsuleNet against loops over its equations and an independent forward pass."""

from __future__ import annotations

import math
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import recognizers
from recognizers.models import Output, PublishedError, load_published
from recognizers.models.capsulenet.model import CapsuleNet, ClassCapsules, PrimaryCapsules, squash
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_clips


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(num_classes: int = 3, **options: Any) -> CapsuleNet:
    small = model_config("capsulenet_tiny")["options"]
    options = {**small, "training_frames": 1, "subtract_onset": False, **options}
    model = recognizers.create_model("capsulenet", num_classes, **options)
    assert isinstance(model, CapsuleNet)
    return model


# --- capsules ------------------------------------------------------------------------------------


def test_squash_keeps_the_direction_and_bounds_the_length() -> None:
    s = torch.tensor([[3.0, 4.0], [0.03, 0.04], [0.0, 0.0]], requires_grad=True)
    v = squash(s)
    wanted = torch.tensor([25 / 26, 0.0025 / 1.0025, 0.0])
    torch.testing.assert_close(v.norm(dim=1), wanted)
    torch.testing.assert_close(v[0] / v[0].norm(), torch.tensor([0.6, 0.8]))
    v.norm(dim=1).sum().backward()
    assert s.grad is not None
    assert s.grad.isfinite().all()


def squash_by_hand(s: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in s))
    return [x / length * length**2 / (1 + length**2) for x in s]


@pytest.mark.parametrize("routings", [1, 2, 3, 5])
def test_routing_is_the_algorithm_by_loops(routings: int) -> None:
    """Procedure 1 of Sabour et al., for one sample."""
    count, classes, size = 4, 3, 2
    layer = ClassCapsules(count, 5, classes, size, routings)
    torch.nn.init.normal_(layer.weight)
    u = torch.randn(2, count, 5)
    w = layer.weight.detach()
    for sample in range(2):
        u_hat = [[(w[j, i] @ u[sample, i]).tolist() for i in range(count)] for j in range(classes)]
        b = [[0.0] * classes for _ in range(count)]
        v: list[list[float]] = []
        for _ in range(routings):
            c = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in b]
            v = [
                squash_by_hand(
                    [sum(c[i][j] * u_hat[j][i][d] for i in range(count)) for d in range(size)]
                )
                for j in range(classes)
            ]
            for i in range(count):
                for j in range(classes):
                    b[i][j] += sum(u_hat[j][i][d] * v[j][d] for d in range(size))
        np.testing.assert_allclose(layer(u)[sample].detach(), v, rtol=1e-4, atol=1e-6)


def test_routing_lets_the_gradient_through_its_last_iteration_alone() -> None:
    """With the shares c held fixed, the gradient is that of the weighted sum."""
    layer = ClassCapsules(4, 5, 3, 2, 3)
    torch.nn.init.normal_(layer.weight)
    u = torch.randn(1, 4, 5, requires_grad=True)
    layer(u).square().sum().backward()
    other = u.detach().clone().requires_grad_()
    u_hat = torch.einsum("jide,bie->bjid", layer.weight.detach(), other)
    b = torch.zeros(1, 3, 4)
    for _ in range(2):
        v = squash((b.softmax(1)[..., None] * u_hat.detach()).sum(2))
        b = b + (u_hat.detach() * v[:, :, None]).sum(3)
    squash((b.softmax(1)[..., None] * u_hat).sum(2)).square().sum().backward()
    torch.testing.assert_close(u.grad, other.grad)


def test_primary_capsules_take_their_numbers_from_neighbouring_channels_of_one_place() -> None:
    layer = PrimaryCapsules(3, types=4, size=2, kernel_size=3)
    x = torch.randn(2, 3, 7, 9)
    maps = layer.convolution(x)
    assert maps.shape == (2, 8, 3, 4)
    capsules = layer(x)
    assert capsules.shape == (2, 48, 2)
    for row, column, kind in ((0, 0, 0), (2, 3, 1), (1, 2, 3)):
        wanted = squash(maps[:, 2 * kind : 2 * kind + 2, row, column])
        torch.testing.assert_close(capsules[:, (row * 4 + column) * 4 + kind], wanted)


# --- the whole -----------------------------------------------------------------------------------


def test_the_layers_are_as_large_as_the_paper_s() -> None:
    told = recognizers.describe("capsulenet", 3)
    resnet18_to_layer3 = 2_782_784
    convolution = 256 * 256 * 81 + 256
    routing = 3 * (32 * 6 * 6) * 16 * 8
    assert told.parameters == resnet18_to_layer3 + 2 * convolution + routing
    assert told.inputs["apex"].shape == (5, 3, 224, 224)


def test_the_trunk_has_no_pooling() -> None:
    """A stride of 2 in the first convolution and in layers 2 and 3."""
    model = tiny().eval()
    with torch.no_grad():
        assert model.trunk(torch.rand(1, 3, 64, 48)).shape == (1, 256, 8, 6)


def test_softmax_of_the_logits_are_the_lengths_as_shares() -> None:
    model = tiny(4).eval()
    output = model(apex=torch.rand(2, 3, 40, 40))
    lengths = output.extras["lengths"]
    assert output.features.shape == (2, 4 * 16)
    torch.testing.assert_close(output.features.unflatten(1, (4, 16)).norm(dim=2), lengths)
    torch.testing.assert_close(output.logits.softmax(1), lengths / lengths.sum(1, keepdim=True))
    assert ((lengths > 0) & (lengths < 1)).all()


def test_training_draws_any_of_the_frames_and_answers_are_about_the_apex() -> None:
    model = tiny(training_frames=5)
    spec = model.inputs["apex"]
    assert (spec.made_of, spec.shape) == ("near_apex", (5, 3, 40, 40))
    seen: list[Tensor] = []

    class Drawn(Exception):
        """Code after it does not matter."""

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0])
        raise Drawn

    model.trunk.register_forward_pre_hook(look)
    frames = torch.rand(200, 5, 1, 1, 1).expand(-1, -1, 3, 40, 40)
    with pytest.raises(Drawn):
        model(apex=frames)
    which = (seen[-1][:, None] == frames).all(dim=(2, 3, 4))
    assert (which.sum(1) == 1).all()
    assert (which.sum(0) > 20).all()
    with pytest.raises(Drawn):
        model.eval()(apex=frames)
    assert torch.equal(seen[-1], frames[:, 0])
    assert tiny(training_frames=1).inputs["apex"].made_of == "apex"


def test_changes_since_the_onset_are_read_where_asked_for() -> None:
    model = tiny(training_frames=5, subtract_onset=True)
    told = {name: (spec.made_of, spec.shape) for name, spec in model.inputs.items()}
    assert told == {"onset": ("onset", (3, 40, 40)), "apex": ("near_apex", (5, 3, 40, 40))}
    seen: list[Tensor] = []
    model.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    onset, apex = torch.rand(2, 3, 40, 40), torch.rand(2, 5, 3, 40, 40)
    with torch.no_grad():
        model(onset=onset, apex=apex)
        model.eval()(onset=onset, apex=apex)
    for sample in range(2):
        assert any(torch.equal(seen[0][sample], frame - onset[sample]) for frame in apex[sample])
    assert torch.equal(seen[1], apex[:, 0] - onset)
    with pytest.raises(ValueError, match="inputs are onset, apex; got apex"):
        model(apex=apex)


def test_margin_loss_by_hand() -> None:
    lengths = torch.tensor([[0.7, 0.2, 0.005], [0.995, 0.4, 0.0]])
    output = Output(lengths.log(), torch.zeros(2, 1), {"lengths": lengths})
    first = 0.5 * (0.7 - 0.01) ** 2 + (0.99 - 0.2) ** 2 + 0
    second = 0 + 0.5 * (0.4 - 0.01) ** 2 + 0
    loss = tiny().loss(output, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx((first + second) / 2)
    with pytest.raises(ValueError, match=r"the loss of \w+ needs nothing; got aus"):
        tiny().loss(output, torch.tensor([1, 0]), aus=torch.zeros(2))


@pytest.mark.slow
def test_a_handful_of_phantom_apexes_is_memorised() -> None:
    apex = phantom_clips(40, 3)[:, 1]
    model = tiny()
    assert memorise(model, {"apex": apex}, steps=50, lr=1e-3, lead=0.3) == LABELS.tolist()


def test_the_smallest_frame_leaves_one_place() -> None:
    assert tiny(image_size=33).capsules.weight.shape == (3, 32, 16, 8)


def test_imagenet_weights_are_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"ImageNet weights of resnet18: .*weights=none"):
        tiny(weights="imagenet")


# --- published weights ---------------------------------------------------------------------------


def published_weights(num_classes: int = 3) -> dict[str, Tensor]:
    """Random tensors by the names and shapes of the authors' modules."""
    generator = torch.Generator().manual_seed(1)
    weights: dict[str, Tensor] = {}

    def norm(name: str, width: int) -> None:
        for part in ("weight", "running_var"):
            weights[f"{name}.{part}"] = torch.rand(width, generator=generator) + 0.5
        for part in ("bias", "running_mean"):
            weights[f"{name}.{part}"] = 0.1 * torch.randn(width, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def convolution(name: str, *shape: int, bias: bool = False) -> None:
        scale = math.sqrt(2 / math.prod(shape[1:]))
        weights[f"{name}.weight"] = scale * torch.randn(*shape, generator=generator)
        if bias:
            weights[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)

    convolution("conv.model.conv1", 64, 3, 7, 7)
    norm("conv.model.bn1", 64)
    for layer, (inputs, outputs) in enumerate([(64, 64), (64, 128), (128, 256)], start=1):
        for block in (0, 1):
            name = f"conv.model.layer{layer}.{block}"
            convolution(f"{name}.conv1", outputs, outputs if block else inputs, 3, 3)
            norm(f"{name}.bn1", outputs)
            convolution(f"{name}.conv2", outputs, outputs, 3, 3)
            norm(f"{name}.bn2", outputs)
            if layer > 1 and not block:
                convolution(f"{name}.downsample.0", outputs, inputs, 1, 1)
                norm(f"{name}.downsample.1", outputs)
    convolution("conv1", 256, 256, 9, 9, bias=True)
    convolution("primarycaps.conv2d", 256, 256, 9, 9, bias=True)
    shape = (num_classes, 1152, 16, 8)
    weights["digitcaps.weight"] = 0.05 * torch.randn(*shape, generator=generator)
    return weights


def published_forward(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """The lengths of the class capsules, straight from the authors' names."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, p[f"{name}.weight"], p[f"{name}.bias"])

    x = F.conv2d(x, p["conv.model.conv1.weight"], stride=2, padding=3)
    x = norm("conv.model.bn1", x).relu()
    for layer in (1, 2, 3):
        for block in (0, 1):
            name, stride = f"conv.model.layer{layer}.{block}", 2 if layer > 1 and not block else 1
            y = F.conv2d(x, p[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(norm(f"{name}.bn1", y).relu(), p[f"{name}.conv2.weight"], padding=1)
            if f"{name}.downsample.0.weight" in p:
                x = F.conv2d(x, p[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(f"{name}.downsample.1", x)
            x = (x + norm(f"{name}.bn2", y)).relu()
    x = F.conv2d(x, p["conv1.weight"], p["conv1.bias"]).relu()
    x = F.conv2d(x, p["primarycaps.conv2d.weight"], p["primarycaps.conv2d.bias"], stride=2)
    u = squash(x.permute(0, 2, 3, 1).reshape(len(x), 1152, 8))
    u_hat = (p["digitcaps.weight"] @ u[:, None, :, :, None])[..., 0]  # (B, C, 1152, 16)
    b = torch.zeros(u_hat.shape[:3])
    for _ in range(3):
        v = squash((b.softmax(1)[..., None] * u_hat).sum(2))
        b = b + (u_hat * v[:, :, None]).sum(3)
    return v.norm(dim=2)


def test_published_weights_compute_what_their_names_say(tmp_path: Path) -> None:
    weights = published_weights(5)
    torch.save({"model": weights}, tmp_path / "model_state.pt")
    model = load_published("capsulenet", tmp_path / "model_state.pt", 5).eval()
    apex = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        lengths = model(apex=apex).extras["lengths"]
        wanted = published_forward(weights, apex)
    assert wanted.std() > 0.01
    torch.testing.assert_close(lengths, wanted, atol=1e-4, rtol=1e-3)


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(
        PublishedError, match=r"shape \(1\): digitcaps.weight is \(5, 1152, 16, 8\) instead of"
    ):
        load_published("capsulenet", published_weights(5), 3)
    lacking = published_weights()
    del lacking["conv.model.layer2.0.downsample.0.weight"]
    with pytest.raises(PublishedError, match=r"missing \(1\): conv.model.layer2.0.downsample.0.w"):
        load_published("capsulenet", lacking, 3)
    with pytest.raises(PublishedError, match=r"unknown \(1\): conv.model.layer4.0.conv1.weight"):
        load_published(
            "capsulenet",
            {**published_weights(), "conv.model.layer4.0.conv1.weight": torch.ones(1)},
            3,
        )
