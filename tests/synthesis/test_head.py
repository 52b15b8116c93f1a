"""Transfer of head motion: from whom, and its effect on a synthetic clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.motion.head import head_motion
from mersynth.phantom.population import write_store
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.store.dataset import to_float
from mersynth.store.writer import StoreWriter
from mersynth.synthesis.generate import generate
from mersynth.synthesis.head import HeadMotions

COUNTS = {"happiness": 4, "anger": 4, "surprise": 4, "contempt": 4, "other": 4}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    path = tmp_path_factory.mktemp("head") / "phantom"
    return write_store(path, image_size=64, subjects=4, counts=COUNTS)


def _still(item: StoredClip, count: int) -> torch.Tensor:
    """(count, 3, 64, 64): a clip's first frame, over and over."""
    return to_float(np.repeat(item.frames[:1], count, axis=0))


def _seen(frames: torch.Tensor) -> np.ndarray:
    """(K, 4, 2) how the head is seen to move."""
    return head_motion((frames * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _written(path: Path, item: StoredClip, frames: np.ndarray) -> ClipStore:
    """A store of one clip, with other frames."""
    clip = replace(item.clip, offset=item.clip.onset + len(frames) - 1, apex=None)
    with StoreWriter(path, [clip], frames.shape[1], {"source": "phantom"}) as writer:
        writer.add(frames)
        return writer.finish()


def test_a_head_moves_as_in_the_source_clip(real: ClipStore, tmp_path: Path) -> None:
    source = real[0]
    at = np.linspace(0, source.clip.num_frames - 1, 6).round().astype(int)
    expected = head_motion(source.frames[at])
    heads = HeadMotions(_written(tmp_path / "one", source, np.array(source.frames)))
    strengths = []
    for seed in range(8):
        frames = _still(real[7], 6)
        moved = heads.transfer(frames, [source.clip.subject_id], np.random.default_rng(seed))
        assert moved.shape == frames.shape
        assert torch.equal(moved[0], frames[0])
        seen = _seen(moved)
        strengths.append(float((seen * expected).sum() / (expected**2).sum()))
    assert min(np.abs(strengths)) > 0.4
    assert max(np.abs(strengths)) < 1.7
    assert min(strengths) < 0 < max(strengths)


def test_without_a_clip_that_moves_the_head_stays_still(real: ClipStore, tmp_path: Path) -> None:
    frames, own = _still(real[0], 4), real[0].clip.subject_id
    photo = HeadMotions(_written(tmp_path / "photo", real[0], np.array(real[0].frames[:1])))
    for heads, people in ((photo, [own]), (HeadMotions(real), ["phantom/nobody"])):
        assert heads.transfer(frames, people, np.random.default_rng(0)) is frames


def test_an_untrackable_head_is_reported_once(
    real: ClipStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    item = real[0]
    heads = HeadMotions(_written(tmp_path / "black", item, np.zeros_like(item.frames)))
    frames = _still(item, 4)
    for seed in range(2):
        moved = heads.transfer(frames, [item.clip.subject_id], np.random.default_rng(seed))
        assert torch.allclose(moved, frames, atol=1e-5)
    assert caplog.text.count(f"the head motion of {item.clip.id} is not used") == 1


def test_a_source_of_few_frames_moves_a_head_smoothly(real: ClipStore, tmp_path: Path) -> None:
    item = real[0]
    few = np.array(item.frames[[0, item.clip.num_frames // 2]])
    heads = HeadMotions(_written(tmp_path / "few", item, few))
    moved = heads.transfer(_still(item, 9), [item.clip.subject_id], np.random.default_rng(0))
    places = _seen(moved)[:, 0]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 3 * steps.mean()
    assert np.linalg.norm(places[-1]) > 0.0003


def test_same_seed_same_heads(real: ClipStore, tmp_path: Path) -> None:
    settings = {"per_class": 2, "generator": "warp", "overrides": ["num_frames=4"]}
    moving = [generate(store=real.path, out=tmp_path / name, **settings) for name in "ab"]
    assert moving[0].checksum == moving[1].checksum
    other = generate(store=real.path, out=tmp_path / "c", seed=1, **settings)
    assert other.checksum != moving[0].checksum


def test_clips_depend_only_on_the_persons_of_face_and_curve(
    real: ClipStore, tmp_path: Path
) -> None:
    """Removing a person's clips changes only the clips that show or follow that person."""
    other = real.subjects[0]
    path = tmp_path / "torn"
    with StoreWriter(path, real.clips, real.image_size, real.meta["header"]) as writer:
        for item in real:
            own = item.clip.subject_id == other
            # The first frame, which may give a face, stays; the head jumps in all others.
            frames = np.array(item.frames)
            frames[1:] = np.roll(frames[1:], 2, axis=2) if own else frames[1:]
            writer.add(frames, np.array(item.intensities), np.array(item.landmarks))
        writer.finish()
    settings = {"per_class": 6, "generator": "warp", "overrides": ["num_frames=4"]}
    made = [
        generate(store=store, out=tmp_path / name, **settings)
        for name, store in (("a", real.path), ("b", path))
    ]
    changed = 0
    for one, two in zip(*made, strict=True):
        people = {one.clip.subject_id, (one.clip.template or "").rpartition("/")[0]}
        equal = np.array_equal(one.frames, two.frames)
        assert equal or other in people
        changed += not equal
    assert changed > 3


@pytest.mark.slow
def test_heads_stay_still_where_that_is_asked_for(real: ClipStore, tmp_path: Path) -> None:
    quiet = "camera_noise=false"
    settings = {"store": real.path, "per_class": 2, "generator": "warp"}
    still = generate(out=tmp_path / "s", overrides=["head_motion=false", quiet], **settings)
    moving = generate(out=tmp_path / "m", overrides=[quiet], **settings)

    def crown_changes(store: ClipStore) -> list[float]:
        """How much the top of the head, which AUs hardly move, differs from the first frame."""
        tops = [item.frames[:, 2:7, 28:36].astype(float) for item in store]
        return [float(np.abs(top - top[:1]).mean()) for top in tops]

    assert max(crown_changes(still)) < 0.3
    assert np.median(crown_changes(moving)) > 1
    assert still.meta["header"]["config"]["head_motion"] is False
