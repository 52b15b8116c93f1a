"""The phantom's subjects: all parameters of a head that do not change with motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mersynth.phantom.look import BARE, Colour, Look

NUM_SHAPE_MODES = 24
APERTURE = (1.5, 1.85)  # range of the eyes' opening, relative to that between their mesh points
_HAIR = ((0.012, 0.009, 0.008), (0.035, 0.02, 0.012), (0.09, 0.05, 0.025), (0.2, 0.12, 0.05),
         (0.38, 0.27, 0.12), (0.16, 0.055, 0.02), (0.3, 0.29, 0.28))  # fmt: skip
_HAIR_ODDS = (0.3, 0.27, 0.17, 0.09, 0.06, 0.04, 0.07)
_DARK_HAIR_ODDS = (0.9, 0.27, 0.0, 0.0, 0.0, 0.0, 0.028)  # of dark skin
_EYES = ((0.06, 0.03, 0.015), (0.13, 0.07, 0.025), (0.14, 0.16, 0.06), (0.12, 0.2, 0.3),
         (0.22, 0.27, 0.3))  # fmt: skip
_EYE_ODDS = (0.45, 0.25, 0.1, 0.12, 0.08)
_DARK_EYE_ODDS = (0.45, 0.075, 0.0, 0.0, 0.0)
_SHIRTS = ((0.5, 0.5, 0.52), (0.02, 0.02, 0.025), (0.05, 0.08, 0.2), (0.3, 0.05, 0.05),
           (0.1, 0.2, 0.12), (0.7, 0.68, 0.65))  # fmt: skip
# Linear-light albedo of skin from the palest to the darkest.
_SKIN = ((0.80, 0.60, 0.51), (0.70, 0.48, 0.38), (0.52, 0.33, 0.23), (0.31, 0.18, 0.115),
         (0.13, 0.07, 0.047))  # fmt: skip


@dataclass(frozen=True, slots=True)
class PhantomSubject:
    """Identity of one subject; colours are linear-light RGB in [0, 1].

    Attributes:
        seed: the subject's number, which determines everything else.
        shape: coefficients of the shape modes (see :func:`deform`), about N(0, 1).
        skin, blush: skin albedo, and strength of the redness of cheeks, nose and ears in [0, 1].
        mottle, freckles: strength of the skin's uneven colour, and of freckles, in [0, 1].
        age: strength of the lines at rest, in [0, 1].
        lips: albedo of the lips.
        hair, hair_length, hairline, curl: colour; 0 shaved, 1 short, 2 long; height of the hairline
            above the average in cm; waviness in [0, 1].
        brow, brow_thickness, brow_height, brow_tilt, brow_density: colour; cm; cm above the
            average; rise of the outer over the inner end in cm; cover in [0, 1].
        beard: 0 none, up to 0.5 stubble, 1 beard.
        eyes: colour of the iris.
        aperture: height of the open eye, relative to that between its mesh points.
        shirt, background: colours.
        light: (3,) unit direction to the key light; x right, y up, z to the camera.
        key, fill, ambient: strengths of the lights.
        gain: (20, 2) strength of each AU on the left and right side, about 1.
        expressiveness: how strongly the subject shows an expression, about 1.
        noise: standard deviation of the camera's shot noise, in image values.
        look: glasses, fringe, light, room and camera.
    """

    seed: int
    shape: tuple[float, ...]
    skin: Colour
    blush: float
    mottle: float
    freckles: float
    age: float
    lips: Colour
    hair: Colour
    hair_length: int
    hairline: float
    curl: float
    brow: Colour
    brow_thickness: float
    brow_height: float
    brow_tilt: float
    brow_density: float
    beard: float
    eyes: Colour
    aperture: float
    shirt: Colour
    background: Colour
    light: Colour
    key: float
    fill: float
    ambient: float
    gain: tuple[tuple[float, float], ...]
    expressiveness: float
    noise: float
    look: Look = BARE

    @classmethod
    def sample(cls, seed: int) -> PhantomSubject:
        """The subject with a number: the same number gives the same subject everywhere.

        Raises:
            ValueError: if the number is negative.
        """
        if seed < 0:
            raise ValueError(f"a subject's number must be 0 or larger, got {seed}")
        rng = np.random.default_rng([seed, 0x9E3779B9])
        shape = np.clip(rng.normal(size=NUM_SHAPE_MODES), -2.0, 2.0)
        melanin = rng.beta(1.3, 1.9)
        skin, hair, eyes = colouring(melanin, rng)
        length = int(rng.choice(3, p=[0.08, 0.52, 0.4]))
        beard_odds = [0.45, 0.35, 0.2] if length < 2 else [1.0, 0.0, 0.0]
        beard = (0.0, rng.uniform(0.15, 0.5), rng.uniform(0.7, 1.0))[rng.choice(3, p=beard_odds)]
        red = np.array([1.0, 0.62, 0.62]) if length < 2 else np.array([1.05, 0.5, 0.53])
        light = _light(rng)
        grey = rng.choice([0.06, 0.25, 0.45, 0.62])
        sides = rng.normal(1.0, 0.12, (20, 1)) + rng.normal(0.0, 0.05, (20, 2))
        return cls(
            seed=seed,
            shape=tuple(shape.tolist()),
            skin=_colour(skin),
            blush=rng.uniform(0.3, 1.0),
            mottle=rng.uniform(0.4, 1.0),
            freckles=max(0.0, rng.uniform(-1.2, 1.0)) * float(melanin < 0.4),
            age=rng.beta(1.2, 2.2),
            lips=_colour(skin * red * rng.uniform(0.85, 1.0)),
            hair=_colour(hair * rng.uniform(0.8, 1.2)),
            hair_length=length,
            hairline=rng.normal(0.0, 0.35) + 0.5 * float(length < 2) * rng.random(),
            curl=rng.random(),
            brow=_colour(hair * 0.6 + 0.004),
            brow_thickness=rng.uniform(0.5, 0.85) * (1.1 if length < 2 else 0.85),
            brow_height=rng.normal(0.0, 0.12),
            brow_tilt=rng.normal(0.0, 0.12),
            brow_density=rng.uniform(0.65, 1.0),
            beard=beard,
            eyes=_colour(eyes * rng.uniform(0.8, 1.2)),
            aperture=rng.uniform(*APERTURE),
            shirt=_SHIRTS[rng.integers(len(_SHIRTS))],
            background=_colour(np.clip(grey * rng.uniform(0.93, 1.07, 3), 0.0, 1.0)),
            light=light,
            key=rng.uniform(0.75, 1.05),
            fill=rng.uniform(0.1, 0.35),
            ambient=rng.uniform(0.18, 0.32),
            gain=tuple((float(a), float(b)) for a, b in np.clip(sides, 0.7, 1.3)),
            expressiveness=float(np.clip(rng.lognormal(0.0, 0.3), 0.5, 1.8)),
            noise=rng.uniform(0.003, 0.012),
        )


def deform(canonical: Tensor, subject: PhantomSubject) -> Tensor:
    """Give the average head a subject's shape.

    Args:
        canonical: (V, 3) positions on the average head, cm.
        subject: whose shape.

    Returns:
        (V, 3) positions, cm.
    """
    s = subject.shape
    x, y, z = canonical.unbind(-1)
    side = x.abs()

    def bump(cx: float, cy: float, sx: float, sy: float) -> Tensor:
        return torch.exp(-(((side - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)

    lower = torch.sigmoid(-(y + 3.0) / 1.2)
    nose = bump(0.0, -0.6, 1.3, 1.5)
    scale_x = 1 + 0.03 * s[0] + 0.055 * s[1] * lower + 0.025 * s[2] * bump(6.5, 0.0, 2.5, 2.5)
    scale_x = scale_x + 0.13 * s[3] * nose + 0.09 * s[4] * bump(0.0, -4.3, 2.6, 1.6)
    new_x = x * scale_x
    y = y + 0.3 * (y - 2.65) * bump(3.2, 2.65, 1.5, 0.8)  # the average eye, a little larger
    off_centre = torch.tanh(x / 0.8)  # the sign of x, without a tear at the mid-line
    new_x = new_x + 0.1 * off_centre * (side - 3.2) * bump(3.2, 2.65, 1.2, 0.9)
    new_x = new_x + 0.07 * x * bump(0.0, -4.3, 2.8, 1.6)
    new_x = new_x + off_centre * 0.13 * s[5] * bump(3.2, 2.7, 2.2, 1.8)  # distance of the eyes
    new_x = new_x + 0.07 * s[6] * torch.sin(y / 3.0)  # a face is never quite symmetric
    new_y = y + 0.45 * s[7] * lower - 0.3 * s[8] * bump(0.0, -9.0, 2.5, 1.8)
    new_y = new_y + 0.28 * s[9] * bump(0.0, -1.3, 1.8, 1.4)  # length of the nose
    new_y = new_y + 0.22 * s[10] * bump(0.0, -4.3, 3.0, 1.5)  # height of the mouth
    new_y = new_y + 0.5 * s[11] * torch.sigmoid((y - 7.0) / 1.2)  # forehead
    new_y = new_y + 0.05 * s[12] * torch.tanh(x / 3.0)
    fold = (y + 4.28).clamp(-1.2, 1.2)  # thickness of the lips, about the line between them
    thickness = torch.where(y > -4.28, s[13], s[14])
    new_y = new_y + 0.24 * fold * thickness * bump(0.0, -4.3, 2.0, 1.1)
    slant = torch.tanh(side - 3.2) * bump(3.2, 2.7, 1.6, 1.0)
    new_y = new_y + 0.12 * s[15] * slant
    new_z = z + 0.45 * s[16] * nose + 0.25 * s[17] * bump(0.0, 1.6, 0.8, 1.6)  # nose, its bridge
    new_z = new_z + 0.3 * s[18] * bump(0.0, -8.0, 2.2, 1.6)  # chin
    new_z = new_z + 0.25 * s[19] * bump(2.5, 4.6, 3.0, 0.9)  # brow ridge
    new_z = new_z + 0.4 * s[20] * bump(4.4, -2.2, 1.8, 2.2)  # cheeks
    new_z = new_z + 0.2 * s[21] * bump(4.8, 0.4, 1.6, 1.2)  # cheek bones
    new_z = new_z + 0.22 * s[22] * bump(0.0, -4.3, 1.8, 1.0)  # lips
    new_z = new_z - 0.25 * s[23] * bump(3.2, 2.7, 1.3, 0.9)  # depth of the eyes
    new_z = new_z + 0.2 * bump(0.0, -4.85, 1.5, 0.3) + 0.12 * bump(0.0, -3.75, 1.4, 0.25)
    new_y = new_y + 0.02 * bump(2.6, -4.35, 0.8, 0.6) - 0.17 * bump(0.0, -5.5, 1.5, 0.5)
    # Below the eyes the mesh is longer than real faces, by the distance of their eyes.
    new_y = new_y + 0.05 * (2.65 - new_y).clamp(min=0)
    return torch.stack([new_x, new_y, new_z], -1)


def colouring(
    melanin: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours of skin, hair and eyes for a melanin in [0, 1]; dark skin has dark hair and eyes."""
    skin = _blend(_SKIN, melanin) * rng.uniform(0.94, 1.06) * rng.uniform(0.98, 1.02, 3)
    hair_odds = np.array(_HAIR_ODDS if melanin < 0.5 else _DARK_HAIR_ODDS)
    hair = np.array(_HAIR[rng.choice(len(_HAIR), p=hair_odds / hair_odds.sum())])
    eye_odds = np.array(_EYE_ODDS if melanin < 0.45 else _DARK_EYE_ODDS)
    eyes = np.array(_EYES[rng.choice(len(_EYES), p=eye_odds / eye_odds.sum())])
    return skin, hair, eyes


def _light(rng: np.random.Generator) -> Colour:
    """Unit direction to a key light in front of and above the face."""
    return direction(rng.uniform(-0.85, 0.85), rng.uniform(0.25, 0.75))


def direction(azimuth: float, elevation: float) -> Colour:
    """The unit vector (x right, y up, z to the camera) of two angles in radians."""
    return (
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
        math.cos(azimuth) * math.cos(elevation),
    )


def _blend(stops: tuple[Colour, ...], position: float) -> np.ndarray:
    at = position * (len(stops) - 1)
    k = min(int(at), len(stops) - 2)
    return np.array(stops[k]) * (1 - at + k) + np.array(stops[k + 1]) * (at - k)


def _colour(rgb: np.ndarray) -> Colour:
    r, g, b = (float(v) for v in rgb)
    return r, g, b


def subject_name(number: int) -> str:
    """The name of a subject in a store: ``"p007"``."""
    return f"p{number:03d}"
