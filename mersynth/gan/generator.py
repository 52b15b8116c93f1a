"""The generator G(I_in | Y) of AU-ICGAN, after its ancestor GANimation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.facs.action_units import CONDITION_AUS, SIDES
from mersynth.motion.warp import warp

CROSSING = 0.06
"""Share of an image's width over which one side's intensity passes into the other's."""


class Generated(NamedTuple):
    """What the generator makes of a batch.

    Attributes:
        image: (B, 3, H, W) in [0, 1], the blend of input and colour.
        mask: (B, 1, H, W) in [0, 1]; 1 keeps the input's pixel, 0 takes the colour's.
        colour: (B, 3, H, W) in [0, 1].
        motion: (B, 2, H, W) x, y in pixels, where each pixel of the moved input comes from; None
            without a motion head.
    """

    image: Tensor
    mask: Tensor
    colour: Tensor
    motion: Tensor | None = None


def left_weight(width: int, device: torch.device) -> Tensor:
    """(W,): how far a column of an image shows the subject's left side, in [0, 1].

    0 in the image's left half, 1 in its right half, and a smooth step over :data:`CROSSING` of the
    width between both. The rest is the right side's.
    """
    place = (torch.arange(width, device=device) + 0.5) / width
    share = ((place - 0.5) / CROSSING + 0.5).clamp(0, 1)
    return share * share * (3 - 2 * share)


class Generator(nn.Module):
    """G(I_in | Y): moves the face of an image to the wanted AU intensities.

    The AU vector is tiled over the image and joined to its channels; an encoder, residual blocks
    and a decoder lead to two heads, the colour C and the attention mask A, blended as

        I_out = A * I_in + (1 - A) * C.

    Beyond the paper an AU has two sides: the tile holds the subject's right side's intensity in the
    image's left half and the left side's in its right half (:func:`left_weight`, which
    takes faces to look into the camera from the image's middle, as aligned ones do).

    With a motion head (beyond the paper) the face is moved first: a third head gives a displacement
    field D_k for each AU k, which moves the face as far as that AU changes there, from y0 to y as
    tiled,

        d = sum_k (y_k - y0_k) D_k,
        I_out = A * warp(I_in, d) + (1 - A) * C.

    So a weak expression is a strong one in small, and colour paints what no movement can show, such
    as teeth and folds.

    Source: paper 3.4; layer sizes of GANimation (Pumarola et al., ECCV 2018), 8.4 M parameters at
    the default size. The layers have no bias, as there. Any image side divisible by 4 works; a
    trained checkpoint names the side it was trained for.

    Args:
        num_aus: length of the condition.
        channels: width of the first layer.
        blocks: number of residual blocks.
        motion: how far an AU can move a point along an axis at full intensity, as a share of the
            image's side; 0: no motion head.

    Shape:
        - image: (B, 3, H, W) in [0, 1]; aus and own: (B, num_aus, 2) in [0, 1], left and right.

    Raises:
        ValueError: if ``aus`` or ``own`` has another shape.
    """

    def __init__(
        self,
        num_aus: int = len(CONDITION_AUS),
        channels: int = 64,
        blocks: int = 6,
        motion: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_aus = num_aus
        self.motion = motion
        width = channels
        layers = [nn.Conv2d(3 + num_aus, width, 7, padding=3, bias=False), *_norm_relu(width)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), *_norm_relu(2 * width)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
                *_norm_relu(width // 2),
            ]
            width //= 2
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.Conv2d(width, 3 + 1, 7, padding=3, bias=False)  # colour and mask
        if motion:
            # Fields of half the resolution: skin moves smoothly.
            self.fields = nn.Conv2d(2 * width, 2 * num_aus, 3, padding=1, bias=False)
            nn.init.zeros_(self.fields.weight)  # at first nothing moves

    def forward(self, image: Tensor, aus: Tensor, own: Tensor | None = None) -> Generated:
        """Move the faces of images (B, 3, H, W) to the intensities (B, num_aus, 2).

        Args:
            image: the faces.
            aus: the wanted intensities.
            own: those that the faces show, which a motion head moves from; None: none.
        """
        wanted = (len(image), self.num_aus, len(SIDES))
        for name, given in (("aus", aus), ("own", own)):
            if given is not None and given.shape != wanted:
                raise ValueError(
                    f"{name} must have shape {wanted} (AUs, left and right), got "
                    f"{tuple(given.shape)}"
                )
        _, _, height, width = image.shape
        signed = 2 * image - 1  # (B, 3, H, W) in [-1, 1], the range of tanh
        left, right = aus[..., None, None].unbind(2)  # (B, N, 1, 1)
        tiled = right + (left - right) * left_weight(width, aus.device)  # (B, N, 1, W)
        tiled = tiled.expand(-1, -1, height, -1)
        half = self.trunk[:-3](torch.cat([signed, tiled.to(signed.dtype)], dim=1))
        features = self.trunk[-3:](half)  # (B, C, H, W), behind the last upsampling
        colour, mask = self.heads(features).float().split([3, 1], dim=1)
        colour = (torch.tanh(colour) + 1) / 2
        mask = torch.sigmoid(mask)
        if not self.motion:
            return Generated(mask * image + (1 - mask) * colour, mask, colour)
        motion = self._displacement(half, aus if own is None else aus - own, (height, width))
        return Generated(mask * warp(image, motion) + (1 - mask) * colour, mask, colour, motion)

    def _displacement(self, half: Tensor, change: Tensor, size: tuple[int, int]) -> Tensor:
        """d, (B, 2, H, W) in pixels."""
        fields = self.motion * torch.tanh(self.fields(half).float())
        fields = fields.unflatten(1, (self.num_aus, 2))  # (B, N, 2, H/2, W/2), shares of the side
        left, right = change.float().unbind(2)  # (B, N)
        summed = torch.einsum("bn,bnchw->bchw", right, fields)
        lopsided = torch.einsum("bn,bnchw->bchw", left - right, fields)
        summed = summed + lopsided * left_weight(fields.shape[-1], fields.device)
        grown = F.interpolate(summed, size, mode="bilinear", align_corners=False)
        return grown * grown.new_tensor([size[1], size[0]]).view(2, 1, 1)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            *_norm_relu(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _instance_norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        return x + self.main(x)


def _norm_relu(channels: int) -> list[nn.Module]:
    return [_instance_norm(channels), nn.ReLU(inplace=True)]


def _instance_norm(channels: int) -> nn.Module:
    # A group a channel is instance normalisation; this form of it is several times faster on a CPU.
    return nn.GroupNorm(channels, channels)
