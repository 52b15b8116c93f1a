"""FRL-DGT's displacement generation module (DGM, 3.1), and the losses that supervise it.

A displacement D is (B, 2, H, W): x to the right and y down, from the onset to the apex, in the
units of torch's sampling grids: an image reaches from -1 to 1, so that half its side is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.motion.warp import warp

_TINY = 1e-6  # keeps still images from dividing 0 by 0


class DisplacementGenerator(nn.Module):
    """DGM: a pair of frames to the displacement between them.

    Of encoder and decoder, the paper gives only the blocks, "a stack of convolutional layers,
    batch normalization layers, and nonlinear activation layers". Here a block has two of each;
    every level of the encoder halves the image; the decoder goes back up and on each level also
    reads the encoder's features (U-Net), since features of a sixteenth of the image's size cannot
    represent a displacement of a pixel or two. The finest features have half the image's size: at
    full size the two outermost blocks would cost more than all others together.

    The pair enters as the onset and the change since, scaled by batch normalisation. The two frames
    hold the same information, but differ by a hundredth of their values: reading these, DGM had
    learned no direction after 400 steps on phantom pairs.

    Args:
        widths: channels of the encoder's levels, the finest first.
        alpha: largest displacement in x and in y; 0.2 is a tenth of the image's side.

    Shape:
        - onset, apex: (B, 3, H, W) in [0, 1]
        - output: (B, 2, H, W) in [-alpha, alpha]

    Raises:
        ValueError: if there are no widths or one is below 1, or alpha is not in (0, 1].
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256), alpha: float = 0.2) -> None:
        super().__init__()
        if not widths or min(widths) < 1 or not 0 < alpha <= 1:
            raise ValueError(
                "DGM: widths must be one or more numbers from 1 up and alpha lie in (0, 1], got "
                f"{tuple(widths)} and {alpha}"
            )
        self.alpha = alpha
        before = (6, *widths[:-1])
        self.norm = nn.BatchNorm2d(6)
        self.encoder = nn.ModuleList(
            _block(n, m, stride=2) for n, m in zip(before, widths, strict=True)
        )
        finer, coarser = widths[-2::-1], widths[:0:-1]
        self.decoder = nn.ModuleList(
            _block(n + m, m, stride=1) for n, m in zip(coarser, finer, strict=True)
        )
        self.head = nn.Conv2d(widths[0], 2, 3, padding=1, bias=False)
        # Start with almost no motion: a photometric loss has a useful gradient only from nearby.
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """See the class."""
        x = self.norm(torch.cat([onset, apex - onset], dim=1))  # (B, 6, H, W)
        skips = []
        for block in self.encoder:
            x = block(x)  # (B, widths[i], H / 2^(i+1), W / 2^(i+1)), rounded up
            skips.append(x)
        for block, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = block(torch.cat([_resize(x, skip), skip], dim=1))
        d = self.head(_resize(x, onset)).float().tanh()  # (B, 2, H, W) in [-1, 1]
        return self.alpha * d


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear")


def in_pixels(displacement: Tensor) -> Tensor:
    """D in pixels, (B, 2, H, W): optical flow."""
    height, width = displacement.shape[-2:]
    half = displacement.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return displacement * half.view(2, 1, 1)


def approximate_apex(onset: Tensor, displacement: Tensor) -> Tensor:
    """G_s(F_onset, D): the onset frame with its pixels moved by D.

    "Bilinear sampling moves the pixel at location (x, y) in the onset frame to (x + D^x, y + D^y)":
    sampling looks up where a pixel comes from, so the pixel at p is the onset's at p - D(p).
    D is given at every pixel of the apex and, as in the paper, points from the onset to the apex.

    Args:
        onset: (B, C, H, W), any range.
        displacement: D, (B, 2, H, W).

    Returns:
        (B, C, H, W).
    """
    return warp(onset, -in_pixels(displacement))


def dgm_losses(onset: Tensor, apex: Tensor, displacement: Tensor) -> dict[str, Tensor]:
    """The three terms of eq. 4, each (B,), for pairs of frames.

    The |.| of a displacement is its length. The paper prints eq. 1 without a mean; here it is the
    mean over pixels and channels, as eq. 2 and 3 are over pixels.

    Args:
        onset: F_onset, (B, C, H, W) in [0, 1].
        apex: F_apex, likewise.
        displacement: D, (B, 2, H, W).

    Returns:
        ``rec`` (eq. 1), ``nm`` (eq. 2) and ``sm`` (eq. 3).
    """
    d = displacement
    # (1)
    rec = (approximate_apex(onset, d) - apex).abs().mean((1, 2, 3))
    # (2)
    nm = _length(d).mean((1, 2))
    # (3)
    along_x = _length(d[..., :, 1:] - d[..., :, :-1]).mean((1, 2))
    along_y = _length(d[..., 1:, :] - d[..., :-1, :]).mean((1, 2))
    return {"rec": rec, "nm": nm, "sm": along_x + along_y}


def _length(d: Tensor) -> Tensor:
    """(..., 2, H, W) to (..., H, W); its gradient at 0 is 0."""
    # torch.linalg.vector_norm over two values is fifty times slower on a CPU.
    x, y = d.unbind(-3)
    zero = (x == 0) & (y == 0)
    return torch.hypot(x.masked_fill(zero, 1.0), y).masked_fill(zero, 0.0)


def normalise(displacement: Tensor) -> Tensor:
    """Displacements, scaled so that the longest has length 1.

    This makes small expressions as large as large ones (3.1: "we normalize the displacements
    before output, increasing the intensity of minor expressions and decreasing the intensity of
    major ones"). If eq. 1 moved pixels by these, the longest would be alpha for every pair, ten
    pixels in a hundred; so the losses read D itself, and Transformer Fusion the normalised one.

    Args:
        displacement: (B, ..., 2, H, W), any unit; a sequence (B, T, 2, H, W) has one scale.

    Returns:
        The same shape, in [-1, 1]; zeros stay zeros.
    """
    longest = _length(displacement).flatten(1).amax(1)
    return displacement / longest.clamp(min=_TINY).view(-1, *[1] * (displacement.dim() - 1))


def draw_pairs(frames: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Random pairs of different frames of each clip, in either order, by torch's generator.

    Args:
        frames: (B, T, C, H, W), T of 2 or more.
        count: P, pairs per clip.

    Returns:
        First and second frames, each (B * P, C, H, W), pairs of a clip adjacent.
    """
    clips, length = frames.shape[:2]
    first = torch.randint(length, (clips * count,))
    second = (first + torch.randint(1, length, (clips * count,))) % length
    clip = torch.arange(clips).repeat_interleave(count)
    return frames[clip, first], frames[clip, second]


class ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        """``x`` itself."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient times the factor."""
        return ctx.factor * gradients[0], None
