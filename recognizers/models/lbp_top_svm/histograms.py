"""LBP-TOP (Zhao and Pietikainen 2007): binary patterns on three orthogonal planes of a clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEVELS = 65535  # values are rounded to 16 bits, so that equal ones are equal
_TOLERANCE = 0.05  # levels, by which rounding may make interpolated values differ

T, Y, X = 1, 2, 3  # axes of clips (B, T, H, W)
PLANES = ((Y, X), (T, X), (T, Y))
"""The planes XY, XT and YT, each as the axes along which its neighbours' sine and cosine run."""


def lbp_codes(
    clips: Tensor, plane: tuple[int, int], radii: tuple[int, int, int], neighbours: int
) -> Tensor:
    """Codes of local binary patterns in one plane.

    Neighbour p lies at the angle 2 pi p / P on the ellipse of the plane's two radii, interpolated
    bilinearly between pixels, and sets bit p if it is at least as bright as the centre.

    Args:
        clips: (B, T, H, W) grey in [0, 1].
        plane: one of :data:`PLANES`.
        radii: R_x, R_y in pixels, R_t in frames.
        neighbours: P.

    Returns:
        (B, T - 2 R_t, H - 2 R_y, W - 2 R_x) int64 in 0..2^P - 1: pixels that have neighbours in
        all three planes.
    """
    values = (clips * _LEVELS).round()
    reach = {X: radii[0], Y: radii[1], T: radii[2]}
    middle = _shifted(values, {X: 0, Y: 0, T: 0}, reach)
    codes = torch.zeros_like(middle, dtype=torch.int64)
    for p in range(neighbours):
        angle = 2 * math.pi * p / neighbours
        along = {plane[1]: reach[plane[1]] * math.cos(angle)}
        along[plane[0]] = -reach[plane[0]] * math.sin(angle)
        neighbour = _between(values, along, reach)
        codes += (neighbour >= middle - _TOLERANCE).long() << p
    return codes


def _between(values: Tensor, along: dict[int, float], reach: dict[int, int]) -> Tensor:
    """Values at an offset from each centre, interpolated along two axes."""
    (first, one), (second, two) = ((axis, round(offset, 6)) for axis, offset in along.items())
    result = torch.zeros(())
    for low_one in (math.floor(one), math.floor(one) + 1):
        for low_two in (math.floor(two), math.floor(two) + 1):
            weight = (1 - abs(one - low_one)) * (1 - abs(two - low_two))
            if weight > 0:
                offset = {X: 0, Y: 0, T: 0, first: low_one, second: low_two}
                result = result + weight * _shifted(values, offset, reach)
    return result


def _shifted(values: Tensor, offset: dict[int, int], reach: dict[int, int]) -> Tensor:
    """Every centre's value at an integer offset."""
    for axis, radius in reach.items():
        size = values.shape[axis] - 2 * radius
        values = values.narrow(axis, radius + offset[axis], size)
    return values


def pattern_labels(neighbours: int, uniform: bool) -> Tensor:
    """Label of each code, (2^P,) int64: the code itself, or one label for all non-uniform codes.

    A pattern is uniform if at most two pairs of adjacent bits around the circle differ (Ojala et
    al. 2002): 58 patterns of 8 neighbours, 14 of 4 neighbours.
    """
    codes = torch.arange(2**neighbours)
    if not uniform:
        return codes
    turned = (codes >> 1) | ((codes & 1) << (neighbours - 1))
    changes = sum(((codes ^ turned) >> p) & 1 for p in range(neighbours))
    is_uniform = torch.as_tensor(changes) <= 2
    labels = is_uniform.cumsum(0) - 1
    return torch.where(is_uniform, labels, is_uniform.sum())


def num_labels(neighbours: int, uniform: bool) -> int:
    """Number of labels: 2^P, or the number of uniform patterns plus one."""
    return int(pattern_labels(neighbours, uniform).max()) + 1


def lbp_top(
    clips: Tensor,
    blocks: int = 5,
    radii: tuple[int, int, int] = (1, 1, 4),
    neighbours: int = 4,
    uniform: bool = False,
) -> Tensor:
    """Histograms of the patterns in each block of the image, over all frames, and in each plane.

    Args:
        clips: (B, T, H, W) grey in [0, 1].
        blocks: blocks per side.
        radii: R_x, R_y in pixels, R_t in frames.
        neighbours: P, in all planes.
        uniform: whether all non-uniform patterns share one label.

    Returns:
        (B, 3, blocks^2, labels) float32, each histogram adding up to 1; planes XY, XT, YT.

    Raises:
        ValueError: if the clips have another shape, or fewer pixels than blocks.
    """
    need = (2 * radii[2] + 1, blocks + 2 * radii[1], blocks + 2 * radii[0])
    shape = tuple(clips.shape)
    if clips.dim() != 4 or any(have < least for have, least in zip(shape[1:], need, strict=True)):
        raise ValueError(
            f"clips must be (B, T, H, W) with {need[0]} frames and {need[1]} x {need[2]} pixels or "
            f"more (for {blocks} blocks per side and radii {radii}), got {shape}"
        )
    table = pattern_labels(neighbours, uniform).to(clips.device)
    labels = num_labels(neighbours, uniform)
    histograms = []
    for plane in PLANES:
        codes = table[lbp_codes(clips, plane, radii, neighbours)]  # (B, t, h, w)
        rows, columns = (_block_of(side, blocks).to(codes) for side in codes.shape[2:])
        block = rows[:, None] * blocks + columns  # (h, w)
        clip = torch.arange(len(codes), device=codes.device)[:, None, None, None]
        place = (clip * blocks**2 + block) * labels + codes
        counts = place.flatten().bincount(minlength=len(codes) * blocks**2 * labels)
        counts = counts.view(len(codes), blocks**2, labels).float()
        histograms.append(counts / counts.sum(2, keepdim=True))
    return torch.stack(histograms, dim=1)


def _block_of(side: int, blocks: int) -> Tensor:
    """(side,), the block that each line of pixels belongs to."""
    parts = torch.arange(side).tensor_split(blocks)
    return torch.cat([torch.full_like(part, number) for number, part in enumerate(parts)])
