"""Training data for MagNet: frames with a small motion, and the truth with alpha times the motion.

As in the paper (Oh et al. 2018, 4.1), objects move over a background by sub-pixel displacements.
Here textures are procedural and fields analytic, so that the truth is rendered, not interpolated;
the other half of the data are phantom faces whose AU intensities are multiplied by alpha.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_SUPERSAMPLING = 2
_ITERATIONS = 4
# Fields that stretch by less than 1 are invertible; with half of that the iteration converges fast.
_STEEPEST = 0.5


class Pairs(NamedTuple):
    """Pairs of frames and their magnified truth.

    Attributes:
        first: (B, 3, H, W) in [0, 1].
        second: (B, 3, H, W), the first one moved.
        magnified: (B, 3, H, W), the first one moved alpha times as far.
        alpha: (B,), 1 or more.
    """

    first: Tensor
    second: Tensor
    magnified: Tensor
    alpha: Tensor


class Batch(NamedTuple):
    """Input of the loss: :class:`Pairs` with camera noise and changed colours.

    Attributes:
        first: (B, 3, H, W) in [0, 1], noisy.
        second: (B, 3, H, W), noisy, in perturbed colours.
        plain_second: (B, 3, H, W), noisy, in the first frame's colours.
        magnified: (B, 3, H, W), the truth without noise, in the second frame's colours.
        alpha: (B,).
    """

    first: Tensor
    second: Tensor
    plain_second: Tensor
    magnified: Tensor
    alpha: Tensor


def texture_pairs(
    count: int, size: int, largest_alpha: float, largest_motion: float, generator: torch.Generator
) -> Pairs:
    """Procedural objects over procedural backgrounds, each moved by its own smooth field.

    Args:
        count: number of pairs, B.
        size: side of the frames, in pixels.
        largest_alpha: alpha is drawn log-uniformly from 1 to this.
        largest_motion: largest displacement in the truth, in pixels; that of a pair is drawn
            log-uniformly from a tenth of it.
        generator: a generator on the CPU.
    """
    g = generator
    alpha = _log_uniform(count, 1.0, largest_alpha, g)
    reach = _log_uniform(count, largest_motion / 10, largest_motion, g)
    reach = reach.minimum(0.4 * largest_motion * alpha)  # the input's motion stays small
    layers = [_texture(count, size * _SUPERSAMPLING, g) for _ in range(2)]
    fields = [_field(count, size, g) * reach[:, None, None, None] for _ in range(2)]
    still = torch.rand(count, generator=g) < 0.5
    fields[1] = fields[1] * ~still[:, None, None, None]
    fields = [_flatten(field) for field in fields]
    cover = _cover(count, size * _SUPERSAMPLING, g)
    front = torch.cat([layers[0], cover], 1)

    def draw(share: Tensor) -> Tensor:
        """The scene after this share (B,) of the whole motion."""
        moved = _warp(front, fields[0] * share[:, None, None, None])
        behind = _warp(layers[1], fields[1] * share[:, None, None, None])
        picture = torch.lerp(behind, moved[:, :3], moved[:, 3:])
        return F.avg_pool2d(picture, _SUPERSAMPLING).clamp(0, 1)

    nothing, all_of_it = torch.zeros(count), torch.ones(count)
    return Pairs(draw(nothing), draw(1 / alpha), draw(all_of_it), alpha)


def perturb(pairs: Pairs, noise: float, colour: float, generator: torch.Generator) -> Batch:
    """Add camera effects: shot noise on the inputs, and other colours in the second frame.

    Args:
        pairs: clean pairs.
        noise: shot noise has the standard deviation ``n sqrt(x / 255)``, n drawn uniformly from 0
            to this (published: 0.3).
        colour: channels are multiplied by up to 1 +- this, and shifted by up to +- half of it.
        generator: a generator on the CPU.
    """
    count = len(pairs.alpha)
    strength = torch.rand(count, 1, 1, 1, generator=generator)  # some pairs keep their colours

    def draw(scale: float) -> Tensor:
        return (torch.rand(count, 3, 1, 1, generator=generator) * 2 - 1) * scale * strength

    gain, shift = 1 + draw(colour), draw(colour / 2)
    level = torch.rand(count, 1, 1, 1, generator=generator) * noise

    def noisy(frames: Tensor) -> Tensor:
        grain = torch.randn(frames.shape, generator=generator)
        seen = frames + grain * level * (frames / 255).sqrt()
        return (seen.clamp(0, 1) * 255).round() / 255  # stores hold 8 bits

    second, truth = ((x * gain + shift).clamp(0, 1) for x in (pairs.second, pairs.magnified))
    return Batch(noisy(pairs.first), noisy(second), noisy(pairs.second), truth, pairs.alpha)


def _log_uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    share = torch.rand(count, generator=generator)
    return torch.exp(math.log(low) + share * math.log(high / low))


def _spectral_noise(shape: tuple[int, ...], slope: Tensor, generator: torch.Generator) -> Tensor:
    """Noise (B, C, S, S) of unit variance whose amplitude falls as frequency ** -slope (B,)."""
    size = shape[-1]
    fy, fx = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    frequency = (fx.square() + fy.square()).sqrt().clamp(min=1 / size)
    spectrum = torch.fft.rfft2(torch.randn(shape, generator=generator))
    spectrum = spectrum * frequency ** -slope[:, None, None, None]
    # Nothing above a quarter of the sampling rate, so that frames of half the size do not alias.
    noise = torch.fft.irfft2(spectrum * torch.exp(-((frequency / 0.22) ** 4)), s=(size, size))
    noise = noise - noise.mean((2, 3), keepdim=True)
    return noise / noise.std((2, 3), keepdim=True).clamp(min=1e-6)


def _texture(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Colourful textures (B, 3, S, S) in [0, 1]: clouds, patches with sharp edges, stripes."""

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    noise = _spectral_noise((count, 3, size, size), 0.7 + 1.3 * rand(count), generator)
    kind = torch.randint(3, (count, 1, 1, 1), generator=generator)
    patches = torch.tanh(noise * (2 + 6 * rand(count, 1, 1, 1)))
    angle, period = rand(count) * math.tau, 8 + 40 * rand(count)
    wave = torch.stack([angle.cos(), angle.sin()], 1) * (math.tau / period)[:, None]
    place = torch.arange(size, dtype=torch.float32)
    phase = wave[:, 0, None, None] * place + wave[:, 1, None, None] * place[:, None]
    stripes = torch.sin(phase[:, None] + noise)
    grey = torch.where(kind == 0, noise, torch.where(kind == 1, patches, stripes))
    # Most of a natural texture's variation is common to the channels.
    mix = torch.randn(count, 3, 3, generator=generator) * 0.35
    mix[:, :, 0] = 1
    contrast = 0.3 + 1.2 * rand(count, 1, 1, 1)
    coloured = torch.einsum("bij,bjhw->bihw", mix, grey) * contrast
    return torch.sigmoid(coloured + torch.randn(count, 3, 1, 1, generator=generator) * 0.7)


def _cover(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Where the object covers the background: (B, 1, S, S) in [0, 1], sharp at its outline."""
    slope = torch.full((count,), 2.2)
    shape = _spectral_noise((count, 1, size, size), slope, generator)
    level = torch.randn(count, 1, 1, 1, generator=generator) * 0.6
    return torch.sigmoid((shape + level) * 25)


def _field(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Smooth displacement fields (B, 2, S, S) whose longest vector is 1: a shift and waves."""
    fields = []
    for cells in (2, 4, 6):
        coarse = torch.randn(count, 2, cells, cells, generator=generator)
        fields.append(F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True))
    weight = torch.rand(count, 4, 1, 1, 1, generator=generator)
    weight = weight / weight.sum(1, keepdim=True)
    shift = torch.randn(count, 2, 1, 1, generator=generator).expand(-1, -1, size, size)
    field = (weight * torch.stack([shift, *fields], 1)).sum(1)
    return field / field.norm(dim=1).amax((1, 2)).clamp(min=1e-6)[:, None, None, None]


def _flatten(field: Tensor) -> Tensor:
    """Scale down fields (B, 2, H, W) that are too steep to be inverted."""
    steep = torch.maximum(field.diff(dim=2).abs().amax((1, 2, 3)),
                          field.diff(dim=3).abs().amax((1, 2, 3)))  # fmt: skip
    return field * (_STEEPEST / steep.clamp(min=_STEEPEST))[:, None, None, None]


def _warp(picture: Tensor, field: Tensor) -> Tensor:
    """Move what lies at x to x + field(x).

    Args:
        picture: (B, C, kH, kW).
        field: (B, 2, H, W) x, y in pixels of the small frame.
    """
    size = field.shape[-1]
    centre = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    here = torch.stack(torch.meshgrid(centre, centre, indexing="xy"))[None]  # (1, 2, H, W)
    motion = field * (2 / size)
    # The fixed point of place = pixel - motion(place).
    place = here.expand_as(motion)
    for _ in range(_ITERATIONS):
        grid = place.permute(0, 2, 3, 1)
        place = here - F.grid_sample(motion, grid, padding_mode="border", align_corners=False)
    factor = picture.shape[-1] // size
    fine = (torch.arange(size * factor, dtype=torch.float32) + 0.5) / (size * factor) * 2 - 1
    target = torch.stack(torch.meshgrid(fine, fine, indexing="xy"))[None]
    back = F.interpolate(place - here, scale_factor=factor, mode="bilinear", align_corners=False)
    grid = (target + back).permute(0, 2, 3, 1)
    return F.grid_sample(picture, grid, "bicubic", padding_mode="reflection", align_corners=False)
