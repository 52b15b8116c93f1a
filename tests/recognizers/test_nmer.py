"""NMER against loops over its equations, and its flow images against OpenCV's."""

from __future__ import annotations

import math
import urllib.error
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

import mersynth.augment
from mersynth.augment import apex_motion
from mersynth.dataset import to_float
from mersynth.features import load_feature
from mersynth.motion.flow import farneback
from mersynth.motion.flow_images import flow_to_hsv, hsv_to_rgb
from mersynth.sources.phantom.population import clip_specs, render_clip
from mersynth.store import ClipStore
from mersynth.store_writer import StoreWriter
from recognizers.input_kinds.flow_rgb import TARGET_MOTION
from recognizers.inputs import build_inputs
from recognizers.models import InputSpec, create_model, describe, load_published
from recognizers.models.nmer import NMER, ReverseGradient
from tests.recognizers.handful import (
    LABELS,
    learn_by_heart,
    model_config,
    model_configs,
    phantom_clips,
    without_gradient,
)

SIZE = 64
DOMAIN = torch.tensor([0, 0, 0, 1, 1, 1])
TABLE_1 = {
    "nmer": {"adversarial": True, "emr": True, "discriminator": "paper"},
    "nmer_part_emr": {"adversarial": False, "emr": True, "discriminator": "paper"},
    "nmer_published": {"adversarial": True, "emr": True, "discriminator": "published"},
}


def small(**options: Any) -> NMER:
    torch.manual_seed(0)
    model = create_model("nmer", 3, image_size=SIZE, **options)
    assert isinstance(model, NMER)
    return model


def pictures(count: int = 6) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


# --- the network ---------------------------------------------------------------------------------


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
def test_each_half_is_pooled_by_itself_and_all_three_are_told() -> None:
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
    model(flow=pictures())  # so that there is something to reverse with
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


# --- the adversary -------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match=r"0 \(micro\) or 1 \(macro\) of each of the 6 samples"):
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


# --- flow images ---------------------------------------------------------------------------------


def write(path: Path, strength: Any, still: int | None = None) -> ClipStore:
    """Phantom clips of one strength; the apex of ``still`` is said to be its onset."""
    counts = {"anger": 1, "happiness": 1, "surprise": 1}
    specs = clip_specs(subjects=2, counts=counts, strength=strength, fps=25, max_frames=14)
    clips = [
        replace(s.clip, apex=s.clip.onset) if i == still else s.clip for i, s in enumerate(specs)
    ]
    header = {"source": "phantom", "licence": "none"}
    with StoreWriter(path, clips, SIZE, header) as writer:
        for spec in specs:
            writer.add(*render_clip(spec, SIZE))
        return writer.finish()


@pytest.fixture(scope="module", name="stores")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipStore]:
    path = tmp_path_factory.mktemp("stores")
    return {
        "micro": write(path / "micro", "micro"),
        "macro": write(path / "macro", "macro"),
    }


def spec(made_of: str) -> dict[str, InputSpec]:
    return {"flow": InputSpec(made_of, ("red", "green", "blue"), (SIZE, SIZE))}


def frame(store: ClipStore, clip: int, place: int) -> np.ndarray:
    return np.ascontiguousarray(store[clip].frames[place])


def opencv_flow_rgb(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """NMER's flow image by OpenCV alone, (3, H, W) in [0, 1]."""
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (onset, apex)]
    flow = cv2.calcOpticalFlowFarneback(grey[0], grey[1], None, 0.5, 1, 15, 2, 5, 1.1, 0)  # type: ignore[call-overload]
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    hsv = np.empty((*length.shape, 3), np.float32)
    hsv[..., 0] = angle
    hsv[..., 1] = cv2.cvtColor(apex.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[..., 1]
    hsv[..., 2] = (length - length.min()) / (length.max() - length.min())
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).transpose(2, 0, 1)


def agree(image: Tensor, wanted: np.ndarray) -> bool:
    """But for single pixels, whose flow rounding changes."""
    return bool((image - torch.from_numpy(wanted)).abs().gt(0.02).float().mean() < 0.01)


def test_a_flow_image_is_opencv_s(stores: dict[str, ClipStore]) -> None:
    store = stores["micro"]
    data = build_inputs(store, spec("flow_rgb"), "three")
    rows = [store.clips.index(clip) for clip in data.clips]
    for image, row in zip(data.inputs["flow"], rows, strict=True):
        apex = store.clips[row].apex_index
        assert apex is not None
        assert agree(image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, apex)))
    assert_close(
        data.inputs["flow"], hsv_to_rgb(torch.from_numpy(load_feature(store, "flow_hsv")[rows]))
    )


def test_a_resized_flow_image_has_no_hue_that_nothing_moved_in(
    stores: dict[str, ClipStore],
) -> None:
    """Averages of RGB, not of angles: a pixel between two colours is a mixture of both."""
    specs = {"flow": replace(spec("flow_rgb")["flow"], size=(SIZE // 2, SIZE // 2))}
    shrunk = build_inputs(stores["micro"], specs, "three").inputs["flow"]
    whole = build_inputs(stores["micro"], spec("flow_rgb"), "three").inputs["flow"]
    assert_close(shrunk, F.avg_pool2d(whole, 2))


def test_macro_expressions_are_reduced_to_the_frame_halfway(
    stores: dict[str, ClipStore],
) -> None:
    store = stores["macro"]
    data = build_inputs(store, spec("emr_flow_rgb"), "three")
    for image, clip in zip(data.inputs["flow"], data.clips, strict=True):
        row = store.clips.index(clip)
        assert clip.apex_index is not None
        assert clip.apex_index > 2
        middle = round(clip.apex_index / 2)
        assert agree(image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, middle)))
        assert not agree(
            image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, clip.apex_index))
        )
    assert not (store.path / "features" / "flow_hsv").exists()


def test_micro_expressions_that_move_too_little_are_magnified(
    stores: dict[str, ClipStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores["micro"]
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(first: Tensor, second: Tensor) -> Tensor:
        seen.append((first, second))
        return farneback(first, second)

    monkeypatch.setattr("recognizers.input_kinds.flow_rgb.farneback", watched)
    data = build_inputs(store, spec("emr_flow_rgb"), "three")
    ((onset, apex),) = seen
    assert_close(data.inputs["flow"], hsv_to_rgb(flow_to_hsv(farneback(onset, apex), apex)))
    target = TARGET_MOTION * SIZE
    magnified = 0
    for row, clip in enumerate(data.clips):
        place = store.clips.index(clip)
        assert clip.apex_index is not None
        plain = [to_float(frame(store, place, p))[None] for p in (0, clip.apex_index)]
        before = float(apex_motion(*plain))
        after = float(apex_motion(onset[row : row + 1], apex[row : row + 1]))
        if before >= target:
            assert_close(apex[row : row + 1], plain[1])
        else:
            magnified += 1
            assert before < after
            assert after == pytest.approx(target, rel=0.2)
    assert magnified > 0


def test_a_clip_whose_apex_is_its_onset_is_left_as_it_is(tmp_path: Path) -> None:
    for strength in ("micro", "macro"):
        store = write(tmp_path / strength, strength, still=1)
        data = build_inputs(store, spec("emr_flow_rgb"), "three")
        row = [clip.apex_index for clip in data.clips].index(0)
        plain = build_inputs(store, spec("flow_rgb"), "three")
        assert_close(data.inputs["flow"][row], plain.inputs["flow"][row])
        assert len(data.clips) == 3


def test_stores_of_both_domains_train_one_model(stores: dict[str, ClipStore]) -> None:
    model = small()
    parts = {name: build_inputs(store, model.inputs, "three") for name, store in stores.items()}
    flow = torch.cat([part.inputs["flow"] for part in parts.values()])
    label = torch.cat([part.label for part in parts.values()])
    loss = model.loss(model(flow=flow), label, domain=DOMAIN)
    loss.backward()
    assert loss.isfinite()
    assert small(emr=False).inputs["flow"].made_of == "flow_rgb"


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE_1)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = small(**TABLE_1[name])
    for _ in range(2):
        output = model(flow=pictures())
    model.loss(output, LABELS, domain=DOMAIN).backward()
    assert without_gradient(model) == []


def test_a_handful_of_phantom_clips_is_learnt_by_heart() -> None:
    clips = phantom_clips(SIZE, 3)
    onset, apex = clips[:, 0], clips[:, 1]
    flow = hsv_to_rgb(flow_to_hsv(farneback(onset, apex), apex))
    model = small()
    lr = model_config("nmer_tiny")["training"]["optimizer"]["lr"]
    learn_by_heart(model, {"flow": flow}, 12, lr, domain=DOMAIN)
    with torch.no_grad():  # BatchNorm's averages are of all the steps before
        for module in model.train().modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        model(flow=flow)
    assert model.eval()(flow=flow).logits.argmax(1).tolist() == LABELS.tolist()


@pytest.mark.parametrize("name", model_configs("nmer"))
def test_a_config_is_what_its_table_says_and_trains_a_step(name: str) -> None:
    assert set(TABLE_1) == set(model_configs("nmer")) - {"nmer_tiny"}
    config = model_config(name)
    if name in TABLE_1:
        assert config["options"] == {**model_config("nmer")["options"], **TABLE_1[name]}
        assert config["options"]["weights"] == "imagenet"
        rate = config["training"]["optimizer"]["groups"]["trunk"]["lr"]
        assert rate == pytest.approx(1e-5)
    options = {**config["options"], "weights": "none"}
    options.pop("image_size")
    model = small(**options)
    flow = pictures()
    for augmentation, arguments in config["augment"].items():
        flow = getattr(mersynth.augment, augmentation)(**arguments)(flow)
    training = config["training"]["optimizer"]
    trunk = list(model.trunk.parameters())
    heads = [p for n, p in model.named_parameters() if not n.startswith("trunk.")]
    groups = [{"params": trunk, **training.pop("groups")["trunk"]}, {"params": heads}]
    optimizer = getattr(torch.optim, training.pop("name"))(groups, **training)
    schedule = config["training"]["scheduler"]
    scheduler = getattr(torch.optim.lr_scheduler, schedule.pop("name"))(optimizer, **schedule)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    model.loss(model(flow=flow), LABELS, domain=DOMAIN).backward()
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    moved = [not torch.equal(p, before[n]) for n, p in model.named_parameters()]
    assert sum(moved) > 0.9 * len(moved)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator": "deep"}, "discriminator must be one of paper, published, got 'deep'"),
        ({"weights": "vggface"}, "weights must be one of imagenet, none, got 'vggface'"),
        ({"ramp": 0}, "ramp must be 1 or more"),
        ({"image_size": 32}, "image_size 64 or more, got 10000 and 32"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("nmer", 3, **options)


def test_the_trunk_starts_from_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(ValueError, match="choose weights=none to start from random weights"):
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
