"""The colours of a head, as functions of the canonical position; all in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.phantom.head.muscles import LIP_LINE
from mersynth.phantom.look import Colour
from mersynth.phantom.subject import PhantomSubject

# Outline of the lips: |x|, height of the upper border, height of the lower border, cm.
_LIP_X = (0.0, 0.3, 0.7, 1.4, 1.9, 2.3, 2.5, 2.9)
_LIP_TOP = (-3.42, -3.37, -3.32, -3.55, -3.82, -4.08, -4.25, -4.4)
_LIP_BOTTOM = (-5.34, -5.33, -5.26, -5.02, -4.78, -4.52, -4.35, -4.2)
# Middle of the brow: |x|, y, and its relative thickness.
_BROW_X = (0.9, 1.3, 2.2, 3.4, 4.4, 5.2, 5.8)
_BROW_Y = (4.0, 4.15, 4.42, 4.56, 4.4, 4.0, 3.6)
_BROW_T = (0.5, 1.0, 1.05, 0.95, 0.75, 0.5, 0.2)
# Upper border of the beard: |x|, height.
_BEARD_X = (0.0, 1.5, 3.2, 5.0, 6.5, 7.5)
_BEARD_Y = (-5.6, -5.3, -4.6, -3.4, -1.5, 0.5)
# Hair line: |x|, height.
_HAIR_X = (0.0, 2.0, 3.8, 5.2, 6.1, 6.7, 7.2, 7.5, 8.2)
_HAIR_Y = (7.75, 7.85, 7.4, 6.5, 5.2, 3.7, 2.2, 0.9, 0.4)


@dataclass(frozen=True)
class Surface:
    """What the skin and hair of a head look like.

    Attributes:
        albedo: (3, H, W) linear-light RGB.
        gloss: (H, W) strength of the highlights.
        relief: (H, W) height of the small unevenness of skin, brows and hair, cm.
    """

    albedo: Tensor
    gloss: Tensor
    relief: Tensor


class Noise:
    """Smooth random values on the plane, the same for a seed at every image size."""

    def __init__(self, seed: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._table = torch.randn(8, 1, 64, 64, generator=generator).to(device)
        self._next = 0

    def __call__(
        self, x: Tensor, y: Tensor, scale_x: float, scale_y: float | None = None
    ) -> Tensor:
        """Values of about unit variance with grains of the given size, at positions (H, W)."""
        table = F.pad(self._table[self._next % 8][None], (2, 2, 2, 2), mode="circular")
        shift = 13.7 * self._next
        self._next += 1
        at = torch.stack([x / scale_x, y / (scale_y or scale_x)], -1) + shift
        at = (at.remainder(64) + 2.5) / 68 * 2 - 1
        value = F.grid_sample(table, at[None], mode="bicubic", align_corners=False)
        return value[0, 0] * 1.3


def paint(place: Tensor, ear: Tensor, subject: PhantomSubject) -> Surface:
    """Colour a head.

    Args:
        place: (3, H, W) canonical position of each pixel, cm.
        ear: (H, W) 1 on the ears.
        subject: whose head.
    """
    x, y, z = place
    side = x.abs()
    noise = Noise(subject.seed, place.device)
    face = 1 - ear
    skin, gloss, relief = _skin(x, y, ear, subject, noise)
    albedo, beard = _beard(skin, x, y, subject, noise)
    lips = _lips(side, y) * face
    crease = 1 - 0.06 * noise(x, y, 0.09, 0.7).abs()
    albedo = torch.lerp(albedo, _rgb(subject.lips, x) * crease, lips * 0.85)
    gloss = gloss * (1 - 0.6 * beard) + 0.5 * lips
    line = torch.exp(-(((y - LIP_LINE) / 0.1) ** 2)) * torch.sigmoid((2.35 - side) / 0.1)
    albedo = albedo * (1 - 0.35 * line * face)

    brow, strand = _brows(side, y, subject, noise)
    brow = brow * face
    albedo = torch.lerp(albedo, _rgb(subject.brow, x) * (1 + 0.4 * strand), brow)
    gloss = gloss * (1 - 0.8 * brow)
    relief = relief + 0.02 * brow * strand

    hair, locks = _hair(x, y, z, ear, subject, noise)
    colour = _rgb(subject.hair, x) * (1 + 0.32 * locks).clamp(0.3, 2.0)
    cover = hair * (0.55 if subject.hair_length == 0 else 1.0)
    albedo = torch.lerp(albedo, colour, cover)
    gloss = gloss * (1 - 0.55 * hair)
    relief = relief * (1 - hair) + hair * (0.05 if subject.hair_length else 0.008) * locks
    return Surface(albedo.clamp(0.003, 0.95), gloss, relief)


def hair_line(canonical: Tensor, subject: PhantomSubject) -> Tensor:
    """Distance above the hair line, cm, negative on the face; (...,) for (..., 3) positions."""
    x, y, z = canonical.unbind(-1)
    above = (y - subject.hairline - interpolate(x.abs(), _HAIR_X, _HAIR_Y)) * 0.7
    behind = torch.minimum(-2.9 - z, (y - 0.6) * 0.8)
    return torch.maximum(above, behind)


def interpolate(x: Tensor, at: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    """Piecewise linear function through (at, values), constant beyond its ends."""
    knots = torch.tensor(at, device=x.device)
    heights = torch.tensor(values, device=x.device)
    k = torch.searchsorted(knots, x.contiguous()).clamp(1, len(at) - 1)
    share = ((x - knots[k - 1]) / (knots[k] - knots[k - 1])).clamp(0, 1)
    return torch.lerp(heights[k - 1], heights[k], share)


def _rgb(colour: Colour, like: Tensor) -> Tensor:
    return torch.tensor(colour, device=like.device)[:, None, None]


def _skin(
    x: Tensor, y: Tensor, ear: Tensor, subject: PhantomSubject, noise: Noise
) -> tuple[Tensor, Tensor, Tensor]:
    """Bare skin: albedo, gloss and relief."""
    side, face = x.abs(), 1 - ear

    def bump(cx: float, cy: float, sx: float, sy: float) -> Tensor:
        return torch.exp(-(((side - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)

    low, middle, fine = noise(x, y, 2.2), noise(x, y, 0.5), noise(x, y, 0.16)
    skin = _rgb(subject.skin, x) * (
        1 + subject.mottle * (0.03 * low + 0.022 * middle + 0.022 * fine)
    )
    red = bump(4.3, -0.9, 1.6, 1.3) + 0.9 * bump(0, -0.9, 1.0, 0.9) + 0.5 * bump(0, -7.2, 1.4, 1.0)
    red = (red * face + 0.8 * ear + 0.15 * low) * subject.blush
    skin = skin * torch.exp(red * _rgb((0.02, -0.16, -0.13), x))
    sockets = bump(2.6, 1.7, 1.3, 0.5) * 0.7 + bump(3.2, 3.4, 1.6, 0.6) * 0.5
    skin = skin * torch.exp(sockets * face * _rgb((-0.18, -0.26, -0.22), x))
    spots = (noise(x, y, 0.2) - 1.55).clamp(0, 0.4) * 2.5 * (bump(3, 0, 3.0, 1.8) + 0.2 * middle)
    skin = skin * torch.exp(-subject.freckles * spots.clamp(min=0) * _rgb((0.35, 0.6, 0.7), x))
    moles = ((noise(x, y, 0.24) - 4.1) * 4).clamp(0, 1)
    skin = skin * (1 - 0.6 * moles * face * torch.sigmoid((side - 2.0) / 0.1))
    nostril = torch.exp(-(((side - 0.72) / 0.34) ** 2 + ((y + 1.95) / 0.15) ** 2))
    skin = skin * (1 - 0.85 * nostril * face)
    gloss = 0.5 + 0.6 * bump(0.0, 0.2, 0.7, 2.2) + 0.4 * bump(0, 6.2, 3, 1.2) + 0.1 * middle
    relief = 0.004 * fine + 0.003 * noise(x, y, 0.1) + 0.004 * middle
    return skin, gloss, relief


def _lips(side: Tensor, y: Tensor) -> Tensor:
    top, bottom = interpolate(side, _LIP_X, _LIP_TOP), interpolate(side, _LIP_X, _LIP_BOTTOM)
    return torch.sigmoid((top - y) / 0.06) * torch.sigmoid((y - bottom) / 0.08)


def _brows(side: Tensor, y: Tensor, subject: PhantomSubject, noise: Noise) -> tuple[Tensor, Tensor]:
    middle = interpolate(side, _BROW_X, _BROW_Y) + subject.brow_height
    middle = middle + subject.brow_tilt * (side - 3.2) / 2.5
    half = 0.5 * subject.brow_thickness * interpolate(side, _BROW_X, _BROW_T)
    ends = torch.sigmoid((side - 1.0) / 0.12) * torch.sigmoid((5.5 - side) / 0.15)
    strand = noise(side - 0.8 * (y - middle), y - middle, 0.11, 1.2)
    ragged = ((y - middle).abs() - half + 0.04 * strand) / 0.1
    return torch.sigmoid(-ragged) * ends * subject.brow_density, strand


def _beard(
    skin: Tensor, x: Tensor, y: Tensor, subject: PhantomSubject, noise: Noise
) -> tuple[Tensor, Tensor]:
    side = x.abs()
    jaw = torch.sigmoid((interpolate(side, _BEARD_X, _BEARD_Y) - y) / 0.35)
    lip = torch.exp(-(((y + 2.85 + 0.06 * side**2) / 0.42) ** 4))
    lip = lip * torch.sigmoid((2.6 - side) / 0.3)
    beside = torch.exp(-(((side - 2.9) / 0.4) ** 2)) * torch.sigmoid((-3.2 - y) / 0.25)
    beside = beside * torch.sigmoid((y + 6) / 0.2)
    grain = noise(x, y, 0.07, 0.14)
    cut = subject.look.beard_cut
    if cut == "goatee":
        jaw = jaw * torch.sigmoid((2.1 + 0.1 * grain - side) / 0.15)
    chin = torch.zeros_like(jaw) if cut == "moustache" else torch.maximum(jaw, beside)
    cover = torch.maximum(chin, lip)
    cover = cover * (1 - _lips(side, y)) * subject.beard * (0.9 + 0.2 * grain).clamp(0, 1)
    colour = _rgb(subject.hair, x) * 0.8 * (1 + 0.35 * grain).clamp(0.3) + 0.15 * skin
    return torch.lerp(skin, colour, (cover * 0.85).clamp(0, 1)), cover


def _hair(
    x: Tensor, y: Tensor, z: Tensor, ear: Tensor, subject: PhantomSubject, noise: Noise
) -> tuple[Tensor, Tensor]:
    ragged = 0.12 * noise(x, y, 1.1) + 0.04 * noise(x, y, 0.15)
    away = hair_line(torch.stack([x, y, z], -1), subject) + ragged
    cover = torch.sigmoid(away / (0.14 if subject.hair_length else 0.4)) * (1 - ear)
    # Locks run from the crown down: narrow across, long along.
    turn = torch.atan2(x, y - 4.0) * 7.0
    along = (x**2 + (y - 4.0) ** 2).sqrt() + 0.5 * z
    turn = turn + subject.curl * 0.5 * torch.sin(along * 2.2 + noise(x, y, 1.6) * 1.5)
    locks = 0.6 * noise(turn, along, 0.22, 3.0) + 0.6 * noise(turn, along, 0.7, 5.0)
    return cover, locks
