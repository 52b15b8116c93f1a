"""The generator G(I_in | Y) of AU-ICGAN, based on GANimation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.facs.action_units import CONDITION_AUS, SIDES

CROSSING = 0.06
"""Share of an image's width over which one side's intensity passes into the other's."""


class Generated(NamedTuple):
    """The output of a generator.

    Attributes:
        image: (B, 3, H, W) in [0, 1].
        mask: (B, 1, h, w) in [0, 1]; 1 keeps the input's pixel, 0 takes the colour's.
        colour: (B, 3, h, w) in [0, 1].
        motion: (B, 2, h, w) x, y in pixels, where each pixel of the moved input comes from; None
            for the form that only paints.
    """

    image: Tensor
    mask: Tensor
    colour: Tensor
    motion: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Fakes:
    """What the generator made of a training batch.

    Attributes:
        images: of its faces.
        clip: (B, K, 3, H, W) of its clips' first frames, with camera noise; None without clips.
    """

    images: Generated
    clip: Tensor | None


def left_weight(width: int, device: torch.device) -> Tensor:
    """(W,): weight of the subject's left side in each column of an image, in [0, 1].

    0 in the image's left half, 1 in its right half, with a smooth step over :data:`CROSSING` of the
    width in between.
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
    image's left half and the left side's in its right half (:func:`left_weight`, which assumes
    centred faces that look into the camera, as aligned ones do).

    Source: paper 3.4; layer sizes of GANimation (Pumarola et al., ECCV 2018), 8.4 M parameters at
    the default size. The layers have no bias, as there. Any image side divisible by 4 works; a
    trained checkpoint names the side it was trained for.

    Args:
        num_aus: length of the condition.
        channels: width of the first layer.
        blocks: number of residual blocks.

    Shape:
        - image: (B, 3, H, W) in [0, 1]; aus and own: (B M, num_aus, 2) in [0, 1], left and right.

    Raises:
        ValueError: if ``aus`` or ``own`` has another shape.
    """

    def __init__(
        self, num_aus: int = len(CONDITION_AUS), channels: int = 64, blocks: int = 6
    ) -> None:
        super().__init__()
        self.num_aus = num_aus
        width = channels
        layers = [nn.Conv2d(3 + num_aus, width, 7, padding=3, bias=False), *norm_relu(width)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), *norm_relu(2 * width)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
                *norm_relu(width // 2),
            ]
            width //= 2
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.Conv2d(width, 3 + 1, 7, padding=3, bias=False)  # colour and mask

    def forward(self, image: Tensor, aus: Tensor, own: Tensor | None = None) -> Generated:
        """Move the faces of images (B, 3, H, W) to the intensities (B M, num_aus, 2).

        Args:
            image: the faces.
            aus: the wanted intensities, M for each face, grouped by face.
            own: those that the faces show; this form ignores them.
        """
        each = conditions_each(self.num_aus, image, aus, own)
        features = self._first(image, aus, each)
        for layer in self.trunk[1:]:
            features = layer(features)
        image = image.repeat_interleave(each, 0)
        # With four channels to compute, a convolution on a CPU is a fifth faster in this layout.
        features = features.contiguous(memory_format=torch.channels_last)
        colour, mask = self.heads(features).float().split([3, 1], dim=1)
        colour = (torch.tanh(colour) + 1) / 2
        mask = torch.sigmoid(mask)
        return Generated(mask * image + (1 - mask) * colour, mask, colour)

    def _first(self, image: Tensor, aus: Tensor, each: int) -> Tensor:
        """The first convolution, of face and tile joined: (B M, channels, H, W).

        A convolution is linear, so the face's part is computed once for all of its conditions. The
        tile's rows are all alike, so its part differs only in the rows that meet the padding.
        """
        weight = self.trunk.get_parameter("0.weight")
        pad = weight.shape[-1] // 2
        height, width = image.shape[-2:]
        signed = 2 * image - 1  # (B, 3, H, W) in [-1, 1], the range of tanh
        face = F.conv2d(signed, weight[:, :3], padding=pad).repeat_interleave(each, 0)
        left, right = aus[..., None, None].unbind(2)  # (B M, N, 1, 1)
        tiled = right + (left - right) * left_weight(width, aus.device)  # (B M, N, 1, W)
        rows = tiled.to(signed.dtype).expand(-1, -1, min(height, 2 * pad + 1), -1)
        tile = F.conv2d(rows, weight[:, 3:], padding=pad)
        if height > tile.shape[2]:
            top, middle, bottom = tile.split([pad, 1, pad], 2)
            tile = torch.cat([top, middle.expand(-1, -1, height - 2 * pad, -1), bottom], 2)
        return face + tile


def conditions_each(num_aus: int, image: Tensor, aus: Tensor, own: Tensor | None) -> int:
    """M, the number of conditions (B M, num_aus, 2) for each of B images.

    Raises:
        ValueError: if they have another shape.
    """
    each = len(aus) // max(1, len(image))
    wanted = (max(1, each) * len(image), num_aus, len(SIDES))
    for name, given in (("aus", aus), ("own", own)):
        if given is not None and given.shape != wanted:
            raise ValueError(
                f"{name} must have shape {wanted} (AUs, left and right), got {tuple(given.shape)}"
            )
    return each


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            *norm_relu(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _instance_norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        return x + self.main(x)


def norm_relu(channels: int) -> list[nn.Module]:
    """Instance normalisation and ReLU, which follow a convolution."""
    return [_instance_norm(channels), nn.ReLU(inplace=True)]


def _instance_norm(channels: int) -> nn.Module:
    # One group per channel is instance normalisation, and several times faster on a CPU.
    return nn.GroupNorm(channels, channels)
