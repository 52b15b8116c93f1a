"""Sets of flow images: one per real database, and rendered clips with their templates."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mersynth.clips import Clip
from mersynth.phantom.layouts import LAYOUTS
from recognizers.folds.guard import usable_clips
from recognizers.models.registry import create_model
from tests.script_modules import SCRIPTS, script
from tests.tiny_store import tiny_clips, write_tiny_store

sets = script("measuring.flow_sets")
pairs = script("measuring.flow_pairs")


def write_real(file: Path, datasets: list[str], subjects: list[str], **more: list[str]) -> Path:
    count = len(datasets)
    x = np.random.default_rng(0).random((count, 3, 28, 28)).astype(np.float32) * 5
    classes = ["negative", "positive", "surprise"]
    y = np.arange(count) % 3
    arrays = {"x": x, "y": y, "classes": classes, "channels": ["u", "v", "strain"]}
    np.savez(file, subject=subjects, dataset=datasets, **arrays, **more)
    return file


def test_databases_come_apart(tmp_path: Path) -> None:
    real = write_real(tmp_path / "real.npz", ["a", "b", "a", "a"], ["1", "1", "2", "1"])
    first, second = sets.by_database(real, tmp_path / "features")
    assert [first.name, second.name] == ["a", "b"]
    assert first.people == ("a/1", "a/2", "a/1")
    assert first.labels.tolist() == [0, 2, 0]
    assert (first.images.min((2, 3)) == 0).all()
    assert (first.images.max((2, 3)) == 1).all()


def test_synthetic_clips_are_refused_as_real_ones(tmp_path: Path) -> None:
    origin = {"generator": ["g"] * 2, "unseen": ["a/1"] * 2, "template": ["a/1/x"] * 2}
    real = write_real(tmp_path / "real.npz", ["a"] * 2, ["1", "2"], **origin)
    with pytest.raises(ValueError, match="synthetic clip; give real ones"):
        sets.by_database(real, tmp_path)


def test_rendered_clips_that_follow_a_tested_person_are_left_out(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "first", tiny_clips(subjects=2, num_frames=2))
    people = ["samm/000", "samm/001", "smic/s01"]
    file = sets.rendered_file(store.path, people, tmp_path)
    assert sets.rendered_file(file, people, tmp_path) == file
    clips = sets.read_features(file, create_model("ststnet", 3).inputs).clips
    assert len(clips) == 2 * 4  # "other" is in none of three classes
    usable = [clips[i].template for i in usable_clips(clips, ["samm/001"])]
    assert usable == [f"samm/000/{e}_0" for e in ("anger", "contempt", "happiness", "surprise")]
    assert len(usable_clips(clips, ["smic/s01"])) == len(clips)
    assert not usable_clips(clips, ["smic/s02"])  # not known to be unseen


def test_generated_clips_that_follow_a_tested_person_are_left_out(tmp_path: Path) -> None:
    """The rendered face of a generated clip is nobody's; whose curve it follows counts."""
    made = [
        replace(clip, template=f"samm/{followed}/a", generator="g", unseen=("samm/000",))
        for clip, followed in zip(tiny_clips(subjects=1)[:3], ("000", "001", "001"), strict=True)
    ]
    store = write_tiny_store(tmp_path / "made", made)
    file = sets.rendered_file(store.path, ["samm/000", "samm/001", "smic/s01"], tmp_path)
    clips = sets.read_features(file, create_model("ststnet", 3).inputs).clips
    followed = [clip.template for clip in clips]
    assert len(usable_clips(clips, ["samm/000"])) == followed.count("samm/001/a") > 0
    assert len(usable_clips(clips, ["samm/001"])) == followed.count("samm/000/a") > 0
    assert len(usable_clips(clips, ["smic/s01"])) == len(clips)


def test_images_in_the_form_of_a_system(tmp_path: Path) -> None:
    real = write_real(tmp_path / "real.npz", ["a"] * 3, ["1", "2", "3"])
    (one,) = sets.by_database(real, tmp_path / "features")
    (file,) = one.files
    with np.load(sets.in_form(file, ("v", "strain"), 28)) as arrays:
        np.testing.assert_array_equal(arrays["x"], one.images[:, 1:])
        assert arrays["channels"].tolist() == ["v", "strain"]
        assert str(arrays["scale"]) == "minmax"
    with np.load(sets.in_form(file, ("u", "v", "strain"), 56)) as arrays:
        halved = arrays["x"].reshape(3, 3, 28, 2, 28, 2).mean((3, 5))
        assert np.corrcoef(halved.ravel(), one.images.ravel())[0, 1] > 0.9


def test_people_with_other_names_are_reported(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "first", tiny_clips(subjects=1, num_frames=2))
    with pytest.raises(ValueError, match=r"whose people it names like samm/000, .* like samm/6"):
        sets.rendered_file(store.path, ["samm/6", "samm/7"], tmp_path)


def test_a_pair_is_onset_and_apex_as_far_apart_in_time() -> None:
    clip = Clip(
        source="casme2", subject="sub07", name="EP06_01", onset=100, apex=130, offset=160,
        emotion="happiness", aus="12", fps=200.0,
    )  # fmt: skip
    (layout,) = LAYOUTS["casme2"]
    spec = pairs.pair_of(clip, layout, seed=0)
    assert (spec.clip.num_frames, spec.clip.apex_index) == (2, 1)
    assert 1 / spec.clip.fps == pytest.approx(30 / 200)
    assert (spec.clip.id, spec.clip.aus) == (clip.id, "12")
    assert pairs.pair_of(replace(clip, apex=None, offset=159), layout, 0).clip.fps == 200 / 29
    assert pairs.pair_of(replace(clip, apex=100), layout, 0) is None


@pytest.mark.slow
def test_arms_and_figures_of_every_set(tmp_path: Path) -> None:
    names = ["a"] * 20 + ["b"] * 20
    people = [str(i // 2) for i in range(40)]
    real = write_real(tmp_path / "real.npz", names, people)
    ids = [f"{name}/{person}" for name, person in zip(names, people, strict=True)]
    rendered = write_real(
        tmp_path / "some.npz", ["r"] * 40, people,
        generator=["g"] * 40, unseen=[";".join(sorted(set(ids)))] * 40,
        template=[f"{one}/x" for one in ids],
    )  # fmt: skip
    command = [
        sys.executable, SCRIPTS / "measure_real_flow.py", "--real", real, "--rendered", "some",
        rendered, "--seeds", "2", "--work", tmp_path / "work", "--out", tmp_path / "flow.md",
        "--system", "ststnet_published", "--system", "off_apexnet", "--choosing", "some",
        "--shared", "some", "device=cpu", "executor.workers=1", "model.training.epochs=1",
        "choice.parts=2", "choice.ways=[{lr_factor: 0.5}]",
    ]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    found = json.loads((tmp_path / "flow.json").read_text())
    assert set(found["statistics"]["sets"]) == {"a", "b", "some"}
    assert [arm["database"] for arm in found["arms"]] == list("aaaaaabbbbbbaaaaabbbbb")
    text = (tmp_path / "flow.md").read_text()
    assert "Chosen on one database" in text
    assert "| some, mixed in | 2 | a and b |" in text
    assert "| some, mixed in for 0.67 of the epochs | 2 | a and b |" in text
    assert all(len(arm["scores"]["seeds"]) == 2 for arm in found["arms"])
    assert (tmp_path / "images" / "flow.png").exists()
