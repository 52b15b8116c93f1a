"""MMNet's layers against loops over its equations, torchvision's block and torch's encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from recognizers.models.mmnet.layers import CABlock, EncoderLayer, PCModule, PlainBlock


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
    """A loop over output pixels, padded by half of the kernel."""
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
    assert flat.var((2, 3)).gt(0).all()  # a position shows even where the frame is blank
