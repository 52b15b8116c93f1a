"""NMER against loops over its equations."""

from __future__ import annotations

import math
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.motion.flow import farneback
from mersynth.motion.flow_images import flow_to_hsv, hsv_to_rgb
from recognizers.models import create_model, describe, load_published
from recognizers.models.nmer import NMER, ReverseGradient
from tests.recognizers.models.handful import DOMAIN, LABELS, made, memorise, phantom_clips

SIZE = 64


def small(**options: Any) -> NMER:
    model = made("nmer", image_size=SIZE, **options)
    assert isinstance(model, NMER)
    return model


def pictures(count: int = 6) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_sizes_are_those_of_the_parts() -> None:
    from torchvision.models import resnet18

    trunk = sum(p.numel() for p in resnet18().parameters()) - (512 * 1000 + 1000)
    parts = 2 * (512 * 64 + 64) + 2 * (64 * 3 + 3) + (128 * 3 + 3)
    wanted = {
        "paper": (128 * 64 + 64) + (64 + 1),
        "published": (128 * 64 + 64) + (64 * 32 + 32) + (32 + 1),
    }
    for discriminator, of_it in wanted.items():
        told = describe("nmer", discriminator=discriminator)
        assert told.parameters == trunk + parts + of_it
    assert describe("nmer", adversarial=False).parameters == trunk + parts

    model = create_model("nmer", 5).eval()
    output = model(flow=torch.rand(1, 3, 224, 224))
    assert output.logits.shape == output.extras["top_logits"].shape == (1, 5)
    assert output.features.shape == (1, 128)
    assert output.extras["domain_logits"].shape == (1,)


@torch.no_grad()
def test_each_half_is_pooled_separately_and_all_three_have_logits() -> None:
    model = create_model("nmer", 3).eval()
    image = torch.rand(2, 3, 224, 224)
    output = model(flow=image)
    rows = model.trunk(2 * image - 1)
    assert rows.shape == (2, 512, 7, 7)
    halves = {"top": rows[:, :, :3], "bottom": rows[:, :, 3:]}
    reduced = []
    for name, half in halves.items():
        mean = torch.stack([half[b].reshape(512, -1).mean(1) for b in range(2)])
        linear = model.reduce[name][0]
        reduced.append(torch.tanh(mean @ linear.weight.T + linear.bias))
        assert_close(output.extras[f"{name}_logits"], model.classifiers[name](reduced[-1]))
    assert_close(output.features, torch.cat(reduced, 1))
    assert_close(output.logits, model.classifiers["joined"](torch.cat(reduced, 1)))


def test_the_loss_is_the_sum_of_the_means() -> None:
    model = small()
    model(flow=pictures())  # so that there is a gradient to reverse
    output = model(flow=pictures())
    losses = model.losses(output, LABELS, domain=DOMAIN)
    expected = {}
    for name, logits in (
        ("top", output.extras["top_logits"]),
        ("bottom", output.extras["bottom_logits"]),
        ("joined", output.logits),
    ):
        p = logits.detach().double().exp()
        p = p / p.sum(1, keepdim=True)
        expected[name] = -sum(math.log(p[i, y]) for i, y in enumerate(LABELS.tolist())) / 6
    p_macro = 1 / (1 + (-output.extras["domain_logits"].detach().double()).exp())
    told = [p if d else 1 - p for p, d in zip(p_macro.tolist(), DOMAIN.tolist(), strict=True)]
    expected["domain"] = -sum(math.log(p) for p in told) / 6
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(sum(expected.values()), rel=1e-5)
    assert model.loss(output, LABELS, domain=DOMAIN).item() == losses["loss"].item()

    without = small(adversarial=False)
    output = without(flow=pictures())
    losses = without.losses(output, LABELS)
    assert set(losses) == {"loss", "top", "bottom", "joined"}
    assert without.loss(output, LABELS, domain=DOMAIN).item() == losses["loss"].item()
    assert "domain_logits" not in output.extras


def test_the_gradient_comes_back_reversed() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(3, 4)
    reversed_x = ReverseGradient.apply(x, torch.tensor(0.3))
    assert torch.equal(reversed_x, x)
    (reversed_x * weight).sum().backward()
    assert_close(x.grad, -0.3 * weight)


def test_the_discriminator_learns_and_the_features_unlearn() -> None:
    model = small().eval()  # without dropout
    model.iterations.fill_(2500)
    output = model(flow=pictures())
    model.losses(output, LABELS, domain=DOMAIN)["domain"].backward()
    assert model.discriminator is not None
    got = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    assert {n.split(".")[0] for n in got} == {"trunk", "reduce", "discriminator"}

    model.zero_grad()
    features = model(flow=pictures()).features
    told = model.discriminator(features)[:, 0]
    F.binary_cross_entropy_with_logits(told, DOMAIN.float()).backward()
    reversal = 2 / (1 + math.exp(-10 * 2500 / 10_000)) - 1
    for name, parameter in model.named_parameters():
        if name in got:
            sign = 1 if name.startswith("discriminator") else -reversal
            assert parameter.grad is not None
            assert_close(got[name], sign * parameter.grad, rtol=1e-3, atol=1e-6)


def test_the_reversal_grows_with_the_iterations_of_training_alone() -> None:
    model = small(ramp=100)
    assert model.reversal.item() == 0
    for _ in range(3):
        model(flow=pictures(2))
    model.eval()(flow=pictures(2))
    assert model.iterations.item() == 3
    assert model.reversal.item() == pytest.approx(2 / (1 + math.exp(-0.3)) - 1)
    other = small(ramp=100)
    other.load_state_dict(model.state_dict())  # a run that is resumed goes on from there
    assert other.reversal == model.reversal
    model.iterations.fill_(1000)
    assert model.reversal.item() == pytest.approx(1)


@pytest.mark.parametrize("domain", [None, DOMAIN[:5], DOMAIN + 1, DOMAIN / 2])
def test_an_adversary_needs_the_domains(domain: Tensor | None) -> None:
    model = small()
    output = model(flow=pictures())
    targets = {} if domain is None else {"domain": domain}
    with pytest.raises(ValueError, match=r"0 \(micro\) or 1 \(macro\) for each of the 6 samples"):
        model.loss(output, LABELS, **targets)


def test_domains_become_alike() -> None:
    """Features in which domains differ: without the adversary they stay apart."""
    apart = {}
    for reversal in (0.0, 1.0):
        torch.manual_seed(2)
        domain = torch.arange(64) % 2
        x = torch.randn(64, 8)
        x[:, 0] += 4 * domain  # of one domain and the other
        layer = nn.Linear(8, 4)
        told = nn.Linear(4, 1)
        optimizer = torch.optim.SGD([*layer.parameters(), *told.parameters()], lr=0.1)
        for _ in range(300):
            features = layer(x)
            logits = told(ReverseGradient.apply(features, torch.tensor(reversal)))[:, 0]
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(logits, domain.float()).backward()
            optimizer.step()
        means = [layer(x[domain == d]).mean(0) for d in (0, 1)]
        apart[reversal] = (means[0] - means[1]).norm().item()
    assert apart[1.0] < 0.5 * apart[0.0]


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    clips = phantom_clips(SIZE, 3)
    onset, apex = clips[:, 0], clips[:, 1]
    flow = hsv_to_rgb(flow_to_hsv(farneback(onset, apex), apex))
    told = memorise(small(), {"flow": flow}, steps=50, lr=1e-3, domain=DOMAIN)
    assert told == LABELS.tolist()


def test_the_trunk_starts_from_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(ValueError, match=r"ImageNet weights of resnet18: .*weights=none"):
        create_model("nmer", 3, weights="imagenet")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    given = resnet18().state_dict()
    torch.save(given, folder / "resnet18-f37072fd.pth")
    own = create_model("nmer", 3, weights="imagenet").state_dict()
    trunk = {n.removeprefix("trunk."): t for n, t in own.items() if n.startswith("trunk.")}
    assert set(given) - set(trunk) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, given[name]) for name, tensor in trunk.items())


def test_there_are_no_published_weights() -> None:
    with pytest.raises(ValueError, match="'nmer' has no published weights"):
        load_published("nmer", {}, 3)
