"""Dense optical flow between frames, and quantities derived from it.

Frames are (B, 1 or 3, H, W) in [0, 1], grey or RGB; colour frames are reduced to luma. Flow is
(B, 2, H, W): displacement to the right (x) and down (y), in pixels, of each pixel of the first
frame. Between identical frames it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mersynth.checks import check_choice
from mersynth.motion.luma import luma
from mersynth.motion.tvl1 import Scheme, coarse_to_fine

_MIN_SIZE = 16  # pixels; less leaves no room for a pyramid or DIS's patches
_TOLERANCE = 1e-3  # how far frames may lie outside [0, 1]: rounding, not another range
# The initial flow; DIS would treat even zeros as a guess. OpenCV's type stubs want an array.
_NO_GUESS: Any = None

_DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def tvl1(
    first: Tensor,
    second: Tensor,
    *,
    attachment: float = 15.0,
    tightness: float = 0.3,
    num_warp: int = 5,
    num_iter: int = 10,
    tol: float = 1e-4,
    prefilter: bool = False,
) -> Tensor:
    """TV-L1 flow (Zach, Pock and Bischof 2007), as ``skimage.registration.optical_flow_tvl1``.

    Parameters, defaults and results are scikit-image's, computed as a batch on the frames' device.
    A pair's flow does not depend on the rest of the batch. It carries no gradient.

    Args:
        first: (B, 1 or 3, H, W) in [0, 1].
        second: likewise.
        attachment: lambda, the weight of the data: the smaller, the smoother the flow.
        tightness: theta, how far flow and data may differ; small.
        num_warp: how often the second frame is warped on each level of the pyramid.
        num_iter: iterations per warp.
        tol: a level ends when the mean squared change of the flow in a warp, in pixels, is less.
        prefilter: pass a median filter over the flow before each warp.

    Returns:
        (B, 2, H, W) x, y in pixels. (scikit-image returns row, then column.)

    Raises:
        ValueError: if the frames' shapes differ or are wrong, a side is under 16 pixels, values lie
            outside [0, 1] or are NaN, or a parameter is out of range.

    Example:
        >>> first, second = torch.rand(2, 4, 3, 64, 64)
        >>> tvl1(first, second, attachment=10).shape
        torch.Size([4, 2, 64, 64])
    """
    scheme = Scheme(
        attachment=attachment,
        tightness=tightness,
        num_warp=num_warp,
        num_iter=num_iter,
        tol=tol,
        prefilter=prefilter,
    )
    pair = _grey_pair(first, second)
    return _where_pixels_change(coarse_to_fine(*pair, scheme), *pair)


def farneback(
    first: Tensor,
    second: Tensor,
    *,
    pyr_scale: float = 0.5,
    levels: int = 1,
    winsize: int = 15,
    iterations: int = 2,
    poly_n: int = 5,
    poly_sigma: float = 1.1,
) -> Tensor:
    """Farneback's flow (2003) by OpenCV; the defaults are NMER's (Liu et al. 2019, their code).

    It runs on the CPU, on frames rounded to 8 bits, whatever the frames' device.

    Args:
        first: (B, 1 or 3, H, W) in [0, 1].
        second: likewise.
        pyr_scale: size of a level of the pyramid as a share of the finer one's.
        levels: levels of the pyramid, the frames' own included.
        winsize: side of the averaging window, in pixels.
        iterations: iterations per level.
        poly_n: side of the neighbourhood that a polynomial is fitted to, in pixels.
        poly_sigma: of the Gaussian that weights this neighbourhood, in pixels.

    Returns:
        (B, 2, H, W) x, y in pixels, on the frames' device.

    Raises:
        ValueError: as :func:`tvl1`, for the frames.
    """

    def method(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return cv2.calcOpticalFlowFarneback(
            one, two, _NO_GUESS, pyr_scale, levels, winsize, iterations, poly_n, poly_sigma, flags=0
        )

    return _by_opencv(first, second, method)


def dis(first: Tensor, second: Tensor, *, preset: str = "medium", finest_scale: int = 0) -> Tensor:
    """Dense inverse search (Kroeger et al. 2016) by OpenCV: fast, and good at large motion.

    It runs on the CPU, on frames rounded to 8 bits, whatever the frames' device.

    Args:
        first: (B, 1 or 3, H, W) in [0, 1].
        second: likewise.
        preset: ``"ultrafast"``, ``"fast"`` or ``"medium"``.
        finest_scale: where it stops: 0 at the frames' resolution, 1 at half of it (as the presets
            would), and so on.

    Returns:
        (B, 2, H, W) x, y in pixels, on the frames' device.

    Raises:
        ValueError: as :func:`tvl1`, for the frames; or if the preset is unknown.
    """
    check_choice("dis: preset", preset, _DIS_PRESETS)
    dense = cv2.DISOpticalFlow.create(_DIS_PRESETS[preset])
    dense.setFinestScale(finest_scale)

    def method(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return dense.calc(one, two, _NO_GUESS)

    return _by_opencv(first, second, method)


METHODS: dict[str, Callable[..., Tensor]] = {"tvl1": tvl1, "farneback": farneback, "dis": dis}
"""The flow methods by name."""


def optical_flow(first: Tensor, second: Tensor, method: str = "tvl1", **options: Any) -> Tensor:
    """Flow by a method of :data:`METHODS`.

    Args:
        first: (B, 1 or 3, H, W) in [0, 1].
        second: likewise.
        method: one of :data:`METHODS`.
        **options: of the method's function.

    Returns:
        (B, 2, H, W) x, y in pixels.

    Raises:
        ValueError: if there is no such method, or as the method's function does.
    """
    check_choice("flow method", method, METHODS)
    return METHODS[method](first, second, **options)


def magnitude(flow: Tensor) -> Tensor:
    """Length of the flow.

    Args:
        flow: (B, 2, H, W) x, y in pixels.

    Returns:
        (B, 1, H, W) in pixels.

    Raises:
        ValueError: if the flow has another shape.
    """
    _check_flow(flow)
    # On a CPU 36 times as fast as torch's norm over this axis.
    return torch.hypot(*flow.split(1, 1))


def optical_strain(flow: Tensor) -> Tensor:
    """Magnitude of the optical strain: how much the face is deformed, in any direction.

    The infinitesimal strain tensor is the symmetric part of the flow's gradient; with its normal
    and shear parts e (Shreve et al., FG 2011; Liong et al., ACCV workshops 2014)::

        e_xx = du/dx,  e_yy = dv/dy,  e_xy = e_yx = (du/dy + dv/dx) / 2
        |e| = sqrt(e_xx^2 + e_yy^2 + e_xy^2 + e_yx^2)

    Derivatives are central differences over neighbouring pixels, one-sided at the border.

    Args:
        flow: (B, 2, H, W) x, y in pixels; sides of 2 or more.

    Returns:
        (B, 1, H, W), pixels per pixel.

    Raises:
        ValueError: if the flow has another shape.
    """
    _check_flow(flow)
    du_dx, du_dy = torch.gradient(flow[:, :1], dim=(3, 2))
    dv_dx, dv_dy = torch.gradient(flow[:, 1:], dim=(3, 2))
    shear = (du_dy + dv_dx) / 2
    return (du_dx.square() + dv_dy.square() + 2 * shear.square()).sqrt()


def _check_flow(flow: Tensor) -> None:
    if flow.dim() != 4 or flow.shape[1] != 2:
        raise ValueError(f"flow must have shape (B, 2, H, W), got {tuple(flow.shape)}")


def _grey_pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The frames as grey images (B, H, W), float32 unless they are float64."""
    if first.shape != second.shape:
        raise ValueError(
            f"the two frames must have one shape, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    return _grey("first", first), _grey("second", second)


def _grey(name: str, frames: Tensor) -> Tensor:
    if frames.dim() != 4 or frames.shape[1] not in (1, 3) or not len(frames):
        raise ValueError(
            f"the {name} frames must have shape (B, 1 or 3, H, W), with B of 1 or more, got "
            f"{tuple(frames.shape)}"
        )
    if min(frames.shape[-2:]) < _MIN_SIZE:
        raise ValueError(
            f"optical flow needs frames of {_MIN_SIZE} x {_MIN_SIZE} pixels or more, got "
            f"{frames.shape[-2]} x {frames.shape[-1]}; prepare or generate them larger "
            f"(--image-size {_MIN_SIZE} or more)"
        )
    if not frames.is_floating_point():
        raise ValueError(
            f"the {name} frames must be float in [0, 1], got {frames.dtype}; divide uint8 by 255"
        )
    low, high = (bound.item() for bound in frames.detach().aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # NaN fails, too
        raise ValueError(
            f"the {name} frames must lie in [0, 1], got {low:.3g}..{high:.3g}; divide frames of "
            "0..255 by 255"
        )
    frames = frames.detach()
    frames = frames if frames.dtype == torch.float64 else frames.float()
    return luma(frames)[:, 0].contiguous()


def _by_opencv(
    first: Tensor, second: Tensor, method: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Tensor:
    one, two = (
        (grey * 255).round().clamp(0, 255).to(torch.uint8).cpu()
        for grey in _grey_pair(first, second)
    )
    flows = [torch.from_numpy(method(*pair)) for pair in zip(one.numpy(), two.numpy(), strict=True)]
    flow = torch.stack(flows).permute(0, 3, 1, 2).contiguous()
    return _where_pixels_change(flow, one, two).to(first.device)


def _where_pixels_change(flow: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """The flow (B, 2, H, W), set to 0 for identical pairs (B, H, W).

    There only the method's own error is left (up to half a pixel for Farneback), which an image
    stretched to its range would show as movement.
    """
    changed = (one != two).flatten(1).any(1)
    return torch.where(changed[:, None, None, None], flow, torch.zeros_like(flow))
