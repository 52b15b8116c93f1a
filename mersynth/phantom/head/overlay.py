"""Glasses and a fringe: the layer in front of the face, which no muscle moves.

Both are painted once, as one layer in front of the head, each at its own depth, and follow only the
head's pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.phantom.head.appearance import Noise, hair_line
from mersynth.phantom.look import Fringe, Glasses
from mersynth.phantom.optics.camera import Camera, blur, pixel_centres, sample
from mersynth.phantom.optics.lights import Lights
from mersynth.phantom.subject import PhantomSubject

_DETAIL = 2  # cells per pixel side
_APART = 6.2  # cm between the eyes of the face that the glasses' sizes are given for
_BRIDGE, _TEMPLES = 168, (127, 356)  # vertices: the root of the nose, where the ears begin
_FOOT = 0.9  # least distance in cm between the mid-line and a lens: the nose is between them
_LOWER = 0.35  # cm that the lenses' middles lie below the eyes
_ARM = 0.13  # half the height of the glasses' arms, cm
_ARM_END = -1.5  # z of where the arms vanish behind the temples, cm
_HAIR_THICK = 0.35  # how far the fringe hangs in front of the forehead, cm


@dataclass(frozen=True)
class Overlay:
    """The layer; S is the side of the camera's image, R = 2S.

    Attributes:
        colour: (4, R, R) lit colour times cover, and cover.
        depth: (S, S) its depth, cm.
        box: rows and columns (top, bottom, left, right) of the image that it covers.
        shade: (S, S) share of the key light that it lets through to the skin.
    """

    colour: Tensor
    depth: Tensor
    box: tuple[float, float, float, float]
    shade: Tensor


def paint_overlay(
    subject: PhantomSubject,
    shape: Tensor,
    eyes: Tensor,
    maps: tuple[Tensor, Tensor, Tensor],
    camera: Camera,
    lights: Lights,
) -> Overlay | None:
    """The subject's glasses and fringe; None: neither.

    Args:
        subject: the subject.
        shape: (V, 3) the head, cm, whose first 468 vertices are MediaPipe's.
        eyes: (2, 3) centres of the right and left eye, cm.
        maps: at the image's pixels: canonical positions (3, S, S), depth of the head (S, S) in cm,
            and the light that the head returns at rest (3, S, S).
        camera: which sees it.
        lights: which light it.
    """
    look = subject.look
    if look.glasses is None and look.fringe is None:
        return None
    size, device = camera.size, shape.device
    place, head, lit = (_finer(m.reshape(-1, size, size)) for m in maps)
    layer = torch.zeros(4, *place.shape[1:], device=device)
    depth = head[0] + _HAIR_THICK
    noise = Noise(subject.seed + 2, device)
    if look.fringe is not None:
        layer = _fringe(look.fringe, place, subject, noise, lit)
    gap = torch.full_like(depth, _HAIR_THICK)
    if look.glasses is not None:
        front = float(shape[_BRIDGE, 2]) + 0.25
        x, y = camera.plane(*pixel_centres(size, device, _DETAIL * size), depth=front)
        temples = shape[list(_TEMPLES)]
        nearer = camera.scale(temples[:, 2:]) / camera.scale(torch.tensor(front))
        temples = temples * nearer  # where they are seen in the lenses' plane
        under = torch.sigmoid(hair_line(place.movedim(0, -1), subject) / 0.12)
        frame, far = _glasses(look.glasses, (x, y), eyes, temples, camera, lights, under)
        layer = layer * (1 - frame[3:]) + frame
        share = torch.sigmoid((eyes[:, 1].mean() + 1.9 - y) / 0.15)
        depth = torch.lerp(depth, front + (_ARM_END - front) * far, share)
        gap = (depth - head[0]).clamp(0.1, 2.5)
    coarse = F.avg_pool2d(torch.cat([layer, depth[None], gap[None]])[None], _DETAIL)[0]
    return Overlay(
        colour=layer,
        depth=coarse[4],
        box=_box(coarse[3], camera),
        shade=_shade(coarse[3], coarse[5], camera, lights),
    )


def _finer(maps: Tensor) -> Tensor:
    fine = F.interpolate(maps[None], scale_factor=_DETAIL, mode="bilinear", align_corners=False)
    return fine[0]


def _fringe(
    style: Fringe, place: Tensor, subject: PhantomSubject, noise: Noise, lit: Tensor
) -> Tensor:
    """(4, R, R) lit hair times cover, and cover."""
    x, y, _ = place
    along = y + 0.05 * x**2
    lean = {"straight": 0.1, "swept": 0.45, "parted": 0.25}[style.cut]
    turn = x - lean * (y - 7) * (torch.tanh(x / 0.6) if style.cut == "parted" else style.slant * 4)
    strand, fine = noise(turn, along, 0.3, 4.0), noise(turn, along, 0.11, 2.5)
    tips = style.tips + style.slant * x
    if style.cut == "parted":
        tips = style.tips + 2.4 * torch.exp(-((x / 1.5) ** 2)) - 0.06 * x**2 + 0.4
    ragged = 0.22 * strand + 0.12 * fine
    below = torch.sigmoid((y - tips - ragged) / 0.08)
    above = torch.sigmoid((0.6 - hair_line(place.movedim(0, -1), subject)) / 0.2)
    cover = below * above * torch.sigmoid((y - 3.0) / 0.2)
    cover = cover * (0.9 + 0.1 * torch.tanh(4 * (y - tips)))
    hair = torch.tensor(subject.hair, device=x.device)[:, None, None]
    colour = hair * (1 + 0.3 * strand + 0.2 * fine).clamp(0.25, 2.0) * lit
    return torch.cat([colour * cover, cover[None]])


def _glasses(
    style: Glasses,
    at: tuple[Tensor, Tensor],
    eyes: Tensor,
    temples: Tensor,
    camera: Camera,
    lights: Lights,
    under: Tensor,
) -> tuple[Tensor, Tensor]:
    """(4, R, R) lit glasses times cover, and cover; and (R, R) how far back along the arms."""
    middle = eyes.mean(0)
    unit = float((eyes[1, 0] - eyes[0, 0]) / _APART)
    side, up = (at[0] - middle[0]).abs() / unit, (at[1] - middle[1]) / unit + _LOWER
    half_width, half_height = style.half
    centre = max(_APART / 2, half_width + _FOOT)
    soft = 0.3 / (_DETAIL * camera.pixels_per_cm * unit)
    u, v = (side - centre) / half_width, up / half_height
    off = _distance(u, v, style)
    half = style.rim / 2 * (1 + style.brow * torch.tanh(3 * v)).clamp(0.0, 2.0)
    rim = _edge(half - off.abs(), soft)
    # The bridge arches between the lenses; the arms run from the hinges to the ears.
    inner, outer = centre - half_width, centre + half_width
    arch = 0.3 * half_height + 0.3 * (1 - (side / inner) ** 2)
    bridge = _edge(0.45 * style.rim + 0.02 - (up - arch).abs(), soft) * _edge(inner - side, soft)
    ear = (temples - middle) / unit
    far = ((side - outer) / (ear[:, 0].abs().mean() - outer).clamp(min=0.3)).clamp(0, 1)
    level = 0.45 * half_height * (1 - far) + (ear[:, 1].mean() + 0.5) * far
    arm = _edge(_ARM * (1 - 0.3 * far) - (up - level).abs(), soft)
    arm = arm * _edge(side - outer + 0.12, soft) * (1 - far**8) * (1 - under)
    cover = torch.maximum(torch.maximum(rim, bridge), arm)
    key, fill, ambient = lights.strength
    shine = torch.exp(-(((off / style.rim) - 0.15) ** 2) * 18) * (0.5 + 0.5 * torch.tanh(2 * v))
    rgb = torch.tensor(style.colour, device=side.device)[:, None, None]
    colour = rgb * (ambient + 0.6 * key + 0.4 * fill) + 0.06 * key * shine * rim
    within = _edge(-off, soft)
    band = torch.exp(-(((0.8 * u + 0.6 * v - 0.35) / 0.3) ** 2)) + 0.35 * (v + 1).clamp(0, 2)
    mirror = style.glare * key * band * within * (1 - cover)
    seen = torch.cat([colour * cover + mirror, torch.maximum(cover, 0.03 * within)[None]])
    return seen, far


def _distance(u: Tensor, v: Tensor, style: Glasses) -> Tensor:
    """Distance in cm to the outline of a lens, negative inside, to first order."""
    n, (a, b) = style.corners, style.half
    u, v = u.abs().clamp(min=1e-3), v.abs().clamp(min=1e-3)
    level = (u**n + v**n) ** (1 / n)
    slope = ((u ** (n - 1) / a) ** 2 + (v ** (n - 1) / b) ** 2).sqrt() * level ** (1 - n)
    return (level - 1) / slope.clamp(min=1e-3)


def _edge(inside: Tensor | float, soft: float) -> Tensor:
    return torch.sigmoid(torch.as_tensor(inside) / soft)


def _box(cover: Tensor, camera: Camera) -> tuple[float, float, float, float]:
    """Rows and columns that the layer covers, with room for the head's drift."""
    margin = 1.5 * camera.pixels_per_cm
    rows, columns = (cover.amax(k) > 0.002 for k in (1, 0))
    if not bool(rows.any()):
        return 0.0, 0.0, 0.0, 0.0
    (top, bottom), (left, right) = (
        (float(line.nonzero().min()) - margin, float(line.nonzero().max()) + 1 + margin)
        for line in (rows, columns)
    )
    return top, bottom, left, right


def _shade(cover: Tensor, gap: Tensor, camera: Camera, lights: Lights) -> Tensor:
    """The layer's shadow on the head: (S, S) share of the key light that arrives."""
    size, k = camera.size, camera.pixels_per_cm
    towards = torch.stack([lights.key[0], -lights.key[1]]) / lights.key[2].clamp(min=0.5) * k
    at = pixel_centres(size, cover.device)[None] + towards[None, :, None, None] * gap
    between = sample(cover[None, None], at, size)[0]
    return 1 - (0.65 - 0.35 * lights.softness) * blur(between, (0.1 + 0.3 * lights.softness) * k)[0]
