"""Tests of AU-GACN's backbone: Table 7, and the blocks of P3D."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.models.au_gacn.model import STPNet
from recognizers.models.au_gacn.p3d import P3DBottleneck

# Layer, kernel, stride, output shape; L and C are filled in. As printed, but for the stride of the
# frames, which the shapes tell.
TABLE_7 = """
convolution  | Conv3d            | (1, 7, 7) | (1, 2, 2) | 64, L, 128, 128
norm         | BatchNorm3d       |           |           | 64, L, 128, 128
relu         | ReLU              |           |           | 64, L, 128, 128
pool1        | MaxPool3d         | (2, 3, 3) | 2         | 64, L/2, 64, 64
bottleneck_a | P3DBottleneck     |           |           | 64, L/2, 64, 64
pool2        | MaxPool3d         | (2, 1, 1) | (2, 1, 1) | 64, L/4, 64, 64
bottleneck_b | P3DBottleneck     |           |           | 64, L/4, 32, 32
pool3        | MaxPool3d         | (2, 1, 1) | (2, 1, 1) | 64, L/8, 32, 32
bottleneck_c | P3DBottleneck     |           |           | 64, L/8, 16, 16
pool4        | MaxPool3d         | (2, 1, 1) | (2, 1, 1) | 64, L/16, 16, 16
average      | AdaptiveAvgPool3d |           |           | 64, 1, 1, 1
aus          | FrameConv2d       | (1, 1)    | (1, 1)    | 1, C, 1, 1
reshape      | Sequential        |           |           | C, 1
"""


def side(text: str, length: int, aus: int) -> int:
    """A side of Table 7's shapes: 64, C, L or L/4."""
    name, _, divisor = text.partition("/")
    number = {"L": length, "C": aus}[name] if name in "LC" else int(name)
    return number // int(divisor or 1)


@pytest.mark.parametrize(("length", "aus"), [(16, 19), (32, 19), (48, 5)])
def test_layers_print_table_7(length: int, aus: int) -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE_7.strip().splitlines()]
    net = STPNet(aus).to("meta")
    shapes: list[list[int]] = []
    for layer in net:
        layer.register_forward_hook(lambda module, given, out: shapes.append(list(out.shape)))
    net(torch.empty(5, 3, length, 256, 256, device="meta"))
    assert len(rows) == len(shapes) == len(net)
    for (name, layer), shape, row in zip(net.named_children(), shapes, rows, strict=True):
        wanted = [side(text.strip(), length, aus) for text in row[4].split(",")]
        assert [name, type(layer).__name__] == row[:2]
        assert shape == [5, *wanted], name
        if row[2]:
            assert str(layer.kernel_size) == row[2]
            assert str(layer.stride) == row[3]
    for order, name in zip("ABC", ("bottleneck_a", "bottleneck_b", "bottleneck_c"), strict=True):
        block = net.get_submodule(name)
        assert block.order == order
        assert block.space[0].kernel_size == (1, 3, 3)
        assert block.time[0].kernel_size == (3, 1, 1)


def convolve(x: Tensor, layers: nn.Module, stride: int, *, relu: bool) -> Tensor:
    """Convolution, batch normalisation in evaluation mode and ReLU from their formulas."""
    state = list(layers.state_dict().values())
    weight, gain, shift, mean, variance = state[:5]
    padding = [side // 2 for side in weight.shape[2:]]
    x = F.conv3d(x, weight, stride=(1, stride, stride), padding=padding)
    at = (None, slice(None), None, None, None)
    x = (x - mean[at]) / (variance[at] + 1e-5).sqrt() * gain[at] + shift[at]
    return x.clamp(min=0) if relu else x


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("order", ["A", "B", "C"])
def test_bottlenecks_join_space_and_time_as_p3d_does(order: Any, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    block = P3DBottleneck(order, 8, stride).eval()
    for tensor in block.state_dict().values():
        if tensor.is_floating_point():
            least = 0.1 if tensor.dim() == 1 else -0.5  # a variance is positive
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + least)
    given = torch.randn(2, 8, 4, 6, 6, generator=generator)
    x = convolve(given, block.reduce, 1, relu=True)
    s = convolve(x, block.space, stride, relu=True)
    if order == "A":
        mixed = convolve(s, block.time, 1, relu=True)
    elif order == "B":
        mixed = s + convolve(x, block.time, stride, relu=True)
    else:
        mixed = s + convolve(s, block.time, 1, relu=True)
    shortcut = given if stride == 1 else convolve(given, block.shortcut, 2, relu=False)
    wanted = (shortcut + convolve(mixed, block.restore, 1, relu=False)).clamp(min=0)
    torch.testing.assert_close(block(given), wanted)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be one of A, B, C, got 'D'"):
        P3DBottleneck("D", 8)  # type: ignore[arg-type]
