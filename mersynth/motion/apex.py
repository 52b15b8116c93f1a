"""Apex spotting without labels: the frame in which a clip's face has moved furthest.

Every method turns a clip into a signal over its frames, :func:`apex_signal`, and takes a maximum of
it. In half a second a head can turn further than a micro-expression moves the skin, so that the
frame furthest from the onset is often the last. By default a frame is therefore compared with both
ends of the clip, as Moilanen et al. (ICPR 2014) contrast a frame's features with those before and
after it: steady motion from onset to offset cancels; motion that comes and goes remains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.checks import check_choice
from mersynth.motion.flow import farneback, magnitude, optical_strain
from mersynth.motion.lbp import histogram_difference, lbp_histograms
from mersynth.motion.luma import luma

Reference = Literal["ends", "onset"]

_SMALLEST = 32  # pixels: smaller frames do not suffice for flow and the blocks of LBP
_FLOW_SIDE = 64  # pixels: at 128 the flow is no better for the apex, and takes five times as long
_MARGIN = 8  # an eighth of each side is cut off: hair, background, and the flow's own border
_STILL = 1e-6  # a smaller signal is rounding, not movement


def _strain_signal(frames: Tensor, reference: Reference) -> Tensor:
    deviation = _deviation(_flow_from_onset(frames), reference)
    return optical_strain(deviation).mean((1, 2, 3))


def _flow_signal(frames: Tensor, reference: Reference) -> Tensor:
    deviation = _deviation(_flow_from_onset(frames), reference)
    shift = deviation.flatten(2).median(2).values[:, :, None, None]
    return magnitude(deviation - shift).mean((1, 2, 3))


def _lbp_signal(frames: Tensor, reference: Reference) -> Tensor:
    histograms = lbp_histograms(_inner(frames))
    signal = histogram_difference(histograms, histograms[:1]).mean(1)
    if reference == "ends":  # not the line: a mixture of histograms is smoother than either
        signal = (signal + histogram_difference(histograms, histograms[-1:]).mean(1)) / 2
    return signal


def _difference_signal(frames: Tensor, reference: Reference) -> Tensor:
    return _deviation(_inner(frames), reference).abs().mean((1, 2))


_SIGNALS: dict[str, Callable[[Tensor, Reference], Tensor]] = {
    "strain": _strain_signal,
    "flow": _flow_signal,
    "lbp": _lbp_signal,
    "difference": _difference_signal,
}

APEX_METHODS: tuple[str, ...] = tuple(_SIGNALS)
"""The methods by name; the first is the default, the best on the phantom's micro-expressions."""


def spot_apex(
    clip: Tensor,
    method: str = "strain",
    *,
    reference: Reference = "ends",
    smoothing: float = 0.05,
) -> int:
    """Find the frame of the strongest movement of a clip that runs from onset to offset.

    Args:
        clip: (T, C, H, W) in [0, 1], RGB or grey, of an aligned face.
        method: one of :data:`APEX_METHODS`, see :func:`apex_signal`. ``"strain"``, ``"flow"`` and
            ``"difference"`` take the signal's largest value, ``"lbp"`` searches its peaks by
            :func:`divide_and_conquer`.
        reference: what a frame is compared with, see :func:`apex_signal`.
        smoothing: see :func:`apex_signal`.

    Returns:
        Index of the apex among the clip's frames: never the first, and with ``"ends"`` never the
        last; of equal values the first.

    Raises:
        ValueError: as :func:`apex_signal`; or if nothing moves, so that there is no apex.

    Example:
        >>> ramp = torch.linspace(-1, 1, 9)[:, None, None, None]
        >>> spot_apex(0.5 + 0.4 * (1 - ramp.abs()) * torch.rand(3, 64, 64), "difference")
        4
    """
    signal = apex_signal(clip, method, reference=reference, smoothing=smoothing)
    if signal.max() <= _STILL:
        raise ValueError(
            f"apex method {method!r} finds no movement in the clip of {len(clip)} frames: it has "
            "no apex; leave the clip out, or check that its frames differ"
        )
    if method == "lbp":
        return divide_and_conquer(signal)
    return int(signal.argmax())


def apex_signal(
    clip: Tensor,
    method: str = "strain",
    *,
    reference: Reference = "ends",
    smoothing: float = 0.05,
) -> Tensor:
    """How far the face has moved in each frame, according to a method.

    Frames are first brought to the same brightness, so that flicker does not count, and smoothed in
    time. The methods are

    * ``"strain"``: mean optical strain of the flow from the onset (Shreve et al. 2011; Liong et al.
      2014), which shifts and in-plane turns of the head do not change;
    * ``"flow"``: mean magnitude of that flow less its median, the head's shift (maximal optical
      flow: Ma et al. 2017; Yan and Chen 2018);
    * ``"lbp"``: one less the correlation of LBP histograms (Liong et al. 2015, D&C-RoIs), the mean
      over the blocks of a grid, instead of their regions around landmarks;
    * ``"difference"``: mean absolute difference of pixels (Quang et al. 2019 also use onset and
      offset).

    Args:
        clip: (T, C, H, W) in [0, 1], RGB or grey, of an aligned face; T of 3 or more.
        method: one of :data:`APEX_METHODS`.
        reference: ``"ends"`` compares flow or pixels of frame t with the linear interpolation, at
            time t, between those of the first and last frame, and LBP histograms with those of both
            ends; for clips that end with the movement. ``"onset"`` compares with the first frame,
            as in the papers; for clips that end before the face is back at rest.
        smoothing: standard deviation of the Gaussian in time, as a share of the clip's length; 0:
            no smoothing.

    Returns:
        (T,) on the clip's device, 0 or more: by method, pixels per pixel, pixels (of a frame of
        64), a share, or grey levels in [0, 1]. The first value, and with ``"ends"`` the last, is 0
        up to rounding.

    Raises:
        ValueError: if the clip has another shape, under 3 frames, sides under 32 pixels, values
            outside [0, 1] or frames that are all the same, or an argument is unknown or negative.
    """
    check_choice("apex method", method, APEX_METHODS)
    check_choice("reference", reference, ("ends", "onset"))
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), a share of the clip, got {smoothing}")
    _check(clip)
    frames = _smoothed(_evenly_lit(clip.detach().float()), smoothing * len(clip))
    return _SIGNALS[method](frames, reference)


def divide_and_conquer(signal: Tensor) -> int:
    """Search the peaks of a signal as D&C-RoIs does (Liong et al. 2015, "binary search").

    The frames are halved repeatedly; the half with the larger sum of peaks is kept (of equals the
    earlier) until one peak is left. Unlike the maximum, this prefers a group of peaks to a single
    one.

    Args:
        signal: (T,) 0 or more; T of 3 or more.

    Returns:
        Index of the peak. A peak is larger than the frame before it and no less than the one after
        it; if there is none, the largest value between first and last frame.
    """
    values = signal.tolist()
    inner = range(1, len(values) - 1)
    peaks = [t for t in inner if values[t - 1] < values[t] >= values[t + 1]]
    if not peaks:
        return 1 + int(signal[1:-1].argmax())
    low, high = 0, len(values)
    while len(peaks) > 1:
        middle = (low + high) // 2
        early = [t for t in peaks if t < middle]
        late = [t for t in peaks if t >= middle]
        if sum(values[t] for t in early) >= sum(values[t] for t in late):
            peaks, high = early, middle
        else:
            peaks, low = late, middle
    return peaks[0]


@dataclass(frozen=True, slots=True)
class ApexError:
    """How far spotted apexes lie from the true ones.

    Attributes:
        frames: mean absolute error, in frames.
        share: mean absolute error, as a share of each clip's length in frames.
        clips: number of clips.
    """

    frames: float
    share: float
    clips: int


def measure_apex(
    clips: Iterable[tuple[Tensor, int]], methods: Sequence[str] = APEX_METHODS
) -> dict[str, ApexError]:
    """Compare methods, with their defaults, with known apexes.

    Args:
        clips: pairs of a clip (T, C, H, W) in [0, 1] and the index of its true apex.
        methods: which of :data:`APEX_METHODS`.

    Returns:
        The error of each method, and of ``"middle"``, which always takes the middle frame: a method
        that does no better has found nothing.

    Raises:
        ValueError: if there is no clip, or as :func:`spot_apex`.
    """
    errors: dict[str, list[tuple[int, int]]] = {name: [] for name in (*methods, "middle")}
    for clip, apex in clips:
        spotted = {name: spot_apex(clip, name) for name in methods}
        spotted["middle"] = (len(clip) - 1) // 2
        for name, index in spotted.items():
            errors[name].append((abs(index - apex), len(clip)))
    if not errors["middle"]:
        raise ValueError("measure_apex needs at least one clip, got none")
    return {
        name: ApexError(
            frames=sum(error for error, _ in pairs) / len(pairs),
            share=sum(error / length for error, length in pairs) / len(pairs),
            clips=len(pairs),
        )
        for name, pairs in errors.items()
    }


def _check(clip: Tensor) -> None:
    if clip.dim() != 4 or clip.shape[1] not in (1, 3):
        raise ValueError(
            f"apex spotting needs a clip (T, 1 or 3, H, W), got shape {tuple(clip.shape)}"
        )
    if len(clip) < 3:
        raise ValueError(
            f"an apex lies between first and last frame: a clip needs 3 frames or more, got "
            f"{len(clip)}; leave the clip out"
        )
    if min(clip.shape[2:]) < _SMALLEST:
        raise ValueError(
            f"apex spotting needs frames of {_SMALLEST} x {_SMALLEST} pixels or more, got "
            f"{clip.shape[2]} x {clip.shape[3]}; prepare them larger (--image-size {_SMALLEST} or "
            "more)"
        )
    if not clip.is_floating_point():
        raise ValueError(f"clip must be float in [0, 1], got {clip.dtype}; divide uint8 by 255")
    low, high = clip.min().item(), clip.max().item()
    if not (low >= 0 and high <= 1):  # NaN fails, too
        raise ValueError(f"clip must lie in [0, 1], got {low:.3g}..{high:.3g}")
    if bool((clip == clip[:1]).all()):
        raise ValueError(
            f"all {len(clip)} frames of the clip are the same: it has no movement and no apex; "
            "leave it out"
        )


def _evenly_lit(clip: Tensor) -> Tensor:
    """Grey frames (T, H, W) in [0, 1] of equal mean brightness."""
    grey = luma(clip)[:, 0]
    level = _inner(grey).mean((1, 2), keepdim=True)
    return (grey * (level.mean() / level.clamp(min=1e-6))).clamp(0, 1)


def _smoothed(frames: Tensor, sigma: float) -> Tensor:
    """Gaussian means over time; at the ends, over the existing frames."""
    if sigma == 0:
        return frames
    time = torch.arange(len(frames), device=frames.device, dtype=frames.dtype)
    weights = torch.exp(-0.5 * ((time[:, None] - time) / sigma) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.einsum("st,thw->shw", weights, frames).clamp(0, 1)


def _flow_from_onset(frames: Tensor) -> Tensor:
    """(T, 2, h, w) pixels, of frames of at most 64 on the shorter side, their margin cut off."""
    images, (height, width) = frames[:, None], frames.shape[1:]
    shrink = _FLOW_SIDE / min(height, width)
    if shrink < 1:
        size = (round(height * shrink), round(width * shrink))
        images = F.interpolate(images, size=size, mode="area")
    onset = images[:1].expand_as(images)
    return _inner(farneback(onset, images, levels=2, winsize=13, iterations=3))


def _inner(maps: Tensor) -> Tensor:
    height, width = maps.shape[-2:]
    top, left = height // _MARGIN, width // _MARGIN
    return maps[..., top : height - top, left : width - left]


def _deviation(features: Tensor, reference: Reference) -> Tensor:
    """Features (T, ...) minus those expected from steady motion alone."""
    if reference == "onset":
        return features - features[:1]
    time = torch.linspace(0, 1, len(features), device=features.device, dtype=features.dtype)
    time = time.view(-1, *[1] * (features.dim() - 1))
    return features - ((1 - time) * features[:1] + time * features[-1:])
