"""Gains of AUs, of a generator whose motion is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mersynth.curves import ConditionSettings
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.calibration import measure_gains
from mersynth.gan.data import TrainingClips
from mersynth.gan.motion_generator import Fields, MotionGenerator
from mersynth.store.writer import StoreWriter
from tests.tiny_store import HEADER, tiny_clips

SIZE = 64
SMILE, FROWN = (CONDITION_AUS.index(au) for au in (12, 4))


class Shifter(MotionGenerator):
    """AU 12 shifts the picture to the right by 1.25 pixels, AU 4 down by 2."""

    def study(self, image: torch.Tensor) -> Fields:
        motion = torch.zeros(len(image), 20, 2, SIZE // 2, SIZE // 2)
        motion[:, SMILE, 0] = -1.25 / SIZE
        motion[:, FROWN, 1] = -2 / SIZE
        paint = torch.zeros(len(image), 20, 4, SIZE // 2, SIZE // 2)
        return Fields(image, motion, paint, paint[:, 0])


def shifted(right: float, down: float) -> np.ndarray:
    """(64, 64, 3) a smooth pattern."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = x - right, y - down
    waves = np.sin(x / 3) + np.cos(y / 4) + np.sin((x + y) / 5) + np.cos((x - 2 * y) / 7)
    return np.repeat((127 + 30 * waves)[..., None], 3, 2).round().astype(np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> TrainingClips:
    """Clips whose AU 12 shifts by 2 pixels, and AU 4 by 2."""
    path = tmp_path_factory.mktemp("gains") / "s"
    shown = [replace(clip, onset=0, apex=2, offset=2) for clip in tiny_clips(subjects=1)[:4]]
    with StoreWriter(path, shown, SIZE, HEADER) as writer:
        for number, _ in enumerate(shown):
            aus = np.zeros((3, 20, 2), np.float32)
            aus[1:, SMILE if number % 2 else FROWN] = [[0.5], [1.0]]
            frames = [shifted(2 * a[SMILE, 0], 2 * a[FROWN, 0]) for a in aus]
            writer.add(np.stack(frames), aus)
        store = writer.finish()
    return TrainingClips(store, ConditionSettings())


def test_a_gain_makes_up_for_what_a_generator_lacks(clips: TrainingClips) -> None:
    generator = Shifter(working_size=SIZE, channels=8, blocks=0)
    gains = measure_gains(generator, [clips], np.random.default_rng(0), pairs=48)
    assert gains[SMILE] == pytest.approx(1.6, abs=0.12)
    assert gains[FROWN] == pytest.approx(1.0, abs=0.05)
    others = np.delete(gains, [SMILE, FROWN])
    np.testing.assert_allclose(others, 1, atol=1e-6)  # nobody shows them
