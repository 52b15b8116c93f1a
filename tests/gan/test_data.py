"""What training draws: no true frames from stills, and conditions of other people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.clips import Clip
from mersynth.curves import ConditionSettings
from mersynth.gan.data import TrainingClips, draw_image_batch
from mersynth.gan.signal import check_signal
from mersynth.gan.train import train
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from tests.tiny_store import EMOTIONS, HEADER, tiny_clips, write_tiny_store

QUICK = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=1", "steps=2"]


def still_clips(count: int, aus: str | None = None) -> list[Clip]:
    """Photos of as many people, each with the AUs of an emotion."""
    emotions = list(EMOTIONS.items())
    chosen = [emotions[i % len(emotions)] for i in range(count)]
    return [
        Clip(
            source="affectnet",
            subject=f"{i}",
            name=f"{i}",
            onset=0,
            apex=0,
            offset=0,
            emotion={"other": "disgust"}.get(emotion, emotion),  # AffectNet's labels
            aus=cell if aus is None else aus,
            strength="macro",
        )
        for i, (emotion, cell) in enumerate(chosen)
    ]


def clips_of(store: ClipStore) -> TrainingClips:
    return TrainingClips(store, ConditionSettings())


def mixed_store(path: Path) -> ClipStore:
    """Clips that move, stills, and a clip whose measured AUs stay the same; frame k is grey k."""
    clips = [*tiny_clips(subjects=2), *still_clips(6)]
    clips.append(replace(tiny_clips(subjects=3)[-1], aus="4", name="unmoved"))
    shade = 0
    with StoreWriter(path, clips, 8, HEADER) as writer:
        for clip in clips:
            shades = np.arange(shade, shade + clip.num_frames, dtype=np.uint8)
            frames = np.broadcast_to(shades[:, None, None, None], (clip.num_frames, 8, 8, 3))
            constant = np.full((clip.num_frames, 20), 0.3, np.float32)
            writer.add(np.array(frames), constant if clip.name == "unmoved" else None)
            shade += clip.num_frames
        return writer.finish()


@pytest.mark.parametrize("own_share", [0.5, 1.0])
def test_a_true_frame_is_never_the_input(tmp_path: Path, own_share: float) -> None:
    store = mixed_store(tmp_path / "s")
    clips = clips_of(store)
    people = {int(store.starts[i]) + f: c.subject_id
              for i, c in enumerate(store.clips) for f in range(c.num_frames)}  # fmt: skip
    moves = {c.subject_id: not c.name.isdigit() and c.name != "unmoved" for c in store.clips}
    rng = np.random.default_rng(0)
    owned = 0
    for image, own_aus, truth, truth_aus, target, own, *_ in clips.draw_pairs(
        rng, 400, own_share, 0, each=1
    ):
        a, b = int(image[0, 0, 0]), int(truth[0, 0, 0, 0])
        assert people[a] == people[b]
        if own:
            owned += 1
            assert a != b
            assert moves[people[a]]
            np.testing.assert_array_equal(target, truth_aus)
        elif not moves[people[a]]:
            np.testing.assert_array_equal(own_aus, truth_aus[0])
    assert owned == 400 if own_share == 1 else 150 < owned < 250


def test_conditions_that_are_not_the_clips_own_are_other_peoples(tmp_path: Path) -> None:
    """Each person shows an AU that nobody else does, so a condition identifies its owner."""
    cells = ("1", "4", "6", "12", "25")
    clips = [replace(c, aus=cell) for c, cell in zip(still_clips(5), cells, strict=True)]
    clips += [replace(c, name=f"{c.name}b") for c in clips]
    store = write_tiny_store(tmp_path / "s", clips, image_size=8)
    pairs = clips_of(store).draw_pairs(np.random.default_rng(0), 300, 1.0, 0.0, each=2)
    for _, own_aus, _, _, target, own, *_ in pairs:
        assert not own
        for each in target:
            assert np.nanargmax(own_aus) != np.nanargmax(each)


def test_a_face_brings_several_other_frames_at_the_wanted_size(tmp_path: Path) -> None:
    clips = clips_of(mixed_store(tmp_path / "s"))
    rng = np.random.default_rng(0)
    batch = draw_image_batch([(clips, 5)], rng, own_share=1.0, noise=0.0, each=2, size=16)
    assert (batch.each, len(batch.image), len(batch.truth)) == (2, 5, 10)
    assert batch.image.shape[-2:] == batch.truth.shape[-2:] == (16, 16)
    torch.testing.assert_close(batch.target_aus, batch.truth_aus, equal_nan=True)
    shades = batch.truth[:, 0, 0, 0].view(5, 2)
    assert (shades != batch.image[:, :1, 0, 0]).all()
    assert (shades[:, 0] != shades[:, 1]).all()


def test_stills_teach_by_critics_alone(tmp_path: Path) -> None:
    """No frame of a batch of stills is a true frame, and the video critic sees none."""
    clips = clips_of(write_tiny_store(tmp_path / "s", still_clips(8)))
    assert clips.moving == []
    batch = draw_image_batch([(clips, 16)], np.random.default_rng(0), own_share=1.0, noise=0.1)
    assert not batch.own.any()
    mixed = clips_of(mixed_store(tmp_path / "m"))
    video = mixed.video_batch(np.random.default_rng(0), count=12, num_frames=4)
    shades = video.clip[:, :, 0, 0, 0]
    assert (shades[:, 0] != shades[:, -1]).all()


def test_true_frames_of_stills_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", still_clips(5))
    settings = {"store_path": store.path, "out": tmp_path / "c"}
    with pytest.raises(
        ValueError, match="would learn nothing, as no clip moves: of 5 clips"
    ) as told:
        train(**settings, overrides=[*QUICK, "true_frame_steps=2"])
    assert "5 are stills" in str(told.value)
    assert "true_frame_steps=0" in str(told.value)
    assert not (tmp_path / "c").exists()


def test_stills_alone_train_with_critics(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = write_tiny_store(tmp_path / "s", still_clips(5))
    train(store_path=store.path, out=tmp_path / "c", overrides=QUICK)
    assert "5 are stills" in caplog.text
    assert "the video critic is not used" in caplog.text


def test_true_frames_are_those_of_the_clips_where_macro_faces_are_stills(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    stills = write_tiny_store(tmp_path / "m", still_clips(5))
    overrides = [*QUICK, "true_frame_steps=2", f"macro_store={stills.path}"]
    train(store_path=store.path, out=tmp_path / "c", overrides=overrides)
    assert "5 are stills" in caplog.text
    assert "they are not used in the 2 steps that learn from true frames" in caplog.text


def test_aus_that_are_the_same_everywhere_teach_nothing(tmp_path: Path) -> None:
    clips = clips_of(write_tiny_store(tmp_path / "s", still_clips(5, aus="12")))
    with pytest.raises(ValueError, match=r"the same in every frame.*--intensities v2"):
        check_signal([clips], true_frame_steps=0, steps=10)
    other = clips_of(write_tiny_store(tmp_path / "t", still_clips(5, aus="4")))
    check_signal([clips, other], true_frame_steps=0, steps=10)  # together they differ


def test_each_group_of_people_is_looked_at_before_the_first_is_trained(tmp_path: Path) -> None:
    moving = [c for c in tiny_clips(subjects=1) if c.emotion == "anger"]
    store = write_tiny_store(tmp_path / "s", [*moving, *still_clips(1)])
    with pytest.raises(ValueError, match="would learn nothing"):
        train(
            store_path=store.path,
            out=tmp_path / "c",
            subject_groups=2,
            overrides=[*QUICK, "true_frame_steps=1"],
        )
    assert not (tmp_path / "c").exists()


def test_stills_without_known_aus_say_how_to_measure_them(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", still_clips(3, aus=""))
    with pytest.raises(ValueError, match=r"no clip of .* known Action Unit.*--intensities v2"):
        clips_of(store)


def test_batches_say_how_noisy_their_clips_are(tmp_path: Path) -> None:
    shape = (6, 32, 32, 3)
    clips = [replace(c, offset=c.onset + 5, apex=c.onset + 3, aus="12") for c in still_clips(4)]
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "s", clips, 32, {"source": "samm"}) as writer:
        for i in range(len(clips)):
            frames = 120 + rng.normal(0, 4.0 * (i % 2), shape)
            writer.add(np.round(frames).astype(np.uint8))
        store = writer.finish()
    loaded = clips_of(store)
    quiet = {c.subject_id: i % 2 == 0 for i, c in enumerate(store.clips)}
    assert [quiet[c.subject_id] for c in loaded.clips] == [n < 0.001 for n in loaded.noise]
    batch = draw_image_batch([(loaded, 8)], rng, own_share=1.0, noise=0.0, each=2)
    assert batch.noise.shape == (16,)
    flat = batch.image.flatten(1).std(1).repeat_interleave(2)
    torch.testing.assert_close(batch.noise, flat, rtol=0.2, atol=0.001)
    video = loaded.video_batch(rng, 4, 6)
    torch.testing.assert_close(video.noise, video.clip[:, 0].flatten(1).std(1), rtol=0.2, atol=1e-3)
