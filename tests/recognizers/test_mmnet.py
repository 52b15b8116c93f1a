"""MMNet against loops over its equations, torch's encoder and its authors' forward pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

import mersynth.augment
from mersynth.sources.phantom.population import clip_specs
from mersynth.store import ClipStore
from mersynth.store_writer import StoreWriter
from recognizers.inputs import build_inputs
from recognizers.models import InputSpec, PublishedError, create_model, load_published
from recognizers.models.imagenet import MEAN, STD
from recognizers.models.mmnet import MMNet
from recognizers.models.mmnet_layers import CABlock, EncoderLayer, PCModule, PlainBlock
from tests.recognizers.handful import (
    LABELS,
    learn_by_heart,
    model_config,
    model_configs,
    phantom_clips,
    without_gradient,
)

TABLES: dict[str, dict[str, Any]] = {
    "mmnet_baseline": {"blocks": "residual", "pc_module": False},
    "mmnet_ca": {"pc_module": False},
    "mmnet_pc": {"blocks": "residual"},
    "mmnet_independent": {"blocks": "independent"},
    "mmnet_nl2_nh2": {"num_layers": 2, "num_heads": 2},
    "mmnet": {"num_layers": 2, "num_heads": 4, "blocks": "continuous", "pc_module": True},
    "mmnet_nl2_nh8": {"num_layers": 2, "num_heads": 8},
    "mmnet_nl3_nh2": {"num_layers": 3, "num_heads": 2},
    "mmnet_nl3_nh4": {"num_layers": 3, "num_heads": 4},
    "mmnet_nl3_nh8": {"num_layers": 3, "num_heads": 8},
}
TINY = {"stem_width": 12, "widths": [16, 16, 16, 24, 32], "image_size": 32}
RGB = ("red", "green", "blue")


def tiny(num_classes: int = 3, **options: Any) -> MMNet:
    torch.manual_seed(0)
    model = create_model("mmnet", num_classes, **{**TINY, **options})
    assert isinstance(model, MMNet)
    return model


def windows(count: int = 6, size: int = 32) -> dict[str, Tensor]:
    """Onset and apex, four frames each, (B, 4, 3, size, size)."""
    generator = torch.Generator().manual_seed(3)
    shape = (count, 4, 3, size, size)
    return {name: torch.rand(shape, generator=generator) for name in ("onset", "apex")}


# --- the layers ----------------------------------------------------------------------------------


def numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def normed(x: np.ndarray, norm: nn.BatchNorm2d) -> np.ndarray:
    """BatchNorm out of training mode, (C, H, W)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var, weight, bias = (
        numbers(value)[:, None, None]
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / np.sqrt(var + norm.eps) * weight + bias


def convolved(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """A loop over output pixels; half of the kernel is padding."""
    size = weight.shape[-1]
    padded = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2))
    side = (x.shape[1] - 1) // stride + 1
    out = np.zeros((len(weight), side, side))
    for row in range(side):
        for column in range(side):
            top, left = stride * row, stride * column
            window = padded[:, top : top + size, left : left + size]
            out[:, row, column] = np.tensordot(weight, window, 3)
    return out


def pooled(attention: np.ndarray) -> np.ndarray:
    """P_M: the largest of each 3 x 3 pixels around every second one."""
    side = (attention.shape[-1] - 1) // 2 + 1
    out = np.zeros((1, side, side))
    for row in range(side):
        for column in range(side):
            rows = slice(max(0, 2 * row - 1), 2 * row + 2)
            out[0, row, column] = attention[0, rows, max(0, 2 * column - 1) : 2 * column + 2].max()
    return out


def stirred(module: nn.Module) -> nn.Module:
    """Statistics and weights of BatchNorm that are not 0 and 1."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.weight, norm.bias, norm.running_mean):
                assert value is not None
                nn.init.normal_(value, 0.3)
            assert norm.running_var is not None
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return module.eval()


@pytest.mark.parametrize(("before", "after", "stride"), [(5, 5, 1), (5, 7, 2)])
@pytest.mark.parametrize("continuous", [True, False])
@torch.no_grad()
def test_a_ca_block_is_equations_1_to_3(
    before: int, after: int, stride: int, continuous: bool
) -> None:
    torch.manual_seed(1)
    block = CABlock(before, after, stride, continuous)
    stirred(block)
    x = torch.randn(1, before, 6, 6)
    last = torch.rand(1, 1, 6, 6) if stride == 2 else None
    features, attention = block(x, last)

    f = numbers(x[0])
    main = normed(convolved(f, numbers(block.conv1.weight), stride), block.norm1).clip(0)
    main = normed(convolved(main, numbers(block.conv2.weight), 1), block.norm2)
    short = f
    if isinstance(block.shortcut, nn.Sequential):
        convolution, norm = block.shortcut
        assert isinstance(norm, nn.BatchNorm2d)
        short = normed(convolved(f, numbers(convolution.weight), stride), norm)
    f_conv = (main + short).clip(0)
    both = np.stack([f_conv.mean(0), f_conv.max(0)])
    norm = block.attention[1]
    assert isinstance(norm, nn.BatchNorm2d)
    own = normed(convolved(both, numbers(block.attention[0].weight), 1), norm)
    own = 1 / (1 + np.exp(-own))
    if continuous and last is not None:
        own = own * pooled(numbers(last[0]))
    np.testing.assert_allclose(numbers(attention[0]), own, atol=1e-5)
    np.testing.assert_allclose(numbers(features[0]), f_conv * own, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_the_baseline_s_block_is_torchvision_s(stride: int) -> None:
    from torchvision.models.resnet import BasicBlock

    torch.manual_seed(2)
    block = PlainBlock(6, 6, stride)
    stirred(block)
    down = None
    if stride == 2:
        down = nn.Sequential(nn.Conv2d(6, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
    theirs = BasicBlock(6, 6, stride, down).eval()
    names = {"bn": "norm", "downsample": "shortcut"}
    own = block.state_dict()
    state = {}
    for name in theirs.state_dict():
        ours = name
        for their, our in names.items():
            ours = ours.replace(their, our)
        state[name] = own[ours]
    theirs.load_state_dict(state)
    x = torch.randn(2, 6, 8, 8)
    features, attention = block(x, None)
    assert attention is None
    assert_close(features, theirs(x))


@pytest.mark.parametrize("num_heads", [1, 4])
@torch.no_grad()
def test_an_encoder_layer_is_torch_s(num_heads: int) -> None:
    torch.manual_seed(3)
    ours = EncoderLayer(16, num_heads, 3)
    theirs = nn.TransformerEncoderLayer(
        16, num_heads, 48, 0.0, F.gelu, 1e-6, batch_first=True, norm_first=True
    )
    own = ours.state_dict()
    parts = {"self_attn.in_proj_": "qkv.", "self_attn.out_proj": "proj"}
    parts |= {"linear1": "mlp.0", "linear2": "mlp.2"}
    state = {}
    for name in theirs.state_dict():
        key = name
        for their, our in parts.items():
            key = key.replace(their, our)
        state[name] = own[key] + 0.1  # LayerNorm's weights are not all 1
        own[key].copy_(state[name])
    theirs.load_state_dict(state)
    x = torch.randn(2, 9, 16)
    assert_close(ours(x), theirs(x))


@torch.no_grad()
def test_the_pc_module_keeps_each_pixel_in_its_place() -> None:
    """Without self-attention's part an embedding depends on its own pixel and place alone."""
    torch.manual_seed(4)
    module = PCModule(4, 8, num_layers=2, num_heads=2, mlp_ratio=2).eval()
    onset = torch.rand(1, 3, 64, 64)
    assert module(onset).shape == (1, 8, 4, 4)
    for encoder in module.encoders:
        assert isinstance(encoder, EncoderLayer)
        encoder.proj.weight.zero_()
    changed = onset.clone()
    changed[:, :, 24:40, 8:24] = 0.9  # within rows 1 and 2, columns 0 and 1 of the grid
    differs = (module(changed) - module(onset)).abs().amax((0, 1)) > 1e-6
    assert differs[1:3, :2].all()
    assert not differs[:, 3].any()
    flat = module(torch.full_like(onset, 0.5))
    assert flat.var((2, 3)).gt(0).all()  # a place shows where there is nothing to see


# --- the network ---------------------------------------------------------------------------------


def published_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' state dict, built up layer by layer."""
    shapes: dict[str, tuple[int, ...]] = {"conv_act.0.weight": (180, 3, 3, 3)}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def linear(name: str, before: int, after: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (after, before), (after,)

    norm("conv_act.1", 180)
    shapes["main_branch.conv1.weight"] = (128, 180, 3, 3)
    norm("main_branch.bn1", 128)
    for number, (before, after) in enumerate([(128, 128), (128, 128), (128, 256), (256, 512)]):
        name = f"main_branch.layer{number + 1}.0"
        shapes[f"{name}.conv1.weight"] = (after, before, 3, 3)
        shapes[f"{name}.conv2.weight"] = (after, after, 1, 1)
        norm(f"{name}.bn1", after)
        norm(f"{name}.bn2", after)
        shapes[f"{name}.attn.0.weight"] = (1, 2, 1, 1)
        norm(f"{name}.attn.1", 1)
        if number:
            shapes[f"{name}.downsample.0.weight"] = (after, before, 1, 1)
            norm(f"{name}.downsample.1", after)
    linear("main_branch.fc", 512 * 14 * 14, num_classes)
    shapes["vit_pos.patch_embed.proj.weight"] = (512, 3, 1, 1)
    shapes["vit_pos.patch_embed.proj.bias"] = (512,)
    shapes["vit_pos.pos_embed"] = (1, 196, 512)
    for number in range(2):
        name = f"vit_pos.blocks.{number}"
        linear(f"{name}.attn.qkv", 512, 1536)
        linear(f"{name}.attn.proj", 512, 512)
        linear(f"{name}.mlp.fc1", 512, 2048)
        linear(f"{name}.mlp.fc2", 2048, 512)
        for part in ("norm1", "norm2"):
            shapes[f"{name}.{part}.weight"] = shapes[f"{name}.{part}.bias"] = (512,)
    shapes["vit_pos.norm.weight"] = shapes["vit_pos.norm.bias"] = (512,)
    return shapes


def left_over() -> dict[str, Tensor]:
    """What the authors' class builds and its forward pass does not use."""
    tensors = {f"pos.1.{part}": torch.ones(512) for part in ("weight", "bias")}
    tensors |= {f"pos.1.{part}": torch.ones(512) for part in ("running_mean", "running_var")}
    return tensors | {
        "pos.0.weight": torch.ones(512, 3, 1, 1),
        "pos.1.num_batches_tracked": torch.tensor(0),
        "head.1.weight": torch.ones(38, 12544),
        "timeembed": torch.zeros(1, 4, 111, 111),
        "vit_pos.cls_token": torch.zeros(1, 1, 512),
        "vit_pos.head.weight": torch.ones(5, 512),
        "vit_pos.head.bias": torch.ones(5),
        "vit_pos.to_Mask.0.weight": torch.ones(1, 512),
        "vit_pos.to_Mask.0.bias": torch.ones(1),
    }


def published_weights(num_classes: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    state = {}
    for name, shape in published_shapes(num_classes).items():
        scale = max(1, int(np.prod(shape[1:]))) ** -0.5 if len(shape) > 1 else 1
        state[name] = scale * torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = state[name].abs() + 0.5
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
    return state


def reference_logits(state: dict[str, Tensor], onset: Tensor, apex: Tensor) -> Tensor:
    """The authors' forward pass, functionally, of the annotated frames (B, 3, 224, 224)."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    first, second = (onset - mean) / std, (apex - mean) / std

    def norm(name: str, x: Tensor) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in parts))

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (512,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    x = F.conv2d(second - first, state["conv_act.0.weight"], stride=2, padding=1)
    x = norm("conv_act.1", x).relu()
    x = norm("main_branch.bn1", F.conv2d(x, state["main_branch.conv1.weight"], padding=1)).relu()
    last: Tensor | None = None
    for number, stride in enumerate((1, 2, 2, 2), start=1):
        name = f"main_branch.layer{number}.0"
        out = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        out = F.conv2d(norm(f"{name}.bn1", out).relu(), state[f"{name}.conv2.weight"])
        if stride == 2:
            x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
            x = norm(f"{name}.downsample.1", x)
        x = (norm(f"{name}.bn2", out) + x).relu()
        both = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        own = norm(f"{name}.attn.1", F.conv2d(both, state[f"{name}.attn.0.weight"])).sigmoid()
        last = own if last is None else own * F.max_pool2d(last, 3, 2, 1)
        x = x * last

    small = F.interpolate(first, (14, 14), mode="bilinear", antialias=True)
    weight = state["vit_pos.patch_embed.proj.weight"][:, :, 0, 0]
    tokens = F.linear(small.flatten(2).mT, weight, state["vit_pos.patch_embed.proj.bias"])
    tokens = tokens + state["vit_pos.pos_embed"]
    for number in range(2):
        name = f"vit_pos.blocks.{number}"
        qkv = linear(f"{name}.attn.qkv", layer_norm(f"{name}.norm1", tokens))
        q, k, v = (part.unflatten(2, (4, 128)).transpose(1, 2) for part in qkv.split(512, 2))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + linear(f"{name}.attn.proj", seen)
        hidden = F.gelu(linear(f"{name}.mlp.fc1", layer_norm(f"{name}.norm2", tokens)))
        tokens = tokens + linear(f"{name}.mlp.fc2", hidden)
    e_pos = layer_norm("vit_pos.norm", tokens).mT.reshape(-1, 512, 14, 14)
    return linear("main_branch.fc", (x + e_pos).flatten(1))


@torch.no_grad()
def test_published_weights_give_the_authors_forward_pass() -> None:
    state = published_weights(5)
    model = load_published("mmnet", {**state, **left_over()}, 5).eval()
    inputs = windows(1, 224)
    output = model(**inputs)
    expected = reference_logits(state, inputs["onset"][:, 0], inputs["apex"][:, 0])
    assert_close(output.logits, expected, rtol=1e-3, atol=1e-3)
    assert output.features.shape == (1, 512 * 14 * 14)
    trained = [n for n in state if "running" not in n and "num_batches" not in n]
    assert sum(p.numel() for p in model.parameters()) == sum(state[n].numel() for n in trained)
    assert model.inputs["apex"].made_of == "near_apex_published"


def test_weights_of_others_are_refused() -> None:
    state = published_weights(5)
    del state["main_branch.layer3.0.attn.0.weight"]
    with pytest.raises(PublishedError, match=r"missing \(1\): main_branch.layer3.0.attn.0.weight"):
        load_published("mmnet", state, 5)
    with pytest.raises(
        PublishedError, match=r"fc.weight is \(5, 100352\) instead of \(3, 100352\)"
    ):
        load_published("mmnet", published_weights(5), 3)
    with pytest.raises(PublishedError, match=r"unknown \(1\): pos.2.weight"):
        load_published("mmnet", {**published_weights(5), "pos.2.weight": torch.ones(1)}, 5)


@torch.no_grad()
def test_shapes_of_the_paper() -> None:
    model = create_model("mmnet", 5, training_frames="annotated").eval()
    onset, apex = torch.rand(2, 1, 3, 224, 224)
    output = model(onset=onset, apex=apex)
    assert output.logits.shape == (1, 5)
    sizes = {name: tuple(value.shape[-2:]) for name, value in output.extras.items()}
    sides = (112, 56, 28, 14)
    assert sizes == {f"attention_{i}": (s, s) for i, s in enumerate(sides, start=1)}
    # Each map is the one before, pooled, times what lies in [0, 1].
    for number in range(2, 5):
        prior = F.max_pool2d(output.extras[f"attention_{number - 1}"], 3, 2, 1)
        assert (output.extras[f"attention_{number}"] <= prior).all()


@pytest.mark.parametrize("name", TABLES)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = tiny(**TABLES[name])
    model.loss(model(**windows()), LABELS).backward()
    assert without_gradient(model) == []


@torch.no_grad()
def test_the_pc_module_adds_where_the_onset_shows_a_face() -> None:
    """The main branch sees a difference alone: what onset and apex share comes from positions."""
    onset, apex = (0.5 * windows()[name] for name in ("onset", "apex"))
    without = tiny(pc_module=False).eval()
    assert without.pc_module is None
    lighter = without(onset=onset + 0.25, apex=apex + 0.25).logits
    assert_close(without(onset=onset, apex=apex).logits, lighter, rtol=1e-4, atol=1e-5)
    with_positions = tiny().eval()
    lighter = with_positions(onset=onset + 0.25, apex=apex + 0.25).logits
    assert not torch.allclose(with_positions(onset=onset, apex=apex).logits, lighter, atol=1e-3)


@torch.no_grad()
def test_independent_maps_do_not_depend_on_the_one_before() -> None:
    inputs = windows()
    shut: dict[str, Tensor] = {}
    for blocks in ("continuous", "independent"):
        model = tiny(blocks=blocks).eval()
        first = model.blocks[0]
        assert isinstance(first, CABlock)
        nn.init.constant_(first.attention[1].bias, -50)  # the first block sees nothing at all
        shut[blocks] = model(**inputs).extras["attention_2"]
    assert shut["continuous"].max() < 1e-6
    assert shut["independent"].min() > 1e-3
    assert tiny(blocks="residual").eval()(**inputs).extras == {}


# --- frames for training -------------------------------------------------------------------------


@torch.no_grad()
def test_training_draws_one_of_the_frames_evaluation_takes_the_annotated_one() -> None:
    model = tiny().eval()
    inputs = windows()
    for name in inputs:  # what distinguishes the frames of a window is how bright they are
        inputs[name] = (torch.arange(4.0) / 4)[None, :, None, None, None].expand(6, 4, 3, 32, 32)
    annotated = {name: frames[:, :1].expand_as(frames) for name, frames in inputs.items()}
    assert_close(model(**inputs).logits, model(**annotated).logits)

    seen: list[Tensor] = []
    hook = model.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.train()
    torch.manual_seed(5)
    for _ in range(200):
        model(**inputs)
    torch.manual_seed(5)
    model(**inputs)
    hook.remove()
    assert_close(seen[-1], seen[0], rtol=0, atol=0)
    red = torch.stack(seen[:-1])[:, :, 0, 5, 5] * STD[0] * 4  # how many frames apart, -3 ... 3
    shares = torch.bincount(red.round().long().flatten() + 3, minlength=7) / red.numel()
    # Two independent draws of four: a triangle.
    assert_close(shares, torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16, atol=0.05, rtol=0)


def stored(path: Path, apexes: list[int], num_frames: int) -> ClipStore:
    """Clips whose frames' grey level says which frame it is."""
    spec = clip_specs(subjects=1, counts={"anger": 1})[0]
    clips = [
        replace(spec.clip, name=f"c{i}", onset=0, apex=apex, offset=num_frames - 1)
        for i, apex in enumerate(apexes)
    ]
    frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    frames = np.broadcast_to(frames, (num_frames, 16, 16, 3)).copy()
    unknown = (np.full((num_frames, 20), np.nan, np.float32),)
    marks = np.full((num_frames, 68, 2), np.nan, np.float32)
    with StoreWriter(path, clips, 16, {"source": "phantom", "licence": "none"}) as writer:
        for _ in clips:
            writer.add(frames, *unknown, marks)
        return writer.finish()


def test_which_frames_are_near(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [20, 2, 5, 0, 110, 199], 200)
    specs = {
        name: InputSpec(name, RGB, (16, 16), 4)
        for name in (
            "near_onset",
            "near_apex",
            "near_onset_published",
            "near_apex_published",
        )
    }
    data = build_inputs(store, specs, "three")
    places = {
        name: (value[:, :, 0, 0, 0] * 255).round().int().tolist()
        for name, value in data.inputs.items()
    }
    assert places["near_onset"] == [
        [0, 1, 2, 3],
        [0, 0, 0, 0],  # frame 1 is as near to the apex
        [0, 1, 2, 0],
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]
    assert places["near_apex"] == [
        [20, 19, 21, 18],
        [2, 3, 4, 5],
        [5, 4, 6, 3],
        [0, 1, 2, 3],
        [110, 109, 111, 108],
        [199, 198, 197, 196],
    ]
    # int(0.15 * distance / 4): 0, 0, 0, 0, 4, 7, of which four are spread out
    assert places["near_onset_published"][:4] == [[0] * 4] * 4
    assert places["near_onset_published"][4:] == [[0, 1, 3, 4], [0, 2, 5, 7]]
    assert places["near_apex_published"][0] == [20] * 4
    assert places["near_apex_published"][4:] == [[110, 109, 107, 106], [199, 197, 194, 192]]


def test_inputs_of_a_store_go_into_the_model(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [20, 7], 40)
    for training_frames, shape in (("paper", (2, 4, 3, 32, 32)), ("annotated", (2, 3, 32, 32))):
        model = tiny(training_frames=training_frames)
        data = build_inputs(store, model.inputs, "three")
        assert data.inputs["apex"].shape == shape
        assert model(**data.inputs).logits.shape == (2, 3)


# --- training ------------------------------------------------------------------------------------


def test_a_handful_of_phantom_clips_is_learnt_by_heart() -> None:
    clips = phantom_clips(32, 9)
    inputs = {"onset": clips[:, [0, 1, 0, 1]], "apex": clips[:, [4, 3, 5, 3]]}
    lr = model_config("mmnet_tiny")["training"]["optimizer"]["lr"]
    assert learn_by_heart(tiny(), inputs, 80, lr) == LABELS.tolist()


@pytest.mark.parametrize("name", model_configs("mmnet"))
def test_a_config_is_what_its_table_says_and_trains_a_step(name: str) -> None:
    config = model_config(name)
    assert set(TABLES) == set(model_configs("mmnet")) - {"mmnet_tiny"}
    assert config["options"].items() >= TABLES.get(name, {}).items()
    if name in TABLES:  # an ablation differs in nothing else
        assert config["options"] == {**model_config("mmnet")["options"], **TABLES[name]}
    model = tiny(**{**config["options"], **TINY})
    batch = windows()
    for augmentation, arguments in config["augment"].items():
        step = getattr(mersynth.augment, augmentation)(**arguments)
        params = None
        for key in batch:
            batch[key] = step(batch[key], params=params)
            params = step.params
    training = config["training"]
    kind = training["optimizer"].pop("name")
    optimizer = getattr(torch.optim, kind)(model.parameters(), **training["optimizer"])
    kind = training["scheduler"].pop("name")
    scheduler = getattr(torch.optim.lr_scheduler, kind)(optimizer, **training["scheduler"])
    before = model.classifier.weight.detach().clone()
    model.loss(model(**batch), LABELS).backward()
    optimizer.step()
    scheduler.step()
    assert not torch.equal(model.classifier.weight, before)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(8e-4 * 0.987)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": "cbam"}, "blocks must be one of continuous, independent, residual, got 'cbam'"),
        ({"training_frames": "four"}, "training_frames must be one of paper, published, annotated"),
        ({"num_layers": 0}, "num_layers, .* must be 1 or more, got 0, 4, 4 and 12"),
        ({"num_heads": 3}, "a multiple of num_heads, got 32 and 3"),
        ({"widths": [16, 16, 32]}, r"widths must be 5 numbers of channels, .* got \[16, 16, 32\]"),
        ({"image_size": 40}, "image_size must be a positive multiple of 16, got 40"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("mmnet", 3, **{**TINY, **options})
