"""Sensor noise and JPEG compression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.checks import span

_SEEDS = 2**31
_BITS = 24  # bits of a word that are used: a float32 holds no more


def _mix(x: Tensor) -> Tensor:
    """Scramble int32 words (the finaliser of MurmurHash3, Appleby); products wrap around."""
    x = (x ^ ((x >> 16) & 0xFFFF)) * (0x85EBCA6B - 2**32)
    x = (x ^ ((x >> 13) & 0x7FFFF)) * (0xC2B2AE35 - 2**32)
    return x ^ ((x >> 16) & 0xFFFF)


def _even(x: Tensor) -> Tensor:
    """Words as float32, uniform on (0, 1)."""
    return (((x >> (32 - _BITS)) & (2**_BITS - 1)) + 0.5) / 2**_BITS


def hashed_normal(seed: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers that depend only on a seed and a position.

    A generator would have to be seeded for each sample, and differs between devices; these numbers
    do not depend on the device or the rest of the batch.

    Args:
        seed: (B,) int64 in [0, 2^31).
        shape: shape of a sample.

    Returns:
        (B, *shape) float32.
    """
    count = math.prod(shape)
    place = _mix(torch.arange((count + 1) // 2, dtype=torch.int32, device=seed.device))
    first = _mix(place + seed[:, None].to(torch.int32))
    second = _mix(first)
    # Two words give two numbers (Box and Muller 1958).
    radius = (-2 * _even(first).log()).sqrt()
    angle = 2 * math.pi * _even(second)
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
    return both[:, :count].reshape(-1, *shape)


def sensor_noise(frames: Tensor, shot: Tensor, read: Tensor, seed: Tensor) -> Tensor:
    """Poissonian-Gaussian noise of a sensor: ``I + sqrt(shot * I + read^2) * n``, n normal.

    Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data"
    (IEEE TIP 2008), eq. 3 and 4, with the Poisson part as its normal limit.

    Args:
        frames: (B, T, C, H, W) in [0, 1].
        shot: (B,), variance per unit of brightness.
        read: (B,), standard deviation in the dark.
        seed: (B,) int64 in [0, 2^31); n differs from pixel to pixel, channel and frame.

    Returns:
        (B, T, C, H, W) in [0, 1].
    """
    shot, read = (value.reshape(-1, 1, 1, 1, 1) for value in (shot, read))
    # Rounding may have made brightness slightly negative.
    deviation = (shot * frames.clamp(min=0) + read.square()).sqrt()
    noise = hashed_normal(seed, frames.shape[1:])
    return (frames + deviation * noise).clamp(0, 1).to(frames.dtype)


class SensorNoise(Augmentation):
    """Camera noise, independent in every frame, so that it does not move with the face.

    Args:
        shot: (least, largest) variance per unit of brightness, within [0, 1].
        read: (least, largest) standard deviation in the dark, within [0, 1]. The defaults reach 2.4
            % in full light, as of a camera at high gain.
        p: probability that a sample is changed.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if a range exceeds [0, 1]; in the call, if frames do.

    Example:
        >>> noisy = SensorNoise(p=1)(torch.full((2, 8, 3, 32, 32), 0.5))
        >>> bool((noisy[:, 0] == noisy[:, 1]).all())
        False
    """

    unit_range = True

    def __init__(
        self,
        shot: float | Sequence[float] = (0.0, 5e-4),
        read: float | Sequence[float] = (0.0, 0.01),
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.shot = span(self, "shot", shot, 0, 1)
        self.read = span(self, "read", read, 0, 1)

    def draw(self, batch: Batch) -> Params:
        """``shot``, ``read`` and the noise's ``seed``, each (B,)."""
        seed = torch.randint(_SEEDS, (len(batch),), generator=self.generator)
        return {
            "shot": self.uniform(batch, *self.shot),
            "read": self.uniform(batch, *self.read),
            "seed": seed.to(batch.device),
        }

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        noisy = sensor_noise(batch.frames, params["shot"], params["read"], params["seed"])
        return replace(batch, frames=noisy)

    def extra_repr(self) -> str:
        """What may be drawn."""
        return f"shot={self.shot}, read={self.read}, {super().extra_repr()}"


def jpeg(frames: Tensor, quality: Tensor) -> Tensor:
    """Encode and decode as JPEG with chroma at half resolution, by kornia.

    Args:
        frames: (B, T, C, H, W) in [0, 1], C of 3 (RGB) or 1 (grey).
        quality: (B,) in [1, 100], the same for all frames of a clip.

    Returns:
        (B, T, C, H, W) in [0, 1].

    Raises:
        ValueError: if there are neither 1 nor 3 channels.
    """
    from kornia.enhance import jpeg_codec_differentiable  # late: kornia takes a while to import

    channels = frames.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"JPEG needs 3 channels, or 1 for grey, got {channels}")
    images = frames.expand(-1, -1, 3, -1, -1).flatten(0, 1)
    coded = jpeg_codec_differentiable(images, quality.repeat_interleave(frames.shape[1]))
    coded = coded.clamp(0, 1)  # its smooth rounding may exceed the range slightly
    if channels == 1:
        coded = coded.mean(1, keepdim=True)
    return coded.reshape(frames.shape)


class RandomJPEG(Augmentation):
    """Compress every frame of a clip as JPEG, with one quality per clip.

    Args:
        quality: (lowest, highest), within [1, 100].
        p: probability that a sample is changed.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if the range exceeds [1, 100]; in the call, if frames lie outside [0, 1] or are
            neither RGB nor grey.

    Example:
        >>> RandomJPEG(quality=(50, 95), p=1)(torch.rand(2, 8, 3, 32, 32)).shape
        torch.Size([2, 8, 3, 32, 32])
    """

    unit_range = True

    def __init__(
        self,
        quality: float | Sequence[float] = (50, 95),
        p: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.quality = span(self, "quality", quality, 1, 100)

    def draw(self, batch: Batch) -> Params:
        """``quality`` (B,)."""
        return {"quality": self.uniform(batch, *self.quality)}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        return replace(batch, frames=jpeg(batch.frames, params["quality"]))

    def extra_repr(self) -> str:
        """What may be drawn."""
        return f"quality={self.quality}, {super().extra_repr()}"
