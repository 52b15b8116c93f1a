"""Camera noise: measured on clips of known noise, and added to clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.motion.camera_noise import add_camera_noise, camera_noise
from mersynth.phantom.capture import LAB
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.dataset import to_uint8


@pytest.mark.parametrize("size", [0.004, 0.01, 0.03])
def test_noise_is_measured_where_nothing_moves(size: float) -> None:
    rng = np.random.default_rng(0)
    frames = np.full((9, 64, 64, 3), 0.5) + size * rng.standard_normal((9, 64, 64, 3))
    frames[:, 20:44, 20:44] += np.linspace(0, 0.4, 9)[:, None, None, None] * rng.random((24, 24, 1))
    stored = (frames * 255).round().clip(0, 255).astype(np.uint8)
    assert camera_noise(stored) == pytest.approx(size, rel=0.12)


def test_a_phantom_clip_has_the_noise_of_its_camera() -> None:
    spec = clip_specs(subjects=1, counts={"happiness": 1}, max_frames=8)[0]
    frames, _, _ = render_clip(spec, 64, capture=LAB)
    assert 0.002 < camera_noise(frames) < 0.02


def test_stills_have_none() -> None:
    assert camera_noise(np.zeros((1, 16, 16, 3), np.uint8)) == 0
    assert camera_noise(np.full((4, 16, 16, 3), 90, np.uint8)) == 0


def test_frames_differ_as_a_camera_s_do_and_the_first_stays() -> None:
    clip = torch.full((6, 3, 64, 64), 0.5)
    noisy = add_camera_noise(clip, 0.02, np.random.default_rng(0))
    assert torch.equal(noisy[0], clip[0])
    later = noisy[1:]
    assert float((later[1:] - later[:-1]).std()) == pytest.approx(0.02 * 2**0.5, rel=0.03)
    assert float((later - noisy[:1]).std()) == pytest.approx(0.02 * 2**0.5, rel=0.03)
    assert camera_noise(to_uint8(later)) == pytest.approx(0.02, rel=0.12)
    assert torch.equal(noisy, add_camera_noise(clip, 0.02, np.random.default_rng(0)))
    assert add_camera_noise(clip, 0.0, np.random.default_rng(0)) is clip
