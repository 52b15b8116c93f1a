"""How each Action Unit moves the surface, after FACS' description of its muscle.

A movement is a sum of pulls: displacements in cm that are strongest at one place and fade with the
distance from it, along and across the muscle's line. All are defined for both sides at once as
functions of ``side = |x|``, and divided at the mid-line by a smooth step, so that left and right
are mirror images.

An opening mouth splits the surface along the line between the lips, so every movement is defined
twice: for the upper lip's side of that line, and for the lower lip's side. Away from the mouth both
are the same.

Source: P. Ekman, W. Friesen, J. Hager, Facial Action Coding System, 2002; the positions are those
of MediaPipe's canonical face. Sizes and directions are compared with real faces in
``docs/au_geometry.md``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS

LIP_LINE = -4.28  # height of the line between the lips, cm
MOUTH_CORNER = 2.45  # |x| of the mouth's corners, cm

_BOTH, _UPPER, _LOWER = "both", "upper", "lower"


class _Pull(NamedTuple):
    """A pull on the skin; all in cm.

    Attributes:
        at: (|x|, y) of the place that moves most.
        reach: spread across and along the pull's line, a standard deviation each.
        move: displacement outwards, up and forwards.
        beyond: spread on the outer and the upper side, where it differs: skin follows freely on one
            side of a fold and hardly on the other.
        turn: degrees by which the line leans from upright towards the mid-line.
        lip: which lip's side it moves.
    """

    at: tuple[float, float]
    reach: tuple[float, float]
    move: tuple[float, float, float]
    beyond: tuple[float, float] | None = None
    turn: float = 0.0
    lip: str = _BOTH


_NASOLABIAL = 21.0  # degrees that the fold between nose and cheek leans

_PULLS: dict[int, tuple[_Pull, ...]] = {
    # Frontalis, medial part: the inner brow rises, and the forehead above it.
    1: (
        _Pull((1.3, 4.7), (1.3, 0.8), (-0.05, 0.8, 0.0), beyond=(1.4, 1.4)),
        _Pull((2.2, 3.5), (1.0, 0.4), (0.0, 0.15, 0.0)),
    ),
    # Frontalis, lateral part: the outer brow rises.
    2: (
        _Pull((4.7, 4.5), (1.3, 0.8), (0.05, 0.95, 0.0), beyond=(1.5, 1.4)),
        _Pull((4.0, 3.5), (1.1, 0.4), (0.0, 0.18, 0.0)),
    ),
    # Corrugator, depressor supercilii, procerus: the whole brow comes down, its head inwards too,
    # and the skin between the brows bulges.
    4: (
        _Pull((2.9, 4.6), (1.9, 0.7), (-0.26, -0.72, 0.05), beyond=(2.7, 1.1)),
        _Pull((1.4, 4.5), (0.8, 0.7), (-0.4, -0.14, 0.08), beyond=(1.0, 1.0)),
        _Pull((0.35, 4.4), (0.45, 0.9), (0.0, -0.2, 0.16)),
    ),
    # Levator palpebrae: chiefly the lid itself (LID_MOTION).
    5: (
        _Pull((3.2, 3.4), (1.2, 0.4), (0.0, 0.12, -0.08)),
        _Pull((3.3, 2.1), (1.3, 0.35), (0.0, -0.08, 0.0)),
    ),
    # Orbicularis oculi, outer part: cheeks up, skin drawn towards the eye.
    6: (
        _Pull((4.2, 0.3), (1.4, 1.6), (-0.08, 0.55, 0.22), beyond=(1.9, 0.9)),
        _Pull((5.4, 2.4), (0.9, 1.2), (-0.3, 0.05, 0.08), beyond=(1.2, 1.2)),
        _Pull((5.0, 4.0), (1.0, 0.6), (-0.1, -0.2, 0.0)),
    ),
    # Orbicularis oculi, inner part: lids tighten (LID_MOTION), the lower one bulges.
    7: (
        _Pull((3.2, 1.9), (1.4, 0.5), (-0.08, 0.2, 0.15)),
        _Pull((4.7, 2.6), (0.6, 0.7), (-0.18, 0.0, 0.0)),
        _Pull((3.2, 3.6), (1.2, 0.4), (0.0, -0.14, 0.08)),
    ),
    # Levator labii superioris alaeque nasi: along the nose's side its wing and the lip pull up.
    9: (
        _Pull((1.5, -0.9), (0.8, 1.2), (0.06, 0.55, 0.12), beyond=(1.3, 1.7), turn=8.0),
        _Pull((1.3, 4.2), (1.0, 0.8), (-0.15, -0.3, 0.06)),
        _Pull((1.2, -3.2), (1.1, 0.8), (0.03, 0.38, 0.0), lip=_UPPER),
    ),
    # Levator labii superioris: the upper lip's sides rise, the fold beside the wing bends.
    10: (
        _Pull((1.5, -3.5), (0.9, 0.8), (0.24, 0.82, 0.08), beyond=(0.65, 0.8), lip=_UPPER),
        _Pull((2.3, -1.5), (0.6, 1.1), (0.08, 0.4, 0.2), beyond=(1.1, 1.3), turn=_NASOLABIAL),
    ),
    # Zygomaticus minor: the middle of the nasolabial fold up and out.
    11: (
        _Pull((2.6, -2.2), (0.5, 1.1), (0.26, 0.42, 0.18), beyond=(1.1, 1.2), turn=_NASOLABIAL),
        _Pull((1.9, -3.5), (0.8, 0.6), (0.12, 0.28, 0.0), lip=_UPPER),
    ),
    # Zygomaticus major: the mouth's corners up and back, the skin beside the nasolabial fold with
    # them, and the cheek before it up and out.
    12: (
        _Pull((2.6, -4.25), (1.0, 1.0), (0.68, 0.74, -0.3), beyond=(1.2, 0.9)),
        _Pull((2.9, -2.7), (0.6, 1.4), (0.22, 0.42, 0.1), beyond=(1.3, 1.7), turn=_NASOLABIAL),
        _Pull((4.2, -0.9), (1.3, 1.1), (0.05, 0.28, 0.28), beyond=(1.7, 1.3)),
        _Pull((5.2, -0.7), (1.2, 1.3), (0.85, 0.15, 0.05), beyond=(1.6, 1.4)),
        _Pull((0.6, -3.6), (1.0, 0.7), (0.0, 0.14, -0.1), lip=_UPPER),
    ),
    # Buccinator: the corners are drawn out and back, the cheek towards them, a dimple between.
    14: (
        _Pull((2.4, -4.25), (0.7, 0.8), (0.22, 0.06, -0.22), beyond=(0.6, 0.8)),
        _Pull((3.1, -4.2), (0.35, 0.8), (0.0, 0.04, -0.38)),
        _Pull((4.0, -4.1), (0.6, 1.1), (-0.22, 0.06, 0.14), beyond=(1.1, 1.3)),
    ),
    # Depressor anguli oris: the corners down and out, along its line to the jaw.
    15: (
        _Pull((2.55, -4.5), (0.8, 0.9), (0.32, -0.8, -0.08), beyond=(1.0, 0.9)),
        _Pull((3.0, -6.0), (0.8, 1.3), (0.12, -0.32, 0.12), turn=10.0),
    ),
    # Mentalis: the chin's boss and the lower lip are pushed up.
    17: (
        _Pull((0.0, -6.9), (1.7, 1.1), (0.0, 0.75, 0.12)),
        _Pull((0.0, -5.0), (1.7, 0.7), (0.0, 0.42, 0.25), lip=_LOWER),
        _Pull((0.0, -3.9), (1.6, 0.7), (0.0, 0.3, 0.12), lip=_UPPER),
        _Pull((2.5, -4.5), (0.7, 0.7), (0.0, -0.15, 0.0)),
    ),
    # Risorius: the mouth is drawn wide, straight to the sides, and the cheek's skin with it.
    20: (
        _Pull((2.7, -4.6), (1.2, 1.1), (1.0, -0.16, -0.25), beyond=(1.8, 1.2)),
        _Pull((0.0, -5.4), (1.6, 0.8), (0.0, 0.1, -0.12), lip=_LOWER),
    ),
    # Orbicularis oris: the lips tighten, narrow and roll in; the mouth gets narrower.
    23: (_Pull((2.4, -4.3), (0.9, 0.9), (-0.45, 0.0, 0.05)),),
    # Orbicularis oris: the lips press on each other; skin bulges above and below.
    24: (
        _Pull((0.0, -2.9), (1.7, 0.5), (0.0, -0.1, 0.22)),
        _Pull((0.0, -5.9), (1.7, 0.5), (0.0, 0.3, 0.24)),
        _Pull((2.5, -4.3), (0.7, 0.6), (0.24, 0.16, -0.15)),
    ),
    # Depressor labii, or relaxed orbicularis oris: the lips part.
    25: (
        _Pull((0.0, -4.0), (1.6, 0.9), (0.0, 0.22, 0.0), lip=_UPPER),
        _Pull((0.0, -4.6), (2.0, 0.8), (0.0, -0.7, 0.05), lip=_LOWER),
        _Pull((0.9, -5.0), (1.4, 0.9), (0.1, -0.45, 0.05), lip=_LOWER),  # its two bellies
    ),
    # Beside the jaw, which _jaw_drop opens: the mouth gets narrower.
    26: (_Pull((2.5, -4.5), (1.0, 1.2), (-0.2, 0.0, 0.0)),),
    28: (
        _Pull((0.0, -2.9), (1.7, 0.6), (0.0, -0.28, -0.1)),
        _Pull((0.0, -6.0), (1.7, 0.7), (0.0, 0.35, 0.05)),
        _Pull((2.4, -4.3), (0.7, 0.7), (-0.2, 0.0, -0.1)),
    ),
    43: (_Pull((3.2, 3.4), (1.3, 0.4), (0.0, -0.1, 0.05)),),
}
# AU: share of the lips' red that disappears, upper and lower.
_ROLL_IN = {23: (0.42, 0.42), 24: (0.58, 0.58), 28: (0.72, 0.72), 20: (0.22, 0.22), 12: (0.2, 0.14)}
_JAW_DROP = (-1.95, -0.35)  # up, forwards

# AU: (share of the eye that the upper lid closes, share that the lower lid rises).
LID_MOTION = {
    1: (-0.06, 0.0),
    2: (-0.06, 0.0),
    4: (0.08, 0.0),
    5: (-0.65, 0.0),
    6: (0.06, 0.3),
    7: (0.2, 0.45),
    9: (0.08, 0.15),
    12: (0.0, 0.08),
    43: (1.0, 0.05),
}


def au_fields(canonical: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement of every vertex by every AU at intensity 1.

    Args:
        canonical: (V, 3) canonical positions, cm.

    Returns:
        Two tensors (20, 2, V, 3) in cm: the surface as the upper lip follows, and as the lower lip
        follows. Axes: AUs as ``CONDITION_AUS``; the subject's left (x > 0) and right side.
    """
    x, y, _ = canonical.unbind(-1)
    left = torch.sigmoid(x / 0.22)
    halves = torch.stack([left, 1 - left])  # (2, V)
    fields: dict[str, list[Tensor]] = {_UPPER: [], _LOWER: []}
    for au in CONDITION_AUS:
        for lip, field in fields.items():
            whole = _pulls(au, x, y, lip) + _roll_in(au, x, y, lip)
            if au == 26:
                whole = whole + _jaw_drop(x, y, lip)
            field.append(halves[..., None] * whole)
    return torch.stack(fields[_UPPER]), torch.stack(fields[_LOWER])


def lid_motion() -> Tensor:
    """(20, 2): closing of the upper lid and rise of the lower lid by each AU at intensity 1."""
    return torch.tensor([LID_MOTION.get(au, (0.0, 0.0)) for au in CONDITION_AUS])


def lid_openings(aus: Tensor) -> Tensor:
    """How AUs move the lids.

    Args:
        aus: (N, 20, 2) in [0, 1].

    Returns:
        (N, 2, 2) the subject's right and left eye; closing of the upper lid and rise of the lower,
        as shares of the eye's opening.
    """
    moved = torch.einsum("nas,al->nsl", aus, lid_motion().to(aus)).flip(1)
    return torch.stack([moved[..., 0].clamp(-0.7, 1.0), moved[..., 1].clamp(0.0, 0.8)], -1)


def mouth_share(x: Tensor) -> Tensor:
    """How freely the lips part at a place: 1 at the middle, 0 at the corners and beyond."""
    return (1 - (x / MOUTH_CORNER).abs() ** 3).clamp(min=0.0)


def _pulls(au: int, x: Tensor, y: Tensor, lip: str) -> Tensor:
    side = x.abs()
    total = torch.zeros(*x.shape, 3)
    for pull in _PULLS[au]:
        if pull.lip not in (_BOTH, lip):
            continue
        out, up, forward = pull.move
        weight = _reach(pull, side, y)
        if 0 < pull.at[0] < 2.5 * pull.reach[0]:  # mirrored pulls overlap at the mid-line
            mirrored = _reach(pull, -side, y)
            sideways = weight - mirrored
            weight = torch.maximum(weight, mirrored)
        else:
            sideways = weight * torch.tanh(side / 0.5)
        if pull.lip != _BOTH:
            weight = weight * _lip_share(x, y, lip)
            sideways = sideways * _lip_share(x, y, lip)
        total = total + torch.stack([x.sign() * sideways * out, weight * up, weight * forward], -1)
    return total


def _reach(pull: _Pull, side: Tensor, y: Tensor) -> Tensor:
    """How far skin at (side, y) follows a pull: 1 at its place, fading on its four sides."""
    turn = math.radians(pull.turn)
    dx, dy = side - pull.at[0], y - pull.at[1]
    across = math.cos(turn) * dx + math.sin(turn) * dy
    along = math.cos(turn) * dy - math.sin(turn) * dx
    far = pull.beyond or pull.reach
    across = across / torch.where(across > 0, far[0], pull.reach[0])
    along = along / torch.where(along > 0, far[1], pull.reach[1])
    return torch.exp(-(across**2 + along**2) / 2)


def _lip_share(x: Tensor, y: Tensor, lip: str) -> Tensor:
    """Weight of what moves one lip only: whole on it, fading beyond the mouth's corners."""
    beyond = y - LIP_LINE if lip == _UPPER else LIP_LINE - y
    own = torch.sigmoid(beyond / 0.35)  # on the skin beside the mouth: by height alone
    share = mouth_share(x)
    return share + (1 - share) * own * torch.exp(-((x.abs() - MOUTH_CORNER).clamp(min=0) / 0.8))


def _roll_in(au: int, x: Tensor, y: Tensor, lip: str) -> Tensor:
    shares = _ROLL_IN.get(au)
    if shares is None:
        return torch.zeros(*x.shape, 3)
    share = shares[0] if lip == _UPPER else shares[1]
    width = torch.exp(-((x / 2.1) ** 4))
    off = y - LIP_LINE
    # Towards the line between the lips: in proportion on the red, fading on the skin.
    pull = off * torch.exp(-((off / 1.25) ** 4))
    up = -share * width * pull
    back = -0.35 * share * width * torch.exp(-((off / 0.7) ** 2))
    return torch.stack([torch.zeros_like(up), up, back], -1)


def _jaw_drop(x: Tensor, y: Tensor, lip: str) -> Tensor:
    """Masseter and pterygoids relaxed: all below the line goes down, cheeks follow in part."""
    level = torch.sigmoid((LIP_LINE - 0.6 - y) / 0.9) * torch.exp(-((x / 8.5) ** 6))
    share = mouth_share(x) ** 0.7
    weight = (1 - share) * level if lip == _UPPER else level + share * (1 - level)
    up, forward = _JAW_DROP
    return torch.stack([torch.zeros_like(weight), weight * up, weight * forward], -1)
