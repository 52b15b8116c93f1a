"""Clips of the generator that moves faces of any size: requested strength and noise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mersynth.config import ConfigError
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import CARD, load_card
from mersynth.gan.train import train
from mersynth.motion.camera_noise import camera_noise
from mersynth.phantom.population import write_store
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis.generate import generate
from tests.tiny_store import tiny_clips, write_tiny_store

FEW = ["num_frames=4", "device=cpu", "head_motion=false"]
COUNTS: Mapping[str, int] = {"happiness": 2, "surprise": 2, "anger": 1, "other": 1}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    path = tmp_path_factory.mktemp("moving") / "phantom"
    return write_store(path, image_size=48, subjects=3, counts=COUNTS, max_frames=5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that has learned little, of stores of another size than the phantom's here."""
    folder = tmp_path_factory.mktemp("checkpoint")
    store = write_tiny_store(folder / "s", tiny_clips(subjects=2))
    quick = ["gan=tiny_motion", "steps=3", "true_frame_steps=3", "batch_size=2", "device=cpu"]
    quick.append("gain_pairs=8")
    train(store_path=store.path, out=folder / "c", overrides=[*quick, "learning_rate=0.01"])
    return folder / "c"


def run(real: ClipStore, checkpoint: Path, out: Path, *overrides: str) -> ClipStore:
    store = generate(
        store=real.path, checkpoint=checkpoint, per_class=2, classes="three", out=out,
        overrides=[*FEW, *overrides],
    )  # fmt: skip
    assert store is not None
    return store


def test_faces_of_another_size_are_moved_as_strongly_as_asked(
    real: ClipStore, checkpoint: Path, tmp_path: Path
) -> None:
    quiet = "camera_noise=false"
    weak, strong = (
        run(real, checkpoint, tmp_path / str(s), quiet, f"strength={s}") for s in (1, 3)
    )
    assert weak.image_size == 48
    still = run(real, checkpoint, tmp_path / "still", quiet, "strength=0")
    for a, b, c in zip(weak, strong, still, strict=True):
        peaks = [(x.intensities - x.intensities[:1]).max() for x in (a, b)]
        assert peaks[0] > 0.05
        assert peaks[1] == pytest.approx(min(1, 3 * peaks[0]), rel=0.05)
        change = [np.abs(x.frames.astype(int) - x.frames[:1]).mean() for x in (a, b)]
        assert change[0] < change[1]
        assert (c.frames == c.frames[:1]).all()  # nothing asked, nothing changed


def test_frames_are_as_noisy_as_the_clip_that_gives_the_face(
    real: ClipStore, checkpoint: Path, tmp_path: Path
) -> None:
    sizes = {item.clip.subject_id: camera_noise(item.frames) for item in real}
    for item in run(real, checkpoint, tmp_path / "s", "strength=0"):
        assert camera_noise(item.frames[1:]) == pytest.approx(sizes[item.clip.subject_id], rel=0.2)


def test_gains_of_a_checkpoint_make_faces_move_farther(
    real: ClipStore, checkpoint: Path, tmp_path: Path
) -> None:
    assert len(load_card(checkpoint).gains or ()) == len(CONDITION_AUS)
    changes = []
    for gain in (1.0, 2.0):
        card = json.loads((checkpoint / CARD).read_text())
        card.pop("checksum", None)
        (checkpoint / CARD).write_text(json.dumps(card | {"gains": [gain] * 20}))
        made = run(real, checkpoint, tmp_path / str(gain), "camera_noise=false")
        changes.append(np.abs(made.frames.astype(int) - np.repeat(made.frames[::4], 4, 0)).mean())
    assert changes[1] > 1.4 * changes[0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strength=-1", "strength must be in 0..10"),
        ("camera_noise=loud", "the value must be true or false"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    real: ClipStore, checkpoint: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(real, checkpoint, tmp_path / "s", override)
    assert not (tmp_path / "s").exists()
