"""What each Action Unit does to the surface, after FACS' description of its muscle.

A movement is a sum of bumps: a displacement in cm that is strongest at the muscle's pull and fades
with the distance from it. All are given for both sides at once as functions of ``side = |x|``, and
cut in two at the mid-line by a smooth step, so that left and right are mirror images.

The mouth's opening tears the surface along the line between the lips, so every movement is given
twice: as the upper lip's side of that line follows it, and as the lower lip's side does. Away from
the mouth both are the same.

Source: P. Ekman, W. Friesen, J. Hager, Facial Action Coding System, 2002; the positions are those
of MediaPipe's canonical face.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS

LIP_LINE = -4.28  # height of the line between the lips, cm
MOUTH_CORNER = 2.45  # |x| of the mouth's corners, cm

_BOTH, _UPPER, _LOWER = "both", "upper", "lower"

# AU: (centre |x|, y; spread |x|, y; displacement outwards, up, forwards; lip side).  In cm.
_Bump = tuple[tuple[float, float], tuple[float, float], tuple[float, float, float], str]
_BUMPS: dict[int, tuple[_Bump, ...]] = {
    # Frontalis, medial part: the inner brow rises.
    1: (
        ((1.3, 5.1), (1.25, 1.25), (-0.05, 0.85, 0.0), _BOTH),
        ((2.2, 3.5), (1.0, 0.5), (0.0, 0.18, 0.0), _BOTH),
    ),
    # Frontalis, lateral part: the outer brow rises.
    2: (
        ((4.9, 4.9), (1.35, 1.25), (0.05, 1.0, 0.0), _BOTH),
        ((4.0, 3.5), (1.1, 0.5), (0.0, 0.2, 0.0), _BOTH),
    ),
    # Corrugator, depressor supercilii, procerus: brows down and together, a bulge between them.
    4: (
        ((1.9, 4.7), (1.6, 1.0), (-0.5, -0.8, 0.0), _BOTH),
        ((0.45, 4.5), (0.45, 0.8), (0.0, -0.2, 0.22), _BOTH),
        ((2.3, 3.5), (1.2, 0.5), (-0.1, -0.15, 0.1), _BOTH),
    ),
    # Levator palpebrae: chiefly the lid itself (LID_MOTION).
    5: (((3.2, 3.4), (1.2, 0.4), (0.0, 0.12, -0.08), _BOTH),),
    # Orbicularis oculi, outer part: cheeks up, skin drawn towards the eye.
    6: (
        ((4.3, 0.2), (1.7, 1.3), (-0.12, 0.62, 0.22), _BOTH),
        ((5.4, 2.4), (1.0, 1.1), (-0.3, 0.0, 0.08), _BOTH),
        ((5.0, 4.2), (1.0, 0.7), (-0.1, -0.2, 0.0), _BOTH),
    ),
    # Orbicularis oculi, inner part: lids tighten (LID_MOTION), the lower one bulges.
    7: (
        ((3.2, 1.9), (1.4, 0.5), (-0.08, 0.2, 0.15), _BOTH),
        ((4.7, 2.6), (0.6, 0.7), (-0.18, 0.0, 0.0), _BOTH),
        ((3.2, 3.6), (1.2, 0.4), (0.0, -0.14, 0.08), _BOTH),
    ),
    # Levator labii superioris alaeque nasi: the nose's sides and wings pull up.
    9: (
        ((1.4, -0.5), (1.0, 1.2), (0.08, 0.6, 0.12), _BOTH),
        ((0.9, 3.9), (0.9, 1.0), (-0.1, -0.35, 0.12), _BOTH),
        ((1.2, -3.2), (1.3, 0.8), (0.0, 0.35, 0.0), _UPPER),
    ),
    # Levator labii superioris: the upper lip's sides rise, the fold beside the wing bends.
    10: (
        ((1.3, -3.4), (1.2, 0.85), (0.05, 0.62, 0.08), _UPPER),
        ((2.6, -1.3), (1.0, 1.0), (0.05, 0.38, 0.22), _BOTH),
        ((1.5, -1.2), (0.5, 0.6), (0.1, 0.25, 0.0), _BOTH),
    ),
    # Zygomaticus minor: the middle of the nasolabial fold up and out.
    11: (
        ((2.7, -2.2), (0.8, 0.9), (0.28, 0.42, 0.18), _BOTH),
        ((1.9, -3.5), (0.8, 0.6), (0.1, 0.2, 0.0), _UPPER),
    ),
    # Zygomaticus major: the mouth's corners up and back, the cheeks fill.
    12: (
        ((2.7, -4.2), (1.25, 1.15), (0.82, 0.98, -0.3), _BOTH),
        ((4.0, -1.2), (1.4, 1.2), (0.0, 0.42, 0.32), _BOTH),
        ((0.6, -3.6), (1.0, 0.7), (0.0, 0.14, -0.1), _UPPER),
    ),
    # Buccinator: the corners are drawn in and tightened, a dimple behind them.
    14: (
        ((2.4, -4.3), (0.55, 0.7), (0.42, 0.0, -0.25), _BOTH),
        ((3.1, -4.2), (0.35, 0.7), (-0.12, 0.05, -0.4), _BOTH),
        ((3.8, -4.2), (0.6, 0.9), (-0.35, 0.0, 0.16), _BOTH),
    ),
    # Depressor anguli oris: the corners down.
    15: (
        ((2.6, -4.5), (0.95, 1.0), (0.15, -0.95, -0.08), _BOTH),
        ((2.6, -6.4), (1.0, 0.9), (0.1, -0.25, 0.14), _BOTH),
    ),
    # Mentalis: the chin's boss and the lower lip are pushed up.
    17: (
        ((0.0, -6.9), (1.7, 1.1), (0.0, 0.75, 0.12), _BOTH),
        ((0.0, -5.0), (1.7, 0.7), (0.0, 0.42, 0.25), _LOWER),
        ((0.0, -3.9), (1.6, 0.7), (0.0, 0.3, 0.12), _UPPER),
        ((2.5, -4.5), (0.7, 0.7), (0.0, -0.15, 0.0), _BOTH),
    ),
    # Risorius: the mouth is drawn wide, straight to the sides.
    20: (
        ((2.8, -4.5), (1.25, 1.3), (1.05, -0.14, -0.25), _BOTH),
        ((0.0, -5.4), (1.6, 0.8), (0.0, 0.1, -0.12), _LOWER),
    ),
    # Orbicularis oris: the lips tighten, narrow and roll in; the mouth gets narrower.
    23: (((2.4, -4.3), (0.9, 0.9), (-0.45, 0.0, 0.05), _BOTH),),
    # Orbicularis oris: the lips press on each other; skin bulges above and below.
    24: (
        ((0.0, -2.9), (1.7, 0.5), (0.0, -0.1, 0.22), _BOTH),
        ((0.0, -5.9), (1.7, 0.5), (0.0, 0.3, 0.24), _BOTH),
        ((2.5, -4.4), (0.6, 0.6), (-0.12, -0.1, -0.15), _BOTH),
    ),
    # Depressor labii, or relaxed orbicularis oris: the lips part.
    25: (
        ((0.0, -4.0), (1.6, 0.9), (0.0, 0.25, 0.0), _UPPER),
        ((0.0, -4.8), (1.5, 1.0), (0.0, -0.42, 0.05), _LOWER),
    ),
    26: (),  # the jaw: _jaw_drop
    28: (
        ((0.0, -2.9), (1.7, 0.6), (0.0, -0.28, -0.1), _BOTH),
        ((0.0, -6.0), (1.7, 0.7), (0.0, 0.35, 0.05), _BOTH),
        ((2.4, -4.3), (0.7, 0.7), (-0.2, 0.0, -0.1), _BOTH),
    ),
    43: (((3.2, 3.4), (1.3, 0.4), (0.0, -0.1, 0.05), _BOTH),),
}
# AU: share of the lips' red that disappears, upper and lower.
_ROLL_IN = {23: (0.34, 0.38), 24: (0.5, 0.5), 28: (0.72, 0.72), 20: (0.22, 0.22), 12: (0.2, 0.14)}
_JAW_DROP = (-1.75, -0.35)  # up, forwards

# AU: (share of the eye that the upper lid closes, share that the lower lid rises).
LID_MOTION = {
    1: (-0.06, 0.0),
    2: (-0.06, 0.0),
    4: (0.08, 0.0),
    5: (-0.42, 0.0),
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
            whole = _bumps(au, x, y, lip) + _roll_in(au, x, y, lip)
            if au == 26:
                whole = whole + _jaw_drop(x, y, lip)
            field.append(halves[..., None] * whole)
    return torch.stack(fields[_UPPER]), torch.stack(fields[_LOWER])


def lid_motion() -> Tensor:
    """(20, 2): closing of the upper lid and rise of the lower lid by each AU at intensity 1."""
    return torch.tensor([LID_MOTION.get(au, (0.0, 0.0)) for au in CONDITION_AUS])


def mouth_share(x: Tensor) -> Tensor:
    """How freely the lips part at a place: 1 at the middle, 0 at the corners and beyond."""
    return (1 - (x / MOUTH_CORNER) ** 2).clamp(min=0.0)


def _bumps(au: int, x: Tensor, y: Tensor, lip: str) -> Tensor:
    side = x.abs()
    total = torch.zeros(*x.shape, 3)
    for (cx, cy), (sx, sy), (out, up, forward), where in _BUMPS[au]:
        if where not in (_BOTH, lip):
            continue
        weight = torch.exp(-(((side - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)
        if cx < 2.5 * sx and cx > 0:  # mirrored bumps overlap at the mid-line: count both
            mirrored = torch.exp(-(((side + cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)
            sideways = weight - mirrored
            weight = torch.maximum(weight, mirrored)
        else:
            sideways = weight * torch.tanh(side / 0.5)
        if where != _BOTH:
            weight = weight * _lip_share(x, y, lip)
            sideways = sideways * _lip_share(x, y, lip)
        total = total + torch.stack([x.sign() * sideways * out, weight * up, weight * forward], -1)
    return total


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
