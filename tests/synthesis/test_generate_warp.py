"""Generation by the AU warp: its requirements, provenance and clips."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.augment.au_fields import checksum
from mersynth.augment.au_warp import au_warp
from mersynth.config import ConfigError
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.emotions import prototypes
from mersynth.phantom.population import DEFAULT_COUNTS, write_store
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.dataset import to_float, to_uint8
from mersynth.synthesis.generate import generate
from recognizers.folds.guard import usable_clips
from tests.tiny_store import tiny_clips, write_tiny_store

OVERRIDES = ["num_frames=4", "batch_clips=3", "device=cpu"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return write_tiny_store(tmp_path_factory.mktemp("warp") / "samm", tiny_clips(subjects=4))


def run(real: ClipStore, out: Path, **changes: object) -> ClipStore:
    settings = {"per_class": 3, "store": real.path, "generator": "warp", "overrides": OVERRIDES}
    store = generate(**(settings | {"out": out} | changes))
    assert store is not None
    return store


@pytest.mark.usefixtures("pictures")
def test_provenance_says_that_nobody_was_trained_on(real: ClipStore, tmp_path: Path) -> None:
    store = run(real, tmp_path / "s", per_class=2)
    assert len(store) == 10
    for clip in store.clips:
        assert clip.generator == checksum()
        assert clip.unseen == real.subjects
        assert clip.template
        assert clip.template.rsplit("/", 1)[0] != clip.subject_id
    header = store.meta["header"]
    assert header["generator"] == "warp"
    assert header["generators"] == [
        {"sha256": checksum(), "training_subjects": [], "unseen_subjects": []}
    ]
    assert (store.path / "contact_sheet.png").exists()


@pytest.mark.usefixtures("pictures")
def test_people_of_another_store_can_be_tested_on(real: ClipStore, tmp_path: Path) -> None:
    strangers = [
        replace(clip, source="casme2", emotion="happiness") for clip in tiny_clips(subjects=2)
    ]
    other = write_tiny_store(tmp_path / "casme2", strangers)
    store = run(real, tmp_path / "s", per_class=1, tested=[other.path])
    assert {clip.unseen for clip in store.clips} == {(*other.subjects, *real.subjects)}
    assert usable_clips(store.clips, other.subjects) == tuple(range(len(store)))
    assert usable_clips(run(real, tmp_path / "t", per_class=1).clips, other.subjects) == ()


def test_clips_are_the_warp_of_a_face_by_what_the_curve_adds_to_it(
    real: ClipStore, tmp_path: Path
) -> None:
    measured = write_tiny_store(tmp_path / "m", tiny_clips(subjects=4), measured=True)
    overrides = [*OVERRIDES, "camera_noise=false"]
    store = run(measured, tmp_path / "s", per_class=2, overrides=overrides)
    for item in (store[0], store[7]):
        curve = torch.from_numpy(np.array(item.intensities))
        assert curve[0].max() > 0  # the face's own intensities
        faces = np.stack(
            [face.frames[0] for face in measured if face.clip.subject_id == item.clip.subject_id]
        )
        found = (faces == item.frames[0]).all((1, 2, 3)).nonzero()[0]
        assert len(found) == 1  # a clip begins with its face, unchanged
        made = au_warp(to_float(faces[found[0]])[None], None, (curve - curve[:1])[None])[0]
        assert np.array_equal(to_uint8(made), item.frames)


@pytest.mark.usefixtures("pictures")
def test_contempt_annotated_on_the_left_moves_that_side_alone(
    real: ClipStore, tmp_path: Path
) -> None:
    overrides = [*OVERRIDES, "head_motion=false", "camera_noise=false"]
    store = run(real, tmp_path / "s", per_class=1, overrides=overrides)
    (item,) = store.filter(lambda clip: clip.emotion == "contempt")
    assert item.clip.aus == "L14"
    left, right = np.moveaxis(item.intensities, -1, 0)
    assert left[:, CONDITION_AUS.index(14)].max() > 0.1
    assert not np.delete(left, CONDITION_AUS.index(14), 1).any()
    assert not right.any()
    change = np.abs(item.frames.astype(int) - item.frames[0]).mean((0, 1, 3))  # by column
    assert change[16:].mean() > 0.03  # the subject's left is the image's right
    assert change[16:].mean() > 20 * change[:16].mean()
    assert "AU L14" in (store.path / "gallery.html").read_text()


def test_landmarks_are_followed_where_there_are_any(
    real: ClipStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts = dict.fromkeys(DEFAULT_COUNTS, 3)
    phantom = write_store(
        tmp_path / "phantom", image_size=48, subjects=3, counts=counts, max_frames=4
    )
    with caplog.at_level(logging.WARNING):
        made = run(phantom, tmp_path / "made", per_class=3)
        assert "no landmarks" not in caplog.text
        run(real, tmp_path / "s")
    assert caplog.text.count("no landmarks in its first frame") == 1
    moved = [np.abs(i.frames.astype(int) - i.frames[0]).max() for i in made]
    assert max(moved) > 10


def test_same_seed_same_bytes_whatever_the_batch(real: ClipStore, tmp_path: Path) -> None:
    stores = [run(real, tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    again = run(real, tmp_path / "b", seed=1, overrides=[*OVERRIDES, "batch_clips=8"])
    assert [i.frames.tobytes() for i in again] == [i.frames.tobytes() for i in stores[0]]
    assert stores[0].checksum == run(real, tmp_path / "c", seed=1).checksum != stores[1].checksum


def test_resuming_gives_the_same_store(
    real: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(real, tmp_path / "whole")
    calls = []

    def failing(*arguments: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return au_warp(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("mersynth.synthesis.warp_generator.au_warp", failing)
        with pytest.raises(KeyboardInterrupt):
            run(real, tmp_path / "s")
    with pytest.raises(StoreError, match="add --resume"):
        run(real, tmp_path / "s")
    assert run(real, tmp_path / "s", resume=True).checksum == whole.checksum


def test_faces_of_another_size_are_used(real: ClipStore, tmp_path: Path) -> None:
    faces = write_tiny_store(
        tmp_path / "faces", tiny_clips(subjects=2), image_size=48, header={"source": "samm"}
    )
    store = run(real, tmp_path / "s", faces=faces.path, per_class=2)
    assert store.image_size == 48


def test_what_is_refused(real: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes no --checkpoint, got somewhere"):
        run(real, tmp_path / "s", checkpoint=Path("somewhere"))
    with pytest.raises(ValueError, match="must be one of icgan, warp, got 'gan'"):
        run(real, tmp_path / "s", generator="gan")
    with pytest.raises(ConfigError, match="num_frames"):
        run(real, tmp_path / "s", overrides=["num_frames=1"])
    assert list(tmp_path.iterdir()) == []


def test_prototypes_give_clips_that_follow_nobody(real: ClipStore, tmp_path: Path) -> None:
    overrides = [*OVERRIDES, "curves=prototypes"]
    store = run(real, tmp_path / "s", classes="three", per_class=8, overrides=overrides)
    assert store.meta["header"]["config"]["curves"] == "prototypes"
    for item in store:
        assert item.clip.template is None
        assert item.clip.aus in {prototype.aus for prototype in prototypes(item.clip.emotion)}
        assert item.clip.strength == "micro"
        assert item.clip.unseen == real.subjects
        asked = (item.intensities - item.intensities[:1]).max()
        assert 0.1 < asked < 0.42  # micro, and as strong as an AU without a letter


def test_early_curves_bring_macro_expressions_to_faces_at_micro_strength(
    real: ClipStore, tmp_path: Path
) -> None:
    others = [
        replace(clip, source="casme3", strength="macro", emotion="surprise", aus="1C+2C")
        for clip in tiny_clips(subjects=3, num_frames=20)
        if clip.emotion == "surprise"
    ]
    others += [replace(c, emotion="happiness", aus="12E", name="smile") for c in others]
    others += [replace(c, emotion="fear", aus="4D", name="fear") for c in others[:3]]
    macro = write_tiny_store(tmp_path / "macro", others, header={"source": "casme3"})
    exact = [f"conditions.{name}=0" for name in ("scale_jitter", "timing_jitter", "noise")]
    store = run(
        macro, tmp_path / "s", faces=real.path, classes="three", per_class=4,
        overrides=[*OVERRIDES, *exact, "num_frames=9", "head_motion=false", "curves=early"],
    )  # fmt: skip
    letters = {"1C+2C": 0.6, "12E": 1.0, "4D": 0.8}
    by_id = {clip.id: clip for clip in macro.clips}
    for item in store:
        template = by_id[item.clip.template or ""]
        assert item.clip.subject_id.startswith("samm/")
        assert set(item.clip.unseen) == {*real.subjects, *macro.subjects}
        assert item.clip.strength == "micro"
        assert item.clip.apex_index == 4
        # conditions.micro_gain of what the coder saw; reached at frame 4.5 of the macro-expression
        assert item.intensities.max() == pytest.approx(0.42 * letters[template.aus], rel=0.01)
        lasts = item.clip.num_frames / item.clip.fps * template.fps
        assert 8 < lasts < 11
    with pytest.raises(ValueError, match="curves=early follows the beginnings of macro-express"):
        run(real, tmp_path / "no", overrides=[*OVERRIDES, "curves=early"])


def test_curves_of_another_kind_are_refused(real: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"curves must be one of clips, .*, got 'cells'"):
        run(real, tmp_path / "s", overrides=[*OVERRIDES, "curves=cells"])
