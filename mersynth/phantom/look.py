"""How a person is recorded: glasses, hair, lips, light, room and camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[float, float, float]
BeardCut = Literal["full", "goatee", "moustache"]
FringeCut = Literal["straight", "swept", "parted"]
Backdrop = Literal["wall", "curtain", "shelves"]


@dataclass(frozen=True, slots=True)
class Glasses:
    """Glasses; lengths in cm on a face whose eyes are 6.2 cm apart.

    Attributes:
        half: half the width and half the height of a lens.
        corners: exponent of the lens' superellipse: 2 an ellipse, 4 nearly a rectangle.
        rim: thickness of the rims.
        brow: share by which they are thicker above; -1: rims below only.
        colour: of the rims, linear light.
        glare: light that the lenses reflect.
    """

    half: tuple[float, float]
    corners: float
    rim: float
    brow: float
    colour: Colour
    glare: float


@dataclass(frozen=True, slots=True)
class Fringe:
    """Hair that hangs over the forehead.

    Attributes:
        cut: ``"straight"``, ``"swept"`` to one side, or ``"parted"`` in the middle.
        tips: height of its tips on the average head, cm; the brows' upper edge is at 4.9.
        slant: rise of the tips towards the subject's left, cm per cm.
    """

    cut: FringeCut
    tips: float
    slant: float


@dataclass(frozen=True, slots=True)
class Look:
    """How one person is recorded; by default a bare face, lips closed, and a perfect camera.

    Attributes:
        glasses, fringe: their kind, or None.
        beard_cut: which parts of the subject's beard, if any, are left.
        parted: how far apart the lips are at rest, as an intensity of AU 25.
        softness: of the light: 0 a lamp, 1 a large screen.
        backdrop: the background: a bare ``"wall"``, a ``"curtain"`` or ``"shelves"``.
        accent: the second colour of the background.
        grey: whether the camera records grey.
        balance: factors on red, green and blue: an imperfect white balance.
        read_noise: standard deviation of the sensor's read noise, as a share of its full scale, in
            linear light.
        blur: standard deviation of the optics' blur, cm on the face.
        metering: how far exposure brings a face to a camera's usual level: 0 not at all, so that a
            dark face is dark, 1 all the way.
        jpeg: quality of the frames' compression, 1..100; None: not compressed.
    """

    glasses: Glasses | None = None
    fringe: Fringe | None = None
    beard_cut: BeardCut = "full"
    parted: float = 0.0
    softness: float = 0.0
    backdrop: Backdrop = "wall"
    accent: Colour = (0.2, 0.2, 0.2)
    grey: bool = False
    balance: Colour = (1.0, 1.0, 1.0)
    read_noise: float = 0.0
    blur: float = 0.0
    metering: float = 0.6
    jpeg: int | None = None


BARE = Look()
"""A bare face and a perfect camera."""
