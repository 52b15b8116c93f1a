"""The dual-branch model, against loops over its equations and an independent forward pass."""

from __future__ import annotations

import itertools
import math
import urllib.error
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

import mersynth.augment
from mersynth.augment import ORDER, RegionReplacing, au_sets, class_weights
from mersynth.config import config_folder
from recognizers.models import PublishedError, create_model, load_published
from recognizers.models.dual_branch import DualBranch, input_image
from recognizers.models.dual_branch_layers import AreaWeightedModule
from recognizers.models.dual_branch_losses import au_similarity, wscl
from recognizers.models.shuffle_attention import ShuffleAttention

SIZE = 64
TABLE_4 = {
    "dual_branch_sb": {"branches": "single", "awm": False, "au_weight": 0.0, "rr": 0.5},
    "dual_branch_sb_au": {"branches": "single", "awm": False, "au_weight": 0.3, "rr": 0.5},
    "dual_branch_db": {"branches": "dual", "awm": False, "au_weight": 0.0, "rr": 0.5},
    "dual_branch_db_au": {"branches": "dual", "awm": False, "au_weight": 0.3, "rr": 0.5},
    "dual_branch_db_awm": {"branches": "dual", "awm": True, "au_weight": 0.0, "rr": 0.5},
    "dual_branch_db_no_rr": {"branches": "dual", "awm": True, "au_weight": 0.3, "rr": 0.0},
    "dual_branch": {"branches": "dual", "awm": True, "au_weight": 0.3, "rr": 0.5},
}
CELLS = ["1+2", "4+12", "R12A", "4+7", "1+2+5", "", "17", "4+7+17"]
LABELS = torch.tensor([0, 1, 1, 2, 0, 2, 1, 2])


def small(**options: Any) -> DualBranch:
    torch.manual_seed(0)
    model = create_model("dual_branch", 3, image_size=SIZE, **options)
    assert isinstance(model, DualBranch)
    return model


def stirred(model: nn.Module) -> nn.Module:
    """Attention starts with zeros and ones, of which mistakes would not show."""
    for name, parameter in model.named_parameters():
        if "attention" in name or ".bn" in name:
            nn.init.normal_(parameter, mean=0.5)
    return model


def pictures(count: int = 8) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def config(name: str) -> Any:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return OmegaConf.to_container(compose(f"model/{name}").model)


# --- shuffle attention ---------------------------------------------------------------------------


def slow_attention(x: np.ndarray, p: dict[str, np.ndarray], groups: int) -> np.ndarray:
    """A loop over samples, groups' channels and groups; parameters are (groups, C / (2 groups))."""
    b, c, _, _ = x.shape
    size, half = c // groups, c // groups // 2
    out = np.zeros_like(x)
    for n, k in itertools.product(range(b), range(half)):
        first = [x[n, g * size + k] for g in range(groups)]
        second = [x[n, g * size + half + k] for g in range(groups)]
        gates = np.array([p["cw"][g, k] * first[g].mean() + p["cb"][g, k] for g in range(groups)])
        gates = np.exp(gates) / np.exp(gates).sum()
        normed = [
            (s - s.mean()) / np.sqrt(s.var() + 1e-5) * p["nw"][k] + p["nb"][k] for s in second
        ]
        maps = np.exp([p["sw"][g, k] * normed[g] + p["sb"][g, k] for g in range(groups)])
        maps /= maps.sum(0)
        for g in range(groups):
            out[n, g * size + k] = first[g] * gates[g]
            out[n, g * size + half + k] = second[g] * maps[g]
    # Two groups dealt out in turns: the first channel of each, the second of each, ...
    order = [i for pair in zip(range(c // 2), range(c // 2, c), strict=True) for i in pair]
    return out[:, order]


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (12, 3), (8, 1)])
def test_shuffle_attention_is_the_loop_over_groups(channels: int, groups: int) -> None:
    torch.manual_seed(1)
    attention = ShuffleAttention(channels, groups)
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    parts = {
        "cw": attention.channel_weight,
        "cb": attention.channel_bias,
        "sw": attention.spatial_weight,
        "sb": attention.spatial_bias,
    }
    numbers = {name: p.detach().reshape(groups, -1).double().numpy() for name, p in parts.items()}
    numbers |= {"nw": attention.norm.weight.detach().numpy()}
    numbers |= {"nb": attention.norm.bias.detach().numpy()}
    x = torch.randn(2, channels, 5, 3)
    expected = slow_attention(x.double().numpy(), numbers, groups)
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, atol=1e-5)


def test_shuffle_attention_starts_with_equal_shares_and_says_what_it_cannot_divide() -> None:
    x = torch.randn(1, 16, 4, 4)
    shuffled = x.reshape(1, 2, 8, 4, 4).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(ShuffleAttention(16)(x), shuffled / 4)
    with pytest.raises(ValueError, match="got 20 channels and 4 groups"):
        ShuffleAttention(20)


# --- AU alignment --------------------------------------------------------------------------------


def jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


SETS = [{1, 2}, {4, 12}, {12}, {4, 7}, {1, 2, 5}, set(), {17}, {4, 7, 17}]


def test_au_similarity_is_the_share_of_common_aus() -> None:
    w = au_similarity(au_sets(CELLS))
    expected = [[jaccard(a, b) for b in SETS] for a in SETS]
    torch.testing.assert_close(w, torch.tensor(expected))
    columns = torch.tensor([[float(n in s) for n in ORDER] for s in SETS])
    torch.testing.assert_close(au_similarity(columns), w)
    unmeasured = columns.masked_fill(columns == 0, float("nan"))
    torch.testing.assert_close(au_similarity(unmeasured), w)
    with pytest.raises(ValueError, match=r"got \(8,\)"):
        au_similarity(torch.zeros(8))


def wscl_loop(x: np.ndarray, w: np.ndarray, tau: float, published: bool) -> float:
    n = len(x)
    total = 0.0
    for i in range(n):
        inner = 0.0
        for j in range(n):
            if i == j and not published:
                continue
            others = [k for k in range(n) if k != i or not published]
            below = sum(math.exp(x[i] @ x[k] / tau) for k in others)
            inner += w[i][j] * math.log(math.exp(x[i] @ x[j] / tau) / below)
        if sum(w[i]) > 0:
            total -= inner / sum(w[i])
    return total / n if published else total


@pytest.mark.parametrize("form", ["paper", "published"])
@pytest.mark.parametrize("tau", [0.1, 0.7])
def test_wscl_is_the_double_loop_of_equation_5(form: Any, tau: float) -> None:
    x = F.normalize(torch.randn(8, 6, generator=torch.Generator().manual_seed(5)), dim=1)
    w = au_similarity(au_sets(CELLS))
    expected = wscl_loop(x.double().numpy(), w.double().numpy(), tau, form == "published")
    assert wscl(x.double(), w.double(), tau, form).item() == pytest.approx(expected, rel=1e-9)
    exact = wscl(x, w, tau, form).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert wscl(x, w, tau, form).item() == exact


@pytest.mark.parametrize("form", ["paper", "published"])
def test_wscl_of_one_sample_or_of_none_with_aus_is_zero_with_a_gradient(form: Any) -> None:
    for count, cell in ((1, "1+2"), (3, "")):
        x = F.normalize(torch.randn(count, 6), dim=1).requires_grad_()
        loss = wscl(x, au_similarity(au_sets([cell] * count)), form=form)
        loss.backward()
        assert loss.item() == 0
        assert x.grad is not None
        assert x.grad.eq(0).all()


# --- the whole loss ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["paper", "published"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_equations_6_to_8(form: Any, smoothing: float) -> None:
    model = small(loss_form=form, label_smoothing=smoothing, au_weight=0.3).eval()
    output = model(image=pictures())
    w_c = class_weights(LABELS)
    assert w_c.tolist() == pytest.approx([3 / 2, 1, 1])
    losses = model.losses(output, LABELS, class_weights=w_c, au_set=au_sets(CELLS))

    l_cls = 0.0
    for region in ("eyes", "mouth"):
        log_p = output.extras[f"{region}_logits"].detach().double().softmax(1).log()
        region_loss, weight_sum = 0.0, 0.0
        for i, y in enumerate(LABELS.tolist()):
            for c in range(3):
                target = (1 - smoothing) * (c == y) + smoothing / 3
                region_loss -= float(w_c[c]) * target * float(log_p[i, c])
            weight_sum += float(w_c[y])
        l_cls += region_loss / weight_sum if form == "published" else region_loss
    x_f = output.features.detach().double().numpy()
    w = np.array([[jaccard(a, b) for b in SETS] for a in SETS])
    l_wscl = wscl_loop(x_f, w, 0.1, form == "published")

    assert losses["classification"].item() == pytest.approx(l_cls, rel=1e-4)
    assert losses["wscl"].item() == pytest.approx(l_wscl, rel=1e-4)
    assert losses["loss"].item() == pytest.approx(0.7 * l_cls + 0.3 * l_wscl, rel=1e-4)
    targets = {"class_weights": w_c, "au_set": au_sets(CELLS)}
    assert tuple(sorted(targets)) == model.targets
    assert model.loss(output, LABELS, **targets).item() == losses["loss"].item()


def test_loss_names_what_is_missing() -> None:
    model = small().eval()
    output = model(image=pictures(2))
    with pytest.raises(ValueError, match="weights of the 3 classes, got none"):
        model.loss(output, LABELS[:2], au_set=au_sets(CELLS[:2]))
    with pytest.raises(ValueError, match=r"got \(2,\)"):
        model.loss(output, LABELS[:2], class_weights=torch.ones(2))
    with pytest.raises(ValueError, match="AUs of each of the 2 samples, got none"):
        model.loss(output, LABELS[:2], class_weights=torch.ones(3))
    with pytest.raises(ValueError, match=r"got \(8, "):
        model.loss(output, LABELS[:2], class_weights=torch.ones(3), au_set=au_sets(CELLS))


# --- the network ---------------------------------------------------------------------------------


class Says(nn.Module):
    """A head that always gives the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def test_the_paper_adds_probabilities_the_published_code_logits() -> None:
    # The mouth is almost sure that it is not class 0, the eyes are surer that it is.
    eyes, mouth = (3.0, 0.0, -5.0), (-10.0, 0.1, 0.0)
    decided = {}
    for rule in ("paper", "published"):
        model = small(inference=rule).eval()
        model.heads["eyes"], model.heads["mouth"] = Says(*eyes), Says(*mouth)
        logits = model(image=pictures(2)).logits
        decided[rule] = logits.argmax(1).tolist()
        if rule == "paper":
            p = (torch.tensor(eyes).softmax(0) + torch.tensor(mouth).softmax(0)) / 2
            torch.testing.assert_close(logits.softmax(1), p.expand(2, 3))
        else:
            torch.testing.assert_close(logits[0], torch.tensor([-7.0, 0.1, -5.0]))
    assert decided == {"paper": [0, 0], "published": [1, 1]}


def test_each_branch_sees_its_half() -> None:
    model = small(awm=False).eval()
    image = pictures(2)
    before = model(image=image).extras
    for half, other, rows in (
        ("mouth", "eyes", slice(SIZE // 2, SIZE)),
        ("eyes", "mouth", slice(0, SIZE // 2)),
    ):
        changed = image.clone()
        changed[:, :, rows] = 1 - changed[:, :, rows]
        after = model(image=changed).extras
        assert torch.equal(after[f"{other}_logits"], before[f"{other}_logits"])
        assert not torch.allclose(after[f"{half}_logits"], before[f"{half}_logits"])


def test_features_and_their_weights() -> None:
    model = small()
    output = model(image=pictures())
    assert output.logits.shape == (8, 3)
    assert output.features.shape == (8, 1024)
    torch.testing.assert_close(output.features.norm(dim=1), torch.ones(8))
    weight = output.extras["area_weight"]
    assert weight.shape == (8, 1024)
    assert weight.gt(0).all()
    assert weight.lt(1).all()
    joined = torch.cat([output.extras["eyes_weighted"], output.extras["mouth_weighted"]], 1)
    torch.testing.assert_close(F.normalize(joined, dim=1), output.features)
    for part in (joined / weight).split(512, dim=1):  # X_eyes and X_mouth
        torch.testing.assert_close(part.norm(dim=1), torch.ones(8), atol=1e-4, rtol=0)
    dropped = output.extras["projection"] == 0
    assert 0.05 < (dropped & (output.features != 0)).float().mean() < 0.15
    model.eval()
    output = model(image=pictures())
    assert torch.equal(output.extras["projection"], output.features)


def test_awm_weighs_features_and_does_not_shape_them() -> None:
    torch.manual_seed(0)
    module = AreaWeightedModule(12, 5).eval()
    joined = torch.randn(4, 12, requires_grad=True)
    weighted, weight = module(joined)
    weighted.sum().backward()
    # Were AWM's input not detached, d(x * w(x)) / dx would have a second term.
    assert joined.grad is not None
    torch.testing.assert_close(joined.grad, weight)

    model = small()
    model(image=pictures(4)).extras["area_weight"].square().sum().backward()
    got = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert got == {"awm"}


@pytest.mark.parametrize("name", TABLE_4)
def test_gradients_reach_every_parameter(name: str) -> None:
    options = {**TABLE_4[name]}
    options.pop("rr")
    model = small(**options)
    stirred(model)
    output = model(image=pictures())
    model.loss(output, LABELS, class_weights=torch.ones(3), au_set=au_sets(CELLS)).backward()
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert without == []


def test_alignment_alone_trains_everything_but_the_heads() -> None:
    model = small(au_weight=1.0)
    stirred(model)
    targets = {"class_weights": torch.ones(3), "au_set": au_sets(CELLS)}
    model.loss(model(image=pictures()), LABELS, **targets).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    heads = {n for n, _ in model.named_parameters() if n.startswith("heads.")}
    assert moved == {n for n, _ in model.named_parameters()} - heads


def test_it_learns_a_handful_of_samples_by_heart() -> None:
    model = small()
    image = 0.2 * pictures()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    targets = {"class_weights": class_weights(LABELS), "au_set": au_sets(CELLS)}
    first = last = 0.0
    for _ in range(14):
        losses = model.losses(model(image=image), LABELS, **targets)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        first, last = first or losses["wscl"].item(), losses["wscl"].item()
    assert last < 0.9 * first
    model.train()
    with torch.no_grad():  # BatchNorm's averages are of all the steps before
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for _ in range(3):
            model(image=image)
    model.eval()
    assert model(image=image).logits.argmax(1).tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branches": "three"}, "branches must be one of dual, single, got 'three'"),
        ({"branches": "single"}, "set awm=false"),
        ({"loss_form": "mean"}, "loss_form must be one of paper, published"),
        ({"inference": "vote"}, "inference must be one of paper, published"),
        ({"weights": None}, "weights must be one of imagenet, none, got None"),
        ({"au_weight": 1.5}, r"au_weight must lie in \[0, 1\]"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"awm_hidden": 0}, "awm_hidden must be 1 or more"),
        ({"image_size": 32}, "image_size 64 or more"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("dual_branch", 3, **options)


def test_input_image_is_grey_frame_and_magnitudes() -> None:
    magnified, on_off = pictures(2), pictures(2)[:, :2]
    image = input_image(magnified, on_off)
    frame = magnified[1].permute(1, 2, 0).numpy()
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(image[1, 0].numpy(), grey, atol=1e-6)
    assert torch.equal(image[:, 1:], on_off)
    assert input_image(torch.ones(1, 3, 4, 4), torch.ones(1, 2, 4, 4)).max() <= 1
    with pytest.raises(ValueError, match=r"got \(2, 3, 64, 64\) and \(2, 3, 64, 64\)"):
        input_image(magnified, magnified)
    assert create_model("dual_branch", 3).inputs["image"].channels == (
        "magnified_grey",
        "on_apex",
        "off_apex",
    )


# --- Table 4 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE_4)
def test_a_row_of_table_4_trains_a_step(name: str) -> None:
    chosen = config(name)
    for key in ("branches", "awm", "au_weight"):
        assert chosen["options"][key] == TABLE_4[name][key]
    assert chosen["options"]["weights"] == "imagenet"
    assert chosen["augment"]["RegionReplacing"]["p"] == TABLE_4[name]["rr"]

    torch.manual_seed(0)
    options = {**chosen["options"], "weights": "none", "image_size": SIZE}
    model = create_model(chosen["name"], 3, **options)
    batch: Any = {"image": pictures(), "label": LABELS, "au_set": au_sets(CELLS)}
    for augmentation, arguments in chosen["augment"].items():
        batch = getattr(mersynth.augment, augmentation)(**arguments)(batch)
    training = chosen["training"]
    optimizer = getattr(torch.optim, training["optimizer"].pop("name"))(
        model.parameters(), **training["optimizer"]
    )
    scheduler = getattr(torch.optim.lr_scheduler, training["scheduler"].pop("name"))(
        optimizer, **training["scheduler"]
    )
    before = [p.detach().clone() for p in model.parameters()]
    loss = model.loss(
        model(image=batch["image"]),
        batch["label"],
        class_weights=class_weights(LABELS),
        au_set=batch["au_set"],
    )
    loss.backward()
    optimizer.step()
    scheduler.step()
    assert loss.isfinite()
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > len(changed) / 2
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-3 * (1 + math.cos(math.pi / 10)) / 2)


def test_a_replaced_mouth_brings_its_aus_to_the_alignment() -> None:
    batch = {
        "image": pictures(2),
        "label": torch.tensor([1, 1]),
        "au_set": au_sets(["4+12", "1+17"]),
    }
    mixed = RegionReplacing(**{**config("dual_branch")["augment"]["RegionReplacing"], "p": 1.0})(
        batch
    )
    w = au_similarity(torch.cat([mixed["au_set"], batch["au_set"]]))
    assert w[0].tolist() == pytest.approx([1, 0, 1 / 3, 1 / 3])  # 4+17; 1+12, 4+12, 1+17


# --- weights -------------------------------------------------------------------------------------


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
