"""MMNet's published weights, against its authors' forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from recognizers.models import PublishedError, load_published
from recognizers.models.imagenet import MEAN, STD


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
    """Parameters that the authors' class has but its forward pass does not use."""
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
    generator = torch.Generator().manual_seed(3)
    onset, apex = torch.rand(2, 1, 4, 3, 224, 224, generator=generator)
    output = model(onset=onset, apex=apex)
    expected = reference_logits(state, onset[:, 0], apex[:, 0])
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
