"""Maps of motion (u, v, strain) as feature files have them: scaled, and cut to a framing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import numpy as np

from mersynth.checks import check_choice
from mersynth.face.template import Framing

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["none", "minmax", "standardise"]
"""What each channel of each clip is brought to. ``none``: its own unit; ``minmax``: 0..1, as in
published flow images; ``standardise``: mean 0 and standard deviation 1."""

SCALES: tuple[Scale, ...] = get_args(Scale)

Maps = TypeVar("Maps", np.ndarray, "Tensor")

_EXACT = 1e-4  # of the range or deviation: what float32 and eight bits leave
_OUTSIDE = 0.01  # of the side: framings that differ by rounded numbers


def scaled(maps: np.ndarray, scale: Scale) -> np.ndarray:
    """Bring maps to a scale.

    Args:
        maps: (N, ..., C, H, W) of any unit. A clip's channel is brought as a whole, all frames of a
            sequence together. A constant channel becomes 0.
        scale: the scale; ``"none"`` returns the maps as they are.

    Returns:
        (N, ..., C, H, W) float32.

    Raises:
        ValueError: if the scale is unknown.
    """
    check_choice("scale", scale, SCALES)
    if scale == "none":
        return maps
    axes = _of_a_channel(maps)
    values = maps.astype(np.float64)
    if scale == "minmax":
        values = values - values.min(axes, keepdims=True)
        size = values.max(axes, keepdims=True)
    else:
        values = values - values.mean(axes, keepdims=True)
        size = values.std(axes, keepdims=True)
    return (values / np.where(size > 0, size, 1)).astype(np.float32)


def scale_of(maps: np.ndarray) -> Scale:
    """The scale that maps (N, ..., C, H, W) have by their values; constant channels fit any."""
    axes = _of_a_channel(maps)
    low, high = maps.min(axes), maps.max(axes)
    moves = high > low
    if not moves.any():
        return "none"
    if np.abs(low[moves]).max() < _EXACT and np.abs(high[moves] - 1).max() < _EXACT:
        return "minmax"
    mean, deviation = (getattr(maps, name)(axes, dtype=np.float64) for name in ("mean", "std"))
    if np.abs(mean[moves]).max() < _EXACT and np.abs(deviation[moves] - 1).max() < _EXACT:
        return "standardise"
    return "none"


def cut(maps: Maps, framing: Framing, wanted: Framing) -> Maps:
    """The part of maps of one framing that another framing shows, in whole pixels.

    Displacements keep their unit, pixels of the uncut maps.

    Args:
        maps: (..., H, W).
        framing: of the maps.
        wanted: the other one.

    Raises:
        ValueError: if it shows more than the maps do.
    """
    box = wanted.within(framing)
    if box.min() < -_OUTSIDE or box.max() > 1 + _OUTSIDE:
        raise ValueError(
            f"frames framed {framing} do not show all that framing {wanted} does; prepare or "
            "render them with the framing wanted, or choose one that shows less"
        )
    height, width = maps.shape[-2:]
    (left, top), (right, bottom) = (box.clip(0, 1) * (width, height)).round().astype(int)
    return maps[..., top:bottom, left:right]


def _of_a_channel(maps: np.ndarray) -> tuple[int, ...]:
    """All axes but those of clips and channels."""
    return tuple(axis for axis in range(1, maps.ndim) if axis != maps.ndim - 3)
