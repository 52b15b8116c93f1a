"""What a person wears, and what lies between them and a picture: lips, light, room and camera."""

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
        corners: exponent of the superellipse that a lens is: 2 an ellipse, 4 nearly a rectangle.
        rim: thickness of the rims.
        brow: share by which they are thicker above; -1: rims below only.
        colour: of the rims, linear light.
        glare: light that the lenses mirror.
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
        slant: rise of the tips to the subject's left, cm a cm.
    """

    cut: FringeCut
    tips: float
    slant: float


@dataclass(frozen=True, slots=True)
class Look:
    """How one person is recorded; by itself bare-faced, lips closed, before a perfect camera.

    Attributes:
        glasses, fringe: their kind; None: there is none.
        beard_cut: which parts of a beard are left, where the subject has one.
        parted: how far the lips are apart at rest, as an intensity of AU 25.
        softness: of the light: 0 a lamp, 1 a large screen.
        backdrop: what is behind: a bare ``"wall"``, a ``"curtain"`` or ``"shelves"``.
        accent: the second colour of what is behind.
        grey: whether the camera is a grey one.
        balance: factors on red, green and blue: a white balance that is off.
        read_noise: standard deviation of what reading the sensor adds, as a share of its full
            scale, in linear light.
        blur: standard deviation of the optics' blur, cm on the face.
        metering: how far exposure brings a face to a camera's usual level: 0 not at all, so that a
            dark face is dark, 1 all the way.
        jpeg: quality at which the frames are compressed, 1..100; None: they are not.
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
"""A bare face before a perfect camera."""
