"""Movements in long recordings: what is spotted, and when it begins and ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.motion.movements import SIDE, Movement, spot_movements
from mersynth.motion.warp import warp

FPS = 25.0
CHEEK, EYE = (0.62, 0.68), (0.345, 0.35)  # height and place from the left, in HEAD


def bump(count: int, onset: int, apex: int, offset: int) -> Tensor:
    """0 before the onset and after the offset, 1 at the apex, smooth between."""
    t = torch.arange(count, dtype=torch.float32)
    up = ((t - onset) / (apex - onset)).clamp(0, 1)
    down = ((offset - t) / (offset - apex)).clamp(0, 1)
    way = torch.minimum(up, down)
    return way * way * (3 - 2 * way)


def skin(seed: int = 0) -> Tensor:
    """(1, 1, S, S) a texture to follow."""
    noise = torch.rand(1, 1, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(seed))
    return 0.25 + 0.5 * F.interpolate(noise, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def film(moves: Tensor, place: tuple[float, float] = CHEEK, pixels: float = 1.5) -> Tensor:
    """(T, 1, S, S) skin that rises around a place, by so many pixels times ``moves`` (T,)."""
    at = (torch.arange(SIDE) + 0.5) / SIDE
    far = (at[:, None] - place[0]) ** 2 + (at[None] - place[1]) ** 2
    blob = torch.exp(-far / (2 * 0.06**2))
    flow = torch.zeros(len(moves), 2, SIDE, SIDE)
    flow[:, 1] = pixels * moves[:, None, None] * blob
    frames = warp(skin().expand(len(moves), -1, -1, -1), flow).clamp(0, 1)
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1))
    return (frames + noise / 255).clamp(0, 1)


def overlap(found: Movement, onset: int, offset: int) -> float:
    """Intersection over union, in frames."""
    both = min(found.offset, offset) - max(found.onset, onset) + 1
    return both / (max(found.offset, offset) - min(found.onset, onset) + 1)


def test_movements_are_found_where_they_are() -> None:
    true = [(30, 35, 41), (72, 82, 93), (125, 130, 136)]
    moves = sum((bump(160, *each) for each in true), torch.zeros(160))
    found = spot_movements(film(moves), FPS)
    assert len(found) == 3
    for each, (onset, apex, offset) in zip(found, true, strict=True):
        assert each.onset < each.apex < each.offset
        assert abs(each.apex - apex) <= 2
        assert overlap(each, onset, offset) >= 0.5
        assert each.strength > 1


def test_a_face_at_rest_shows_none() -> None:
    assert spot_movements(film(torch.zeros(120)), FPS, threshold=12.0) == []


def test_a_blink_is_no_expression() -> None:
    blink = bump(120, 60, 63, 68)
    assert any(60 <= m.apex <= 68 for m in spot_movements(film(blink), FPS))
    lids = film(blink, EYE, pixels=2.5)
    assert not any(58 <= m.apex <= 70 for m in spot_movements(lids, FPS))


def test_a_black_frame_and_a_drift_are_no_movement() -> None:
    frames = film(bump(120, 60, 66, 73))
    frames[20] = 0
    drift = torch.zeros(120, 2, SIDE, SIDE)
    drift[:, 0] = 3 * torch.sin(torch.arange(120) / 120 * math.pi)[:, None, None]
    found = spot_movements(warp(frames, drift).clamp(0, 1), FPS)
    assert any(overlap(each, 60, 73) >= 0.5 for each in found)


@pytest.mark.parametrize(
    ("frames", "changes", "said"),
    [
        (torch.rand(50, 3, SIDE, SIDE), {}, r"must be \(T, 1, 64, 64\), grey, got \(50, 3, 64"),
        (torch.rand(50, 1, 32, 32), {}, "grey, got"),
        (2 * torch.rand(50, 1, SIDE, SIDE) + 1, {}, r"must lie in \[0, 1\]"),
        (torch.full((50, 1, SIDE, SIDE), torch.nan), {}, r"must lie in \[0, 1\]"),
        (torch.rand(50, 1, SIDE, SIDE), {"fps": 0}, "fps must be 10 or more, got 0"),
        (torch.rand(50, 1, SIDE, SIDE), {"fps": math.nan}, "fps must be 10 or more, got nan"),
        (torch.rand(50, 1, SIDE, SIDE), {"threshold": -1}, "threshold must be above 0"),
        (
            torch.rand(9, 1, SIDE, SIDE),
            {},
            "must last more than 0.4 s, got 9 frames at 25 a second",
        ),
    ],
)
def test_what_is_no_recording_is_refused(
    frames: Tensor, changes: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        spot_movements(frames, **({"fps": FPS} | changes))
