"""FRL-DGT's Transformer Fusion against loops over its equations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from recognizers.models.frl_dgt.fusion import (
    FusionAfterAttention,
    FusionBeforeAttention,
    FusionModule,
    Sizes,
    TransformerFusion,
    TransformerLayer,
)
from recognizers.models.frl_dgt.regions import (
    even_boxes,
)
from tests.recognizers.models.frl_dgt.face import noise


def stirred(module: nn.Module, seed: int = 2) -> nn.Module:
    """Weights and statistics that reveal mistakes; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            low = 0.5 if "running_var" in name else -0.5
            value.copy_(low + torch.rand(value.shape, generator=generator))
    return module.eval()


def numbers(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: v.double().numpy() for name, v in module.state_dict().items()}


def parts(p: dict[str, np.ndarray], x: np.ndarray, heads: int) -> list[np.ndarray]:
    """Queries, keys and values of a sample, each (n, C) cut into heads (h, n, c)."""
    qkv = np.split(x @ p["qkv.weight"].T + p["qkv.bias"], 3, axis=1)
    return [np.stack(np.split(v, heads, axis=1)) for v in qkv]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_fusion_before_attention_is_the_loop_of_equations_5_to_7() -> None:
    n, heads, c = 5, 3, 4
    layer = stirred(FusionBeforeAttention(n, heads * c, heads))
    x = noise(2, n, heads * c)
    with torch.no_grad():
        fused, weights = layer(x)
    assert weights.shape == (2, heads, n)
    assert_close(weights.sum(2), torch.ones(2, heads))
    p = numbers(layer)
    for i in range(2):
        q, k, v = parts(p, x[i].double().numpy(), heads)
        made = []
        for h in range(heads):
            lin = sum(p["lin.weight"][h, m] * q[h, m] for m in range(n)) + p["lin.bias"][h]
            raw = np.array([lin @ k[h, j] for j in range(n)])  # (5)
            normed = (raw - p["bn.running_mean"]) / np.sqrt(p["bn.running_var"] + 1e-5)
            share = softmax(normed * p["bn.weight"] + p["bn.bias"])
            np.testing.assert_allclose(weights[i, h].numpy(), share, atol=1e-5)
            made.append(sum(share[j] * v[h, j] for j in range(n)))  # (6)
        np.testing.assert_allclose(fused[i].numpy(), np.concatenate(made), atol=1e-5)  # (7)


def test_fusion_after_attention_is_attention_then_lin() -> None:
    n, heads, c = 5, 3, 4
    layer = stirred(FusionAfterAttention(n, heads * c, heads))
    x = noise(1, n, heads * c)
    with torch.no_grad():
        fused, weights = layer(x)
    assert weights is None
    p = numbers(layer)
    q, k, v = parts(p, x[0].double().numpy(), heads)
    made = []
    for h in range(heads):
        attended = softmax(q[h] @ k[h].T / np.sqrt(c)) @ v[h]
        made.append(p["lin.weight"][h] @ attended + p["lin.bias"][h])
    np.testing.assert_allclose(fused[0].numpy(), np.concatenate(made), atol=1e-5)


def test_a_transformer_layer_is_torchs_own() -> None:
    sizes = Sizes(width=12, heads=3, mlp_ratio=2, dropout=0.0)
    layer = stirred(TransformerLayer(12, sizes))
    theirs = nn.TransformerEncoderLayer(12, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    names = {
        **{"qkv": "self_attn.in_proj_", "projection": "self_attn.out_proj."},
        **{"norm1": "norm1.", "norm2": "norm2.", "mlp.0": "linear1.", "mlp.3": "linear2."},
    }
    state = layer.state_dict()
    theirs.load_state_dict(
        {
            f"{v}{kind}": state[f"{k}.{kind}"]
            for k, v in names.items()
            for kind in ("weight", "bias")
        }
    )
    x = noise(2, 7, 12)
    assert_close(layer(x), theirs(x))  # in training mode: evaluation takes another path in torch


def test_one_sample_alone_can_be_trained() -> None:
    module = FusionModule(4, 12, Sizes(width=12, heads=3, depth=1))
    assert module(noise(1, 4, 12))[0].isfinite().all()


def test_levels_that_are_left_out_are_means() -> None:
    sizes = Sizes(width=8, heads=2, depth=1)
    maps = 2 * noise(2, 5, 18, 18) - 1
    boxes = even_boxes((18, 18)).expand(2, -1, -1)

    def made(**levels: bool) -> tuple[TransformerFusion, Tensor, dict[str, Tensor]]:
        torch.manual_seed(0)
        fusion = TransformerFusion(5, 9, 18, 6, 3, sizes, **levels).eval()
        return fusion, *fusion(maps, boxes)

    _, features, weights = made()
    assert features.shape == (2, 16)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    assert shapes == {
        "local_weights": (2, 9, 2, 4),
        "global_weights": (2, 2, 9),
        "face_weights": (2, 2, 36),
    }
    fusion, features, weights = made(local_fusion=False, global_fusion=False, face_fusion=False)
    assert weights == {}
    patches = []
    for k, (y, x) in enumerate(np.ndindex(3, 3)):
        part = maps[:, :, 6 * y : 6 * y + 6, 6 * x : 6 * x + 6]
        patches.append(fusion.embed[k](part).mean(1))
    assert_close(features, torch.stack(patches).mean(0), atol=1e-5, rtol=1e-4)
    # A patch is a square of the image, row by row.
    project = fusion.embed[0][0]
    second = maps[:, :, 0:3, 3:6].flatten(1) @ project.weight.flatten(1).T + project.bias
    assert_close(fusion.embed[0](maps[..., :6, :6])[:, 1], second, atol=1e-5, rtol=1e-4)
