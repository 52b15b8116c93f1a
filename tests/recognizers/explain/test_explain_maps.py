"""Maps of models: AU-CAM against its equations, Grad-CAM against closed forms, true motion."""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from recognizers.explain import (
    CamLayer,
    apex_flow,
    attention_maps,
    au_cam,
    cam_layers,
    grad_cam,
    mass_inside,
    moving_region,
)
from recognizers.models import create_model, list_models
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.dual_branch import DualBranch
from tests.recognizers.models.handful import model_config


def dual(**options: object) -> DualBranch:
    return copy.deepcopy(_dual(tuple(options.items())))


@functools.cache
def _dual(options: tuple[tuple[str, object], ...]) -> DualBranch:
    torch.manual_seed(0)
    model = create_model("dual_branch", 3, **{"image_size": 96, **dict(options)})
    assert isinstance(model, DualBranch)
    for module in model.modules():  # statistics as after a training, which reveal mistakes
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.double().eval()


def pictures(count: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, size, size, generator=generator, dtype=torch.float64)


# --- AU-CAM ---------------------------------------------------------------------------------------


@torch.no_grad()
def slow_au_cam(model: DualBranch, image: Tensor) -> np.ndarray:
    """Eq. 12-13 for one image, its derivatives by differences."""
    height, width = image.shape[-2:]
    cuts = {
        "face": slice(0, height),
        "eyes": slice(0, height // 2),
        "mouth": slice(height // 2, height),
    }
    a = {}
    for region in model.regions:
        x = ((image[None] - model.mean) / model.std)[:, :, cuts[region]]
        for layer in (*model.base, *list(model.branches[region])[:3]):
            x = layer(x)
        a[region] = x[0]
    means = {region: x.mean((1, 2)) for region, x in a.items()}

    def joined(own: dict[str, Tensor]) -> Tensor:
        return torch.cat([own[r] / own[r].norm(dim=-1, keepdim=True) for r in model.regions], -1)

    weight = model.awm.layers(joined(means)) if model.awm is not None else torch.ones(())
    parts = []
    for number, region in enumerate(model.regions):
        places = a[region][0].numel()
        step = 1e-6
        # A channel that rises by step everywhere raises its mean by as much.
        moved = torch.eye(512, dtype=torch.float64) * step

        def largest(means_of: Tensor, region: str = region, number: int = number) -> Tensor:
            own = {r: means_of if r == region else means[r].expand(512, -1) for r in model.regions}
            x_w = joined(own) * weight
            return x_w[:, 512 * number : 512 * number + 512].amax(1)

        slope = (largest(means[region] + moved) - largest(means[region] - moved)) / (2 * step)
        alpha = slope / places  # the sum over places of the gradient is the slope
        c = (alpha[:, None, None] * a[region]).sum(0).clamp(min=0).numpy()
        rows = cuts[region].stop - cuts[region].start
        parts.append(cv2.resize(c, (width, rows), interpolation=cv2.INTER_LINEAR))
    return np.concatenate(parts)


@pytest.mark.parametrize(
    "options",
    [{}, {"awm": False}, {"branches": "single", "awm": False}, {"image_size": 97}],
    ids=["awm", "no awm", "single", "odd rows"],
)
def test_au_cam_is_what_its_equations_say(options: dict[str, object]) -> None:
    model = dual(**options)
    image = pictures(2, model.inputs["image"].size[0])
    found = au_cam(model, image)
    for i in range(2):
        expected = slow_au_cam(model, image[i])
        assert expected.max() > 0
        np.testing.assert_allclose(
            found[i].numpy(), expected, rtol=1e-3, atol=1e-5 * expected.max()
        )


def test_au_cam_needs_no_gradient_of_parameters_and_leaves_none() -> None:
    model = dual()
    image = pictures(1, 96)
    free = au_cam(model, image)
    assert all(p.grad is None for p in model.parameters())
    model.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(au_cam(model, image), free)
    with pytest.raises(ValueError, match="eval"):
        au_cam(model.train(), image)


class Brightness(nn.Module):
    """A branch's last layer whose first channel is the first channel of the image."""

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.full((len(x), 512, *x.shape[2:]), 0.01, dtype=x.dtype)
        maps[:, 0] = x[:, 0]
        return maps


def test_au_cam_shines_where_the_features_come_from() -> None:
    model = create_model("dual_branch", 3, awm=False, image_size=96).eval()
    model.mean.zero_()
    model.std.fill_(1)
    model.base = nn.AvgPool2d(4)
    for region in model.regions:
        layers = OrderedDict(
            layer4=Brightness(), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
        )
        model.branches[region] = nn.Sequential(layers)
    truth = np.zeros((96, 96), bool)
    truth[16:32, 60:80] = truth[70:86, 8:32] = True
    heat = au_cam(model, torch.from_numpy(truth).float().expand(1, 3, -1, -1))[0].numpy()
    assert mass_inside(heat, cv2.dilate(truth.astype(np.uint8), np.ones((9, 9))) > 0) > 0.99
    assert mass_inside(heat, truth) > 0.75  # bilinear edges spill over


# --- Grad-CAM -------------------------------------------------------------------------------------


class Signs(Recognizer):
    """Classifies bright and dark images by the means of two maps, one per class."""

    paper = "none"
    cam_layers = ("maps",)

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__(num_classes)
        self.inputs = {"image": InputSpec("apex", ("grey",), (32, 32), range=None)}
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        self.maps = nn.Sequential(self.conv, nn.ReLU())

    def forward(self, *, image: Tensor) -> Output:
        logits = self.maps(image).mean((2, 3))
        return Output(logits, logits)


def test_grad_cam_shines_where_the_evidence_of_a_class_lies() -> None:
    model = Signs().eval()
    image = torch.zeros(2, 1, 32, 32)
    image[:, :, 4:12, 4:12], image[:, :, 20:28, 16:28] = 1, -2
    layers = cam_layers("signs", model)
    heat = grad_cam(model, {"image": image}, torch.tensor([0, 1]), layers).numpy()
    bright, dark = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
    bright[4:12, 4:12] = dark[20:28, 16:28] = True
    assert mass_inside(heat[0], bright) == 1 == mass_inside(heat[1], dark)
    assert all(p.grad is None for p in model.parameters())


def test_grad_cam_of_resnet18_is_the_classifiers_sum_of_maps() -> None:
    torch.manual_seed(0)
    config = model_config("resnet18_tiny")
    model = create_model("resnet18", 3, **config["options"]).eval()
    ((name, spec),) = model.inputs.items()
    image = torch.rand(2, *spec.shape)
    trunk = model.trunk
    with torch.no_grad():
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1((image - model.mean) / model.std))))
        a = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(x))))
        # The pooled maps are read by one linear layer: the gradient is its weights, over places.
        weights = model.classifier.weight[[2, 0]] / a[0, 0].numel()
        expected = torch.einsum("bk,bkhw->bhw", weights, a)[:, None]
        expected = F.interpolate(expected, spec.size, mode="bilinear")[:, 0].relu()
    layers = cam_layers("resnet18", model)
    found = grad_cam(model, {name: image}, torch.tensor([2, 0]), layers)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_grad_cam_of_the_dual_branch_fills_each_half_by_its_branch() -> None:
    model = dual().float()
    layers = cam_layers("dual_branch", model)
    assert [(x.name, x.region) for x in layers] == [
        ("branches.eyes.layer4", "eyes"),
        ("branches.mouth.layer4", "mouth"),
    ]
    image = pictures(1, 96).float()
    other = image.clone()
    other[:, :, 48:] = 0.3  # another mouth
    one, two = (grad_cam(model, {"image": x}, torch.tensor([1]), layers) for x in (image, other))
    assert not torch.allclose(one[:, 48:], two[:, 48:])
    assert float(one[:, :48].sum()) > 0
    only = [CamLayer("branches.eyes.layer4", "eyes")]
    eyes = grad_cam(model, {"image": image}, torch.tensor([1]), only)
    torch.testing.assert_close(eyes[:, :48], one[:, :48])
    assert float(eyes[:, 48:].abs().max()) == 0


@pytest.mark.parametrize("name", list_models())
def test_every_system_has_grad_cam_or_says_why_not(name: str) -> None:
    torch.manual_seed(0)
    config = model_config(f"{name}_tiny")
    model = create_model(config["name"], 3, **config["options"]).eval()
    if model.fits_directly or name == "elrcn":
        reason = "does not learn by gradients" if model.fits_directly else "has no layer with a map"
        with pytest.raises(ValueError, match=reason):
            cam_layers(name, model)
        return
    inputs = {
        key: torch.rand(1, *spec.shape).repeat(3, *[1] * len(spec.shape))
        for key, spec in model.inputs.items()
    }
    maps = grad_cam(model, inputs, torch.arange(3), cam_layers(name, model))
    assert maps.shape == (3, *next(iter(model.inputs.values())).size)
    assert bool(maps.isfinite().all())
    assert float(maps.min()) >= 0
    assert float(maps.max()) > 0  # of some class: that a map is empty may be right, not all of them


def test_a_layer_that_options_have_left_out_is_named() -> None:
    config = model_config("frl_dgt_no_face_fusion")
    tiny = model_config("frl_dgt_tiny")["options"]
    model = create_model("frl_dgt", 3, **{**tiny, "face_fusion": config["options"]["face_fusion"]})
    with pytest.raises(ValueError, match=r"no layer fusion\.embed_face\.0 with these options"):
        cam_layers("frl_dgt", model)


# --- attention ------------------------------------------------------------------------------------


def output_of(name: str) -> Output:
    torch.manual_seed(0)
    config = model_config(f"{name}_tiny")
    model = create_model(config["name"], 3, **config["options"]).eval()
    with torch.no_grad():
        return model(**{key: torch.rand(2, *spec.shape) for key, spec in model.inputs.items()})


def test_attention_of_mmnet_is_that_of_its_blocks() -> None:
    output = output_of("mmnet")
    maps = attention_maps(output)
    assert list(maps) == [f"attention_{i}" for i in range(1, 5)]
    for name, heat in maps.items():
        torch.testing.assert_close(heat, output.extras[name][:, 0])


@pytest.mark.parametrize("name", ["frl_dgt", "frl_dgt_s"])
def test_attention_of_frl_dgt_shares_the_face_out(name: str) -> None:
    output = output_of(name)
    (heat,) = attention_maps(output).values()
    weights = output.extras["face_weights"]
    side = round(weights.shape[-1] ** 0.5)
    assert heat.shape == (2, side, side)
    torch.testing.assert_close(heat.sum((1, 2)), torch.ones(2))
    patch = weights.reshape(2, -1, side, side)[1, :, 2, 0].mean()
    torch.testing.assert_close(heat[1, 2, 0], patch)


def test_other_models_have_no_attention_map() -> None:
    assert not attention_maps(output_of("resnet18"))


# --- the truth ------------------------------------------------------------------------------------


def test_mass_inside_is_a_share() -> None:
    region = np.zeros((4, 5), bool)
    region[1:3, 2:4] = True
    assert mass_inside(np.ones((4, 5)), region) == pytest.approx(4 / 20)
    heat = np.zeros((4, 5))
    heat[1, 2], heat[0, 0] = 3, 1
    assert mass_inside(heat, region) == pytest.approx(0.75)
    assert np.isnan(mass_inside(0 * heat, region))
    with pytest.raises(ValueError, match="alike"):
        mass_inside(heat.T, region)
    with pytest.raises(ValueError, match="0 or more"):
        mass_inside(-heat, region)


def test_the_moving_region_is_where_flow_is_long() -> None:
    flow = np.zeros((2, 3, 3))
    flow[:, 0, 0], flow[0, 1, 1], flow[1, 2, 2] = (3, 4), 2, -1
    expected = np.zeros((3, 3), bool)
    expected[0, 0] = expected[1, 1] = True
    np.testing.assert_array_equal(moving_region(flow, 0.25), expected)
    assert moving_region(flow, 0.1)[2, 2]
    assert not moving_region(0 * flow).any()
    with pytest.raises(ValueError, match="threshold"):
        moving_region(flow, 1.0)


def test_the_true_flow_is_that_of_the_rendered_clip() -> None:
    for spec in clip_specs(
        subjects=1, counts={"happiness": 1, "surprise": 1}, strength="macro", fps=20
    ):
        flow = apex_flow(spec, 64)
        region = moving_region(flow)
        raised = spec.clip.emotion == "surprise"
        assert (region[:32].sum() > region[32:].sum()) == raised
        if raised:
            continue
        _, intensities, _ = render_clip(spec, 64)
        aus = torch.zeros(2, len(CONDITION_AUS), 2)
        aus[1] = torch.from_numpy(intensities[spec.clip.apex_index])
        aus[:, CONDITION_AUS.index(43)] = 0  # it may be a blink
        renderer = PhantomRenderer(PhantomSubject.sample(spec.subject), 64)
        other = renderer.render(aus, flow=True).flow[1].numpy()
        assert np.corrcoef(flow.ravel(), other.ravel())[0, 1] > 0.95  # but for the head's pose
        assert 0.95 < np.hypot(*flow).max() / np.hypot(*other).max() < 1.05
