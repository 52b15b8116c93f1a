"""How a subject's maps change with the AUs, each computed when it is first needed."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from mersynth.phantom.head.mesh import HeadMesh, head_mesh, vertex_normals
from mersynth.phantom.head.muscles import au_fields
from mersynth.phantom.optics.camera import Camera, fill_holes, slopes
from mersynth.phantom.optics.raster import Raster
from mersynth.phantom.subject import PhantomSubject


class Response(NamedTuple):
    """Changes of a subject's maps by K AUs and sides at intensity 1.

    Attributes:
        columns: (K,) their numbers in flattened (20, 2) intensities.
        upper, lower: (K, 2, S, S) image motion in pixels; as the upper and as the lower lip
            follows. S is the side of the camera's image.
        normal: (K, 3, S, S) change of the normals.
        fold_shade: (K, 1, S, S) share of light that the folds keep out.
    """

    columns: Tensor
    upper: Tensor
    lower: Tensor
    normal: Tensor
    fold_shade: Tensor

    def by(self, aus: Tensor, maps: Tensor) -> Tensor:
        """One of these maps (K, C, S, S), summed over intensities (T, 20, 2): (T, C, S, S)."""
        weights = aus.flatten(1)[:, self.columns]
        return (weights @ maps.flatten(1)).unflatten(1, maps.shape[1:])


@dataclass(frozen=True)
class Responses:
    """A subject's responses to the 20 AUs on two sides.

    Attributes:
        shape: (V, 3) the subject's vertices, cm.
        head: the average head.
        subject: the subject.
        camera: sees the head.
        raster: which triangle each pixel of the camera's image sees.
        heights: (40, S, S) of the folds of each AU and side, cm.
        facing: (S, S) how much the surface at rest faces the camera.
    """

    shape: Tensor
    head: HeadMesh
    subject: PhantomSubject
    camera: Camera
    raster: Raster
    heights: Tensor
    facing: Tensor
    _known: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    def of(self, aus: Tensor) -> Response:
        """The response to all AUs and sides that occur in intensities (T, 20, 2)."""
        columns = aus.flatten(1).any(0).nonzero()[:, 0]
        wanted = columns.tolist() or [0]  # nothing moves: any AU will do
        if missing := [k for k in wanted if k not in self._known]:
            self._known.update(zip(missing, self._compute(missing), strict=True))
        maps = zip(*(self._known[k] for k in wanted), strict=True)
        return Response(columns.new_tensor(wanted), *(torch.stack(each) for each in maps))

    def turns(self) -> Tensor:
        """(2, 2, S, S) image motion in pixels by one radian of yaw and of pitch."""
        x, y, z = self.shape.unbind(-1)
        nothing = torch.zeros_like(x)
        turns = [torch.stack([z, nothing, -x], -1), torch.stack([nothing, z, -y], -1)]
        return self._maps([self.camera.project_motion(self.shape, torch.stack(turns))])[0]

    def _compute(self, columns: list[int]) -> list[tuple[Tensor, ...]]:
        """Maps of some AUs and sides, in the order of :class:`Response`."""
        device = self.shape.device
        fields = _fields()
        gains = torch.tensor(self.subject.gain, device=device).flatten()[columns]
        off_ears = 1 - self.head.ear[:, None]
        upper, lower = (f.flatten(0, 1)[columns].to(device) * off_ears for f in fields[:2])
        own = [i for i, k in enumerate(columns) if fields[2].flatten()[k]]  # lips apart
        moves = [
            self.camera.project_motion(self.shape, moved * gains[rows, None, None])
            for moved, rows in ((upper, slice(None)), (lower[own], own))
        ]
        true = torch.where((self.head.below > 0.5)[:, None], lower, upper)
        at_rest = vertex_normals(self.shape, self.head.faces)
        turned = (vertex_normals(self.shape + 0.5 * true, self.head.faces) - at_rest) * 2
        on_upper, on_lower, normal = self._maps([*moves, turned])
        by_lower = dict(zip(own, on_lower, strict=True))
        heights = self.heights[columns]
        normal[:, :2] -= slopes(heights, self.camera.pixels_per_cm) * self.facing
        normal *= gains[:, None, None, None]
        shade = ((-heights).clamp(min=0) * gains[:, None, None] * 2.2)[:, None]
        lowers = [by_lower.get(i, each) for i, each in enumerate(on_upper)]
        return list(zip(on_upper, lowers, normal, shade, strict=True))

    def _maps(self, values: list[Tensor]) -> list[Tensor]:
        """Values (K, V, C) of the vertices as maps (K, C, S, S)."""
        rows = torch.cat([each.permute(1, 0, 2).flatten(1) for each in values], 1)
        maps = fill_holes(self.raster.interpolate(rows), self.raster.covered)
        parts = maps.split([each.shape[0] * each.shape[2] for each in values])
        return [
            part.unflatten(0, (each.shape[0], each.shape[2]))
            for part, each in zip(parts, values, strict=True)
        ]


@functools.cache
def _fields() -> tuple[Tensor, Tensor, Tensor]:
    """Fields of the AUs on the average head, and (20, 2) bool: whether the lips' sides differ."""
    upper, lower = au_fields(head_mesh().vertices)
    return upper, lower, (upper != lower).flatten(2).any(2)
