"""Pseudo-3D bottleneck blocks (Qiu et al., ICCV 2017): separate convolutions in space and time."""

from __future__ import annotations

from typing import Literal, cast, get_args

from torch import Tensor, nn

from mersynth.checks import check_choice

Order = Literal["A", "B", "C"]


class P3DBottleneck(nn.Module):
    """A residual block whose 3x3x3 convolution is one in space (S) and one in time (T).

    With x the input reduced to a quarter of the channels, the block adds to its shortcut

    - order A: ``T(S(x))``, in sequence;
    - order B: ``S(x) + T(x)``, in parallel;
    - order C: ``S(x) + T(S(x))``, in sequence, with S also added directly;

    restored to all channels. Every convolution has batch normalisation and ReLU; the last ReLU
    comes after the sum. The convolutions that read x take the stride, and a 1x1x1 convolution on
    the shortcut does, too (in Qiu et al.'s own code the reduction does, which skips pixels).

    Args:
        order: one of A, B, C.
        channels: of input and output, a multiple of 4 (the reduction of Qiu et al. and ResNet).
        stride: in space, in both directions.

    Shape:
        - input: (B, channels, T, H, W)
        - output: (B, channels, T, H / stride, W / stride)

    Raises:
        ValueError: if the order is unknown or ``channels`` not a multiple of 4.
    """

    def __init__(self, order: Order, channels: int, stride: int = 1) -> None:
        super().__init__()
        check_choice("order", order, get_args(Order))
        if channels < 4 or channels % 4:
            raise ValueError(f"channels must be a positive multiple of 4, got {channels}")
        inner = channels // 4
        self.order = order
        self.reduce = nn.Sequential(*_convolution(channels, inner, (1, 1, 1)), nn.ReLU())
        self.space = nn.Sequential(*_convolution(inner, inner, (1, 3, 3), stride), nn.ReLU())
        self.time = nn.Sequential(
            *_convolution(inner, inner, (3, 1, 1), stride if order == "B" else 1), nn.ReLU()
        )
        self.restore = nn.Sequential(*_convolution(inner, channels, (1, 1, 1)))
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(*_convolution(channels, channels, (1, 1, 1), stride))
        )
        self.relu = nn.ReLU()

    def forward(self, block_input: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, C, T, H / stride, W / stride)."""
        x = self.reduce(block_input)
        s = self.space(x)
        if self.order == "A":
            mixed = self.time(s)
        elif self.order == "B":
            mixed = s + self.time(x)
        else:
            mixed = s + self.time(s)
        return cast(Tensor, self.relu(self.shortcut(block_input) + self.restore(mixed)))


def _convolution(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1
) -> tuple[nn.Module, nn.Module]:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    steps = (1, stride, stride)
    return (
        nn.Conv3d(inputs, outputs, kernel, steps, padding, bias=False),
        nn.BatchNorm3d(outputs),
    )
