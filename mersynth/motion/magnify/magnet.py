"""MagNet: motion magnification learnt from synthetic motion (Oh et al., ECCV 2018).

An encoder splits a frame into texture and shape; the manipulator enlarges how the shapes of two
frames differ; the decoder draws the second frame's texture at the enlarged shape.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from mersynth.motion.magnify.alpha import alpha_of

Reference = Literal["onset", "previous"]

_MULTIPLE = 4  # the texture lies at a quarter of the resolution
_SMALLEST = 12  # the manipulator reflects 3 pixels at half, blocks 1 pixel at a quarter


class MagNet(nn.Module):
    """Magnify the motion between two frames.

    It sees two frames at a time without a temporal filter: noise between them is magnified too.

    Args:
        manipulator_kernel: side of the manipulator's first kernel: 7 as published, 3 in the
            PyTorch port that :mod:`mersynth.motion.magnify.convert` reads.
        texture_convolution: convolve the texture after bringing it to the shape's resolution, as
            published; the PyTorch port does not.
        still_alpha: what is subtracted from alpha before multiplying: 1 as published, so that
            ``alpha=1`` leaves the shape alone; 0 in the PyTorch port.

    Shape:
        - first, second: (B, 3, H, W) in [0, 1], H and W at least 12 pixels.
        - alpha: number or (B,).
        - output: (B, 3, H, W) in [0, 1].

    Example:
        >>> frames = torch.rand(2, 1, 3, 30, 34)
        >>> MagNet()(frames[0], frames[1], alpha=4.0).shape
        torch.Size([1, 3, 30, 34])
    """

    def __init__(
        self,
        manipulator_kernel: int = 7,
        texture_convolution: bool = True,
        still_alpha: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.manipulator = Manipulator(manipulator_kernel, still_alpha)
        self.decoder = Decoder(texture_convolution)
        self.reset_parameters()

    def forward(self, first: Tensor, second: Tensor, alpha: float | Tensor) -> Tensor:
        """The second frame as if it had moved alpha times as far from the first one.

        Raises:
            ValueError: if the frames' shapes differ or do not fit, or alpha is below 1.
        """
        _check_frames(first, second)
        factor = alpha_of(alpha, second)
        height, width = second.shape[-2:]
        pad = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
        a, b = (F.pad(x, pad, mode="reflect") * 2 - 1 for x in (first, second))
        _, shape_a = self.encoder(a)
        texture_b, shape_b = self.encoder(b)
        magnified = self.decoder(texture_b, self.manipulator(shape_a, shape_b, factor))
        return ((magnified[..., :height, :width] + 1) / 2).clamp(0, 1)

    def reset_parameters(self) -> None:
        """Initialise the weights as He et al., with residual branches that start small."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.second.weight.mul_(0.3)
            self.decoder.output.weight.mul_(0.3)


class Encoder(nn.Module):
    """Frames (B, 3, H, W) in [-1, 1] to texture (B, 32, H/4, W/4) and shape (B, 32, H/2, W/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 16, 7), nn.ReLU(), _conv(16, 32, 3, 2), nn.ReLU())
        self.trunk = _blocks(3, 32)
        self.texture = nn.Sequential(_conv(32, 32, 3, 2), nn.ReLU(), *_blocks(2, 32))
        self.shape = nn.Sequential(_conv(32, 32, 3), nn.ReLU(), *_blocks(2, 32))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Texture and shape of frames."""
        common = self.trunk(self.stem(frames))
        return self.texture(common), self.shape(common)


class Manipulator(nn.Module):
    """Non-linear manipulator: ``G_m(M_a, M_b, alpha) = M_b + h((alpha - 1) g(M_b - M_a))``."""

    def __init__(self, kernel: int, still_alpha: float) -> None:
        super().__init__()
        self.still_alpha = still_alpha
        self.g = nn.Sequential(_conv(32, 32, kernel), nn.ReLU())
        self.h = nn.Sequential(_conv(32, 32, 3), ResidualBlock(32))

    def forward(self, shape_a: Tensor, shape_b: Tensor, alpha: Tensor) -> Tensor:
        """The magnified shape (B, 32, H/2, W/2); alpha is (B,)."""
        factor = (alpha - self.still_alpha)[:, None, None, None]
        return shape_b + self.h(factor * self.g(shape_b - shape_a))


class Decoder(nn.Module):
    """Texture (B, 32, H/4, W/4) and shape (B, 32, H/2, W/2) to frames (B, 3, H, W)."""

    def __init__(self, texture_convolution: bool) -> None:
        super().__init__()
        up = [nn.UpsamplingNearest2d(scale_factor=2)]
        conv = [_conv(32, 32, 3), nn.ReLU()] if texture_convolution else []
        self.texture = nn.Sequential(*up, *conv)
        self.trunk = _blocks(9, 64)
        self.up = nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), _conv(64, 32, 3), nn.ReLU())
        self.output = _conv(32, 3, 7)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        """Draw a texture at a shape."""
        both = torch.cat([self.texture(texture), shape], 1)  # (B, 64, H/2, W/2)
        return self.output(self.up(self.trunk(both)))


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, kernels of 3 x 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, 3)
        self.second = _conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, C, H, W) in and out."""
        return x + self.second(F.relu(self.first(x)))


@torch.no_grad()
def magnify_clip(
    model: MagNet, clip: Tensor, alpha: float | Tensor, reference: Reference = "onset"
) -> Tensor:
    """Magnify the motion of clips, frame by frame.

    Args:
        model: see :func:`mersynth.motion.magnify.checkpoint.load_magnet`; used in the mode and on
            the device that it is in.
        clip: (B, T, 3, H, W) in [0, 1].
        alpha: number or (B,), obtained motion over true motion, 1 or more.
        reference: ``"onset"`` magnifies how each frame differs from the first one (the paper's
            static mode); ``"previous"`` how it differs from the one before it (dynamic mode, which
            magnifies the velocity).

    Returns:
        (B, T, 3, H, W) in [0, 1]. The first frame does not move, but it is also drawn by the
        decoder, so that a flow method compares like with like.

    Raises:
        ValueError: if the clip's shape does not fit, alpha is below 1, or the reference unknown.
    """
    check_choice("reference", reference, get_args(Reference))
    if clip.dim() != 5 or clip.shape[1] < 1:
        raise ValueError(f"clip must have shape (B, T, 3, H, W), got {tuple(clip.shape)}")
    factor = alpha_of(alpha, clip)
    made = []
    for t in range(clip.shape[1]):
        before = clip[:, 0] if reference == "onset" else clip[:, max(t - 1, 0)]
        made.append(model(before, clip[:, t], factor))
    return torch.stack(made, 1)


def _check_frames(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or second.dim() != 4 or second.shape[1] != 3:
        raise ValueError(
            "MagNet: first and second frames must both have shape (B, 3, H, W), got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    if min(second.shape[-2:]) < _SMALLEST:
        raise ValueError(
            f"MagNet magnifies frames of {_SMALLEST} x {_SMALLEST} pixels or more, got "
            f"{second.shape[-2]} x {second.shape[-1]}; prepare or generate them larger "
            f"(--image-size {_SMALLEST} or more)"
        )


def _conv(channels: int, following: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # No bias, as published: without motion nothing is added to the shape.
    return nn.Conv2d(
        channels, following, kernel, stride,
        padding=kernel // 2, padding_mode="reflect", bias=False,
    )  # fmt: skip


def _blocks(count: int, channels: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
