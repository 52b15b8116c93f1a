"""``prepare`` with py-feat's networks of random weights: the data flow, not the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.curves import ConditionSettings
from mersynth.facs.landmarks import NUM_LANDMARKS
from mersynth.features.cache import load_feature
from mersynth.gan.data import TrainingClips
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import ClipStore


@pytest.mark.parametrize("backend", ["auto", "v1"])
def test_intensities_and_landmarks_of_every_frame_are_stored(
    feat_weights: Path, tmp_path: Path, backend: str
) -> None:
    folder = tmp_path / "data" / "HS" / "s1" / "micro" / "surprise" / "s1_sur_01"
    folder.mkdir(parents=True)
    frames, _, _ = render_clip(clip_specs()[0], 64)
    for i, frame in enumerate(frames[:5]):
        Image.fromarray(frame).save(folder / f"reg_image{i}.bmp")
    store = prepare("smic", tmp_path / "data", tmp_path / "s", image_size=64, intensities=backend)
    assert store.meta["header"]["intensities"] == {"auto": "v2"}.get(backend, backend)
    assert ((store.intensities >= 0) & (store.intensities <= 1)).all()
    assert store.landmarks.shape == (5, NUM_LANDMARKS, 2)
    assert np.isfinite(store.landmarks).all()
    change = load_feature(ClipStore.open(store.path), "intensity_change")
    left, right = np.moveaxis(store.intensities, -1, 0)  # py-feat reads no sides
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(change, left - left[0])


def test_stills_get_measured_intensities_that_a_training_can_ask_for(
    feat_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "train_set"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    for i, spec in enumerate(clip_specs(subjects=3, counts={"happiness": 3})):
        frames, _, landmarks = render_clip(spec, 64)
        Image.fromarray(frames[0]).save(folder / "images" / f"{i}.jpg")
        np.save(folder / "annotations" / f"{i}_exp.npy", np.array("1"))
        np.save(folder / "annotations" / f"{i}_lnd.npy", landmarks[0].reshape(-1))
    plain = prepare("affectnet", tmp_path / "data", tmp_path / "p", intensities="none")
    with pytest.raises(ValueError, match="known Action Unit"):
        TrainingClips(plain, ConditionSettings())  # the label alone names no AU
    store = prepare("affectnet", tmp_path / "data", tmp_path / "s", intensities="v2")
    assert store.intensities.shape == (3, 20, 2)
    assert ((store.intensities >= 0) & (store.intensities <= 1)).all()
    clips = TrainingClips(store, ConditionSettings())
    pairs = clips.draw_pairs(np.random.default_rng(0), 9, 1.0, 0.0, 1)
    for face, _, _, _, target, own, *_ in pairs:
        assert not own
        worn = (store.frames == face).all(axis=(1, 2, 3)).argmax()
        others = np.delete(store.intensities, worn, axis=0)
        assert (target == others).all(axis=(1, 2)).any()


def test_the_database_s_own_landmarks_are_kept(
    feat_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mersynth.sources.base import ClipFiles, Scan
    from mersynth.sources.smic import SMIC

    frames, _, landmarks = render_clip(clip_specs()[0], 64)
    path = tmp_path / "frame.png"
    Image.fromarray(frames[0]).save(path)
    clip = clip_specs()[0].clip
    one = type(clip)(
        source="smic", subject="s01", name="a", onset=0, apex=0, offset=0, emotion="surprise"
    )
    scan = Scan((ClipFiles(one, (path,), landmarks[:1]),), (), "raw")
    monkeypatch.setattr(SMIC, "scan", lambda self, root: scan)
    store = prepare("smic", tmp_path, tmp_path / "s", image_size=64)
    assert store.meta["header"]["geometry"] == (
        "aligned by the landmarks published for (1 clips) the onset frame"
    )
    # The phantom's face lies where the template's does: alignment moves its landmarks little.
    assert np.abs(store.landmarks[0] - landmarks[0]).mean() < 3
    assert np.isfinite(store.intensities).all()
