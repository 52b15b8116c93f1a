"""The generator G(I_in | Y) of AU-ICGAN, after its ancestor GANimation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mersynth.facs.action_units import CONDITION_AUS


class Generated(NamedTuple):
    """What the generator makes of a batch.

    Attributes:
        image: (B, 3, H, W) in [0, 1], the blend of input and colour.
        mask: (B, 1, H, W) in [0, 1]; 1 keeps the input's pixel, 0 takes the colour's.
        colour: (B, 3, H, W) in [0, 1].
    """

    image: Tensor
    mask: Tensor
    colour: Tensor


class Generator(nn.Module):
    """G(I_in | Y): moves the face of an image to the wanted AU intensities.

    The AU vector is tiled over the image and joined to its channels; an encoder, residual blocks
    and a decoder lead to two heads, the colour C and the attention mask A, blended as

        I_out = A * I_in + (1 - A) * C.

    Source: paper 3.4; layer sizes of GANimation (Pumarola et al., ECCV 2018), 8.4 M parameters at
    the default size. The layers have no bias, as there. Any image side divisible by 4 works; a
    trained checkpoint names the side it was trained for.

    Args:
        num_aus: length of the condition.
        channels: width of the first layer.
        blocks: number of residual blocks.

    Shape:
        - image: (B, 3, H, W) in [0, 1]; aus: (B, num_aus) in [0, 1].

    Raises:
        ValueError: if ``aus`` has another shape.
    """

    def __init__(
        self, num_aus: int = len(CONDITION_AUS), channels: int = 64, blocks: int = 6
    ) -> None:
        super().__init__()
        self.num_aus = num_aus
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

    def forward(self, image: Tensor, aus: Tensor) -> Generated:
        """Move the faces of images (B, 3, H, W) to the intensities (B, num_aus)."""
        if aus.shape != (len(image), self.num_aus):
            raise ValueError(
                f"aus must have shape {(len(image), self.num_aus)}, got {tuple(aus.shape)}"
            )
        _, _, height, width = image.shape
        signed = 2 * image - 1  # (B, 3, H, W) in [-1, 1], the range of tanh
        tiled = aus[:, :, None, None].expand(-1, -1, height, width)  # (B, N, H, W)
        features = self.trunk(torch.cat([signed, tiled.to(signed.dtype)], dim=1))  # (B, C, H, W)
        colour, mask = self.heads(features).float().split([3, 1], dim=1)
        colour = (torch.tanh(colour) + 1) / 2
        mask = torch.sigmoid(mask)
        return Generated(mask * image + (1 - mask) * colour, mask, colour)


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
