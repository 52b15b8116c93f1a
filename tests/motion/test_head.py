"""Tracking a head against known motion: pictures moved by OpenCV, rendered turns."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from mersynth.face.template import FRAMINGS
from mersynth.motion.head import HeadMotionError, head_motion, move_head, rigid_flow, still_head
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

NOISE = np.random.default_rng(0).integers(0, 255, (128, 128, 3))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """(128, 128, 3) uint8."""
    return render_clip(clip_specs(subjects=1, counts={"happiness": 1})[0], 128)[0][0]


def _maps(scale: float = 1.0) -> np.ndarray:
    """(5, 2, 3): a head that shifts, rolls and comes nearer, about the middle of a face."""
    maps = []
    for step in np.linspace(0, scale, 5):
        matrix = cv2.getRotationMatrix2D((63.5, 63.5), 1.5 * step, 1 + 0.01 * step)
        matrix[:, 2] += np.array([1.2, -0.7]) * step
        maps.append(matrix)
    return np.array(maps, np.float32)


def _moved(face: np.ndarray, maps: np.ndarray) -> np.ndarray:
    size = face.shape[1::-1]
    kind = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    return np.stack([cv2.warpAffine(face, each, size, **kind) for each in maps])


def _error(motion: np.ndarray, maps: np.ndarray) -> float:
    """Largest distance from maps of 128 pixels, in the middle of the picture, as a share of it."""
    flow = rigid_flow(torch.from_numpy(motion), 128).numpy()
    y, x = np.mgrid[:128, :128]
    points = np.stack([x, y, np.ones_like(x)])
    wanted = np.einsum("tck,khw->tchw", maps, points) - points[:2]
    off = np.linalg.norm(flow - wanted, axis=1)
    return float(off[:, 26:102:19, 26:102:19].max()) / 128


@pytest.mark.parametrize("side", [64, 128, 192])
def test_a_moved_picture_is_followed_at_every_size(face: np.ndarray, side: int) -> None:
    at_128 = _moved(face, _maps())
    frames = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in at_128])
    motion = head_motion(frames)
    assert motion.shape == (5, 4, 2)
    assert motion.dtype == np.float32
    assert not motion[0].any()
    assert _error(np.zeros_like(motion), _maps()) > 0.015
    assert _error(motion, _maps()) < 0.004


@pytest.mark.parametrize("framing", FRAMINGS)
def test_turns_are_followed(framing: str) -> None:
    """Of a rendered head, by up to 1.7 degrees, in any framing."""
    pose = torch.zeros(5, 5)
    pose[1:, 3] = torch.tensor([0.03, -0.02, 0.0, 0.0])  # yaw
    pose[1:, 4] = torch.tensor([0.0, 0.02, -0.03, 0.02])  # pitch
    shown = FRAMINGS[framing]
    renderer = PhantomRenderer(PhantomSubject.sample(3), 96, framing=shown)
    frames = renderer.render(torch.zeros(5, 20, 2), pose).frames
    pixels = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    turns = head_motion(pixels, shown)[:, 3] * [1, -1]  # pitch lets what is near rise
    assert np.abs(turns - pose[:, 3:].numpy()).max() < 0.008


def test_a_head_that_was_moved_is_seen_to_move_so(face: np.ndarray) -> None:
    motion = torch.zeros(4, 4, 2)
    motion[1, 0] = torch.tensor([0.02, -0.01])
    motion[2, 3] = torch.tensor([0.03, 0.0])
    motion[3] = torch.tensor([[0.01, 0], [0.01, -0.02], [0.02, 0.01], [-0.02, 0.02]])
    still = torch.from_numpy(face).permute(2, 0, 1).float().expand(4, -1, -1, -1) / 255
    moved = move_head(still, motion)
    assert torch.allclose(moved[0], still[0], atol=1e-5)
    seen = head_motion((moved * 255).round().byte().permute(0, 2, 3, 1).numpy())
    middle = (slice(None), slice(None), slice(40, 90), slice(40, 90))
    off = (rigid_flow(torch.from_numpy(seen), 128) - rigid_flow(motion, 128))[middle].norm(dim=1)
    assert rigid_flow(motion, 128)[middle][1:].norm(dim=1).amax((1, 2)).min() > 1
    assert off.max() < 0.35
    # Everything around the head stays still.
    assert torch.allclose(moved[:, :, :3, :3], still[:, :, :3, :3], atol=0.01)


def test_light_does_not_look_like_motion(face: np.ndarray) -> None:
    frames = np.stack([face, (face * 0.7 + 20).astype(np.uint8)])
    assert _error(head_motion(frames), np.tile(np.eye(2, 3), (2, 1, 1))) < 0.001


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (lambda face: np.zeros_like(face), "frame 2 does not resemble the first"),
        (lambda face: 0.1 * face + 0.9 * NOISE, "frame 2 does not resemble the first"),
        (lambda face: face[::-1], "frame 2 (does not resemble|seems to lie)"),
        (lambda face: np.roll(face, 40, axis=1), "frame 2 "),
    ],
    ids=["black", "noise", "upside down", "far off"],
)
def test_what_no_head_does_is_refused(
    face: np.ndarray, other: Callable[[np.ndarray], np.ndarray], fault: str
) -> None:
    frames = np.stack([face, face, other(face).astype(np.uint8)])
    with pytest.raises(HeadMotionError, match=fault):
        head_motion(frames)


def test_a_head_that_wanders_off_is_refused(face: np.ndarray) -> None:
    maps = np.tile(np.eye(2, 3, dtype=np.float32), (3, 1, 1))
    maps[:, 0, 2] = [0, 10, 21]  # to 16 % of the side
    assert len(head_motion(_moved(face, maps)[:2])) == 2
    with pytest.raises(HeadMotionError, match="frame 2 "):
        head_motion(_moved(face, maps))


def test_the_heads_motion_is_taken_off_and_the_faces_is_kept() -> None:
    size = 32
    at = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(at, at, indexing="ij")
    head = torch.stack([0.5 + 0.3 * x - 0.2 * y, -0.4 + 0.1 * x])
    local = torch.zeros(2, size, size)
    local[1, 20:24, 12:20] = -0.6
    rest = still_head((head + local)[None].float())[0]
    assert rest[1, 20:24, 12:20].mean().item() == pytest.approx(-0.6, abs=0.02)
    rest[:, 20:24, 12:20] = 0
    assert rest.abs().max() < 0.02
    assert (still_head(head[None].float() + 1).abs() < 1e-4).all()
