"""A small z-buffer: which triangle each pixel shows, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 1 << 21  # candidate pixels handled at once


@dataclass(frozen=True)
class Raster:
    """What each pixel sees.

    Attributes:
        covered: (H, W) True where a triangle is seen.
        corners: (H, W, 3) vertex numbers of that triangle (0 where none).
        weights: (H, W, 3) its barycentric weights (0 where none).
    """

    covered: Tensor
    corners: Tensor
    weights: Tensor

    def interpolate(self, values: Tensor) -> Tensor:
        """Vertex values (V, C) as a map (C, H, W), 0 where nothing is seen."""
        total = values[self.corners[..., 0]] * self.weights[..., :1]  # (H, W, C)
        for k in (1, 2):
            total.addcmul_(values[self.corners[..., k]], self.weights[..., k : k + 1])
        return total.permute(2, 0, 1)


def rasterize(points: Tensor, depth: Tensor, faces: Tensor, size: int) -> Raster:
    """Find the nearest counter-clockwise triangle at every pixel's centre.

    Args:
        points: (V, 2) x (right), y (down) in pixels; pixel (0, 0) has its centre at (0.5, 0.5).
        depth: (V,) larger is nearer.
        faces: (F, 3) vertex numbers, counter-clockwise seen from outside with y up.
        size: side of the image, in pixels.
    """
    tri = points[faces]  # (F, 3, 2)
    a, b, c = tri.unbind(1)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = (tri.amin(1) - 0.5).ceil().clamp(min=0)
    high = (tri.amax(1) - 0.5).floor().clamp(max=size - 1)
    span = (high - low + 1).amax(1)
    # With y down, a triangle that faces the camera has negative area.
    keep = (area < -1e-9) & ((high - low) >= 0).all(1)
    device = points.device
    nearest = torch.full((size * size,), -torch.inf, device=device)
    found = []
    for side in (2, 4, 8, 16, 32, 64, 128, 256):
        chosen = keep & (span <= side) & (span > (side // 2 if side > 2 else 0))
        for part in chosen.nonzero()[:, 0].split(max(1, _CHUNK // side**2)):
            hit = _candidates(part, tri, area, low, depth[faces], side, size)
            nearest.scatter_reduce_(0, hit[0], hit[3], "amax")
            found.append(hit)
    covered = torch.isfinite(nearest).reshape(size, size)
    corners = torch.zeros(size * size, 3, dtype=torch.long, device=device)
    weights = torch.zeros(size * size, 3, device=device)
    # On an edge two triangles are equally near: the first counts, in any order of writing.
    first = torch.full((size * size,), len(faces), device=device)
    for pixel, face, _, z in found:
        front = z == nearest[pixel]
        first.scatter_reduce_(0, pixel[front], face[front], "amin")
    for pixel, face, weight, z in found:
        front = (z == nearest[pixel]) & (face == first[pixel])
        corners[pixel[front]] = faces[face[front]]
        weights[pixel[front]] = weight[front]
    return Raster(covered, corners.reshape(size, size, 3), weights.reshape(size, size, 3))


def _candidates(
    part: Tensor, tri: Tensor, area: Tensor, low: Tensor, z: Tensor, side: int, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels inside the triangles ``part``: (pixel, face, weights, depth)."""
    step = torch.arange(side, device=tri.device)
    offset = torch.cartesian_prod(step, step).flip(1)  # x, y
    place = low[part][:, None] + offset  # (P, side^2, 2)
    a, b, c = (tri[part][:, k, None] for k in range(3))

    def cross(p: Tensor, q: Tensor) -> Tensor:
        d, e = q - p, place + 0.5 - p
        return d[..., 0] * e[..., 1] - d[..., 1] * e[..., 0]

    weight = torch.stack([cross(b, c), cross(c, a), cross(a, b)], -1) / area[part][:, None, None]
    # A little tolerance: rounding would leave cracks between neighbours.
    inside = (weight >= -1e-4).all(-1) & (place < size).all(-1)
    row, column = inside.nonzero(as_tuple=True)
    pixel = (place[row, column, 1] * size + place[row, column, 0]).long()
    face, weight = part[row], weight[row, column]
    return pixel, face, weight, (weight * z[face]).sum(-1)
