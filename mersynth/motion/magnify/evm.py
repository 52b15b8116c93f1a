"""Linear Eulerian motion magnification (Wu et al., SIGGRAPH 2012).

A pixel's change over time is amplified and added back: for a small displacement delta the image's
first-order expansion makes that a larger displacement. Wu et al. write (eq. 3 to 6)::

    I~(x, t) = I(x, t) + alpha_Wu * B(x, t),   B = delta(t) * df/dx
             ~ f(x + (1 + alpha_Wu) * delta(t))

The functions here take ``alpha = 1 + alpha_Wu``, the obtained motion over the true one. The
expansion only holds for wavelengths above a bound (eq. 14)::

    alpha * delta < lambda / 8

so that each level of a spatial pyramid gets as much of alpha as its wavelength allows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.motion.magnify.alpha import alpha_of

_KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_SMALLEST = 8  # pixels: the first level's kernel and a residual


def eulerian(
    clip: Tensor,
    alpha: float | Tensor,
    low: float,
    high: float,
    fps: float,
    wavelength: float = 16.0,
    levels: int | None = None,
) -> Tensor:
    """Magnify motion in clips within a band of temporal frequencies.

    The temporal filter is an ideal band-pass on the cosine transform (DCT-II), that is, a Fourier
    transform of the clip followed by its mirror image: without delay, and without the jump from
    last to first frame that a Fourier transform of a short clip suffers from. Frequencies
    ``k * fps / (2 T)``, k = 1, 2, ..., exist; the mean over time is never amplified, so that a
    motion is magnified about its mean position.

    Args:
        clip: (B, T, C, H, W) in [0, 1], H and W at least 8 pixels.
        alpha: number or (B,), obtained over true motion, 1 or more; 1 changes nothing.
        low: lowest frequency that is amplified, in Hz.
        high: highest frequency that is amplified, in Hz; at most ``fps / 2``.
        fps: frames per second.
        wavelength: lambda_c in pixels. Levels that hold this wavelength or longer ones get the full
            alpha; those below it proportionally less, as the bound demands for
            ``delta = lambda_c / (8 alpha)``. 0 gives all of them the full alpha. A smaller value
            moves more, but amplifies noise and false edges; the default came nearest to the truth
            on phantom faces of 128 pixels at alpha 2 to 4.
        levels: levels of the pyramid; level l mainly holds wavelengths of ``2^(l+1)`` to
            ``2^(l+2)`` pixels. The residual of longer waves, mostly lighting, is not changed. None:
            as many as leave a residual of waves longer than half of the shorter side.

    Returns:
        (B, T, C, H, W), clipped to [0, 1].

    Raises:
        ValueError: if a shape or value does not fit, or the clip is too short to have a frequency
            in the band.
    """
    if clip.dim() != 5:
        raise ValueError(f"clip must have shape (B, T, C, H, W), got {tuple(clip.shape)}")
    factor = alpha_of(alpha, clip)
    batch, count = clip.shape[:2]
    kept = _band(count, low, high, fps)
    basis = _cosine_basis(count).to(clip)[kept]  # (K, T)
    filtered = torch.einsum("ks,kt,bs...->bt...", basis, basis, clip)
    change = _amplify(filtered.flatten(0, 1), factor.repeat_interleave(count), wavelength, levels)
    return (clip + change.unflatten(0, (batch, count))).clamp(0, 1)


def eulerian_pair(
    onset: Tensor,
    apex: Tensor,
    alpha: float | Tensor,
    wavelength: float = 16.0,
    levels: int | None = None,
) -> Tensor:
    """Magnify the motion from onset to apex; their difference replaces the filtered signal.

    Args:
        onset: (B, C, H, W) in [0, 1], H and W at least 8 pixels.
        apex: (B, C, H, W).
        alpha: number or (B,), obtained over true motion, 1 or more; 1 returns the apex.
        wavelength: see :func:`eulerian`.
        levels: see :func:`eulerian`.

    Returns:
        (B, C, H, W), the apex as if it had moved alpha times as far, clipped to [0, 1].

    Raises:
        ValueError: if a shape or value does not fit.
    """
    if onset.shape != apex.shape or apex.dim() != 4:
        raise ValueError(
            "onset and apex must both have shape (B, C, H, W), got "
            f"{tuple(onset.shape)} and {tuple(apex.shape)}"
        )
    change = _amplify(apex - onset, alpha_of(alpha, apex), wavelength, levels)
    return (apex + change).clamp(0, 1)


def _amplify(signal: Tensor, alpha: Tensor, wavelength: float, levels: int | None) -> Tensor:
    """``sum over l of (alpha_l - 1) * level_l`` of a signal (N, C, H, W), alpha (N,)."""
    side = min(signal.shape[-2:])
    if side < _SMALLEST:
        raise ValueError(
            f"Eulerian magnification needs frames of {_SMALLEST} x {_SMALLEST} pixels or more, "
            f"got {signal.shape[-2]} x {signal.shape[-1]}; prepare or generate them larger "
            f"(--image-size {_SMALLEST} or more)"
        )
    most = int(math.log2(side)) - 2  # the last level's kernel must fit when reflected
    if levels is not None and not 1 <= levels <= most:
        raise ValueError(f"levels must lie in 1..{most} for frames of {side} pixels, got {levels}")
    if not wavelength >= 0:
        raise ValueError(f"wavelength must be 0 or more pixels, got {wavelength}")
    total = torch.zeros_like(signal)
    low_pass = signal
    for level in range(levels or most):
        blurred = _blur(low_pass, 2**level)
        longest = 4.0 * 2**level  # pixels
        # alpha_l delta = lambda / 8 with delta = lambda_c / (8 alpha)
        share = min(1.0, longest / wavelength) if wavelength else 1.0
        gain = ((alpha * share).clamp(min=1) - 1)[:, None, None, None]
        total = total + gain * (low_pass - blurred)
        low_pass = blurred
    return total


def _blur(image: Tensor, spacing: int) -> Tensor:
    """Binomial low-pass with holes: a pyramid's level at full resolution, so nothing aliases."""
    reach = 2 * spacing
    for side, pad in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        padded, size = F.pad(image, pad, mode="reflect"), image.shape[side]
        taps = [padded.narrow(side, k * spacing, size) for k in range(5)]
        # Sums take a third of the time of a convolution with holes.
        image = _KERNEL[2] * taps[2]
        image.add_(taps[1] + taps[3], alpha=_KERNEL[1]).add_(taps[0] + taps[4], alpha=_KERNEL[0])
    return image


def _band(count: int, low: float, high: float, fps: float) -> Tensor:
    """(T,) bool, which of the cosine transform's frequencies lie in the band."""
    if not (fps > 0 and 0 <= low < high <= fps / 2):
        raise ValueError(
            f"frequencies must satisfy 0 <= low < high <= fps / 2, got low={low}, high={high}, "
            f"fps={fps}"
        )
    frequencies = torch.arange(count, dtype=torch.float64) * fps / (2 * count)
    kept = (frequencies >= low) & (frequencies <= high) & (frequencies > 0)
    if not bool(kept.any()):
        raise ValueError(
            f"a clip of {count} frames at {fps} fps has no frequency in {low}..{high} Hz (it has "
            f"multiples of {fps / (2 * count):.3g} Hz); widen the band or take a longer clip"
        )
    return kept


def _cosine_basis(count: int) -> Tensor:
    """Orthonormal DCT-II: (T, T), one row per frequency."""
    k = torch.arange(count, dtype=torch.float64)[:, None]
    t = torch.arange(count, dtype=torch.float64)[None]
    basis = torch.cos(math.pi * k * (t + 0.5) / count) * math.sqrt(2 / count)
    basis[0] /= math.sqrt(2)
    return basis
