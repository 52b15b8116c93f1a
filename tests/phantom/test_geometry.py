"""Where the AUs move a face, as shares of the distance between the eyes; skin never folds over.

The numbers are ours: the direction is FACS', the size that of a strong posed expression.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import PARTS
from mersynth.phantom.head.muscles import LIP_LINE, au_fields
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import NUM_SHAPE_MODES, PhantomSubject

# Points of iBUG's 68 on the subject's left side, which is the image's right, and on the right.
POINTS = {
    "inner brow": (22, 21),
    "middle of the brow": (24, 19),
    "outer brow": (26, 17),
    "upper lid": (43, 38),
    "lower lid": (47, 40),
    "wing of the nose": (35, 31),
    "corner of the mouth": (54, 48),
    "side of the upper lip": (52, 50),
    "side of the lower lip": (56, 58),
    "upper lip": (51, 51),
    "lower lip": (57, 57),
    "chin": (8, 8),
}
STILL = 0.015
# AU: point, outwards and upwards (least, most).
MOVES = [
    (1, "inner brow", (-0.03, 0.03), (0.05, 0.16)),
    (1, "outer brow", (-0.03, 0.03), (-0.02, 0.03)),
    (2, "outer brow", (-0.03, 0.05), (0.06, 0.18)),
    (2, "inner brow", (-0.03, 0.03), (-0.02, 0.04)),
    (4, "inner brow", (-0.12, -0.04), (-0.13, -0.05)),
    (4, "middle of the brow", (-0.06, -0.01), (-0.13, -0.05)),
    (4, "outer brow", (-0.06, 0.01), (-0.1, -0.03)),
    (5, "upper lid", (-0.03, 0.03), (0.03, 0.12)),
    (6, "lower lid", (-0.05, 0.03), (0.01, 0.08)),
    (7, "upper lid", (-0.05, 0.03), (-0.08, -0.003)),
    (7, "lower lid", (-0.05, 0.03), (0.01, 0.08)),
    (9, "wing of the nose", (-0.02, 0.04), (0.05, 0.14)),
    (9, "inner brow", (-0.06, 0.0), (-0.1, -0.02)),
    (10, "side of the upper lip", (-0.01, 0.06), (0.06, 0.16)),
    (10, "lower lip", (-STILL, STILL), (-STILL, STILL)),
    (11, "side of the upper lip", (0.0, 0.05), (0.01, 0.08)),
    (12, "corner of the mouth", (0.07, 0.16), (0.07, 0.16)),
    (14, "corner of the mouth", (0.01, 0.06), (-0.01, 0.04)),
    (15, "corner of the mouth", (0.01, 0.08), (-0.17, -0.08)),
    (17, "chin", (-STILL, STILL), (0.01, 0.16)),
    (17, "lower lip", (-STILL, STILL), (0.08, 0.22)),
    (20, "corner of the mouth", (0.1, 0.2), (-0.06, 0.01)),
    (23, "corner of the mouth", (-0.1, -0.03), (-0.02, 0.02)),
    (24, "upper lip", (-STILL, STILL), (-0.12, -0.03)),
    (24, "lower lip", (-STILL, STILL), (0.03, 0.15)),
    (25, "lower lip", (-STILL, STILL), (-0.16, -0.05)),
    (26, "lower lip", (-STILL, STILL), (-0.34, -0.2)),
    (26, "chin", (-STILL, STILL), (-0.34, -0.15)),
    (28, "upper lip", (-STILL, STILL), (-0.16, -0.06)),
    (28, "lower lip", (-STILL, STILL), (0.06, 0.2)),
    (43, "upper lid", (-0.03, 0.03), (-0.2, -0.06)),
]  # fmt: skip
# What coders of CASME II and SAMM write most often, and what an expression adds up to.
TOGETHER = [(4, 7), (1, 2), (6, 12), (14, 17), (1, 4), (4, 9), (9, 10), (15, 17), (4, 7, 9)]


@functools.cache
def moves() -> dict[tuple[str, str], Tensor]:
    """{(AUs, side): (68, 2)} outwards and upwards by each AU of an average face, by eyes' distance.

    The side is the one that moves: "left", "right" or "both".
    """
    subject = replace(
        PhantomSubject.sample(0), shape=(0.0,) * NUM_SHAPE_MODES, gain=((1.0, 1.0),) * 20
    )
    sides = {"both": (1.0, 1.0), "left": (1.0, 0.0), "right": (0.0, 1.0)}
    rows = [(str(au), side) for au in CONDITION_AUS for side in sides]
    aus = torch.zeros(1 + len(rows), 20, 2)
    for k, (au, side) in enumerate(rows):
        aus[1 + k, CONDITION_AUS.index(int(au))] = torch.tensor(sides[side])
    points = PhantomRenderer(subject, 64).render(aus).landmarks
    eyes = points[0, list(PARTS["left_eye"])].mean(0) - points[0, list(PARTS["right_eye"])].mean(0)
    moved = (points[1:] - points[0]) / eyes.norm()
    outwards = (points[0, :, 0] - points[0, 27:31, 0].mean()).sign()
    moved = torch.stack([moved[..., 0] * outwards, -moved[..., 1]], -1)
    return dict(zip(rows, moved, strict=True))


@pytest.mark.parametrize(("au", "point", "out", "up"), MOVES)
def test_an_au_moves_its_points(
    au: int, point: str, out: tuple[float, float], up: tuple[float, float]
) -> None:
    both = moves()[str(au), "both"][list(POINTS[point])].mean(0)
    if POINTS[point][0] != POINTS[point][1]:  # a point on the mid-line has no outside
        assert out[0] <= both[0] <= out[1]
    assert up[0] <= both[1] <= up[1]


@pytest.mark.parametrize("au", CONDITION_AUS)
def test_one_side_moves_alone(au: int) -> None:
    """Points away from the mid-line, where both sides blend, move on their own side only."""
    for side, own in (("left", 0), ("right", 1)):
        moved = moves()[str(au), side].norm(dim=-1)
        pairs = [pair for pair in POINTS.values() if pair[0] != pair[1]]
        mine = torch.stack([moved[pair[own]] for pair in pairs])
        other = torch.stack([moved[pair[1 - own]] for pair in pairs])
        assert mine.max() > 0.01
        assert other.max() < 0.06 * mine.max() + 1e-3


def test_a_smile_follows_the_fold_and_the_cheek() -> None:
    """Skin moves beside the nasolabial fold and on the cheek, but hardly within the fold."""
    place = torch.tensor([[2.5, -1.6, 4.5], [3.6, -1.8, 4.2], [5.0, -1.3, 3.0], [1.0, -1.6, 5.5]])
    field = au_fields(place)[0][CONDITION_AUS.index(12), 0]
    length = field[:, :2].norm(dim=-1)
    assert length[:3].min() > 0.25
    assert length[3] < 0.4 * length[:3].min()
    assert field[2, 0] > field[2, 1] > 0  # the cheek's side: more outwards than up


def test_skin_never_folds_over() -> None:
    """The motion's determinant stays positive: every place in a frame shows one of the face."""
    step = 0.15
    across, up = torch.arange(-8, 8.01, step), torch.arange(-10, 8.01, step)
    x, y = torch.meshgrid(across.double(), up.double(), indexing="xy")
    plane = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    for field, own in zip(au_fields(plane), (y > LIP_LINE, y < LIP_LINE), strict=True):
        by_au = field[..., :2].double().reshape(20, 2, *x.shape, 2)
        moving = [*by_au.sum(1), *by_au[:, 0]]  # both sides, and one alone
        rows = [[CONDITION_AUS.index(au) for au in cell] for cell in TOGETHER]
        moving += [0.6 * by_au[row].sum((0, 1)) for row in rows]  # the most a micro-expression has
        for motion in moving:
            down, right = torch.gradient(motion, spacing=step, dim=(0, 1))
            whole = (1 + right[..., 0]) * (1 + down[..., 1]) - right[..., 1] * down[..., 0]
            assert whole[own].min() > 0.05
