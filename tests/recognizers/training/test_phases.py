"""Phases apart in training: what the falling phase shows, who gets it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.clips import Clip
from mersynth.config import ConfigError
from mersynth.motion.flow import optical_flow
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_float
from recognizers.data.inputs import build_inputs
from recognizers.experiment.evaluate import evaluate
from recognizers.models import outline
from recognizers.models.base import InputSpec
from recognizers.training.augmenting import Augmenting, fall_of
from tests.recognizers.experiment.tiny_experiment import folds, request
from tests.tiny_store import tiny_clips, write_tiny_store

RGB = ("red", "green", "blue")
SIZE = (32, 32)
APART = "phases_apart=true"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Clips of 6 frames whose apex is the fourth."""
    return write_tiny_store(tmp_path_factory.mktemp("phases") / "samm", tiny_clips(subjects=4))


def frames_at(store: ClipStore, index: int) -> torch.Tensor:
    return to_float(np.stack([item.frames[index] for item in store]))


def test_the_falling_phase_goes_from_offset_to_apex(store: ClipStore) -> None:
    specs = {
        "onset": InputSpec("onset", RGB, SIZE),
        "apex": InputSpec("apex", RGB, SIZE),
        "flow": InputSpec("flow", ("u", "v"), SIZE, range=None),
    }
    data = build_inputs(store, specs, "five", phases_apart=True)
    torch.testing.assert_close(data.inputs["onset"], frames_at(store, 0))
    torch.testing.assert_close(data.falling["onset"], frames_at(store, 5))
    torch.testing.assert_close(data.falling["apex"], frames_at(store, 3))
    flow = optical_flow(frames_at(store, 5), frames_at(store, 3))
    torch.testing.assert_close(data.falling["flow"], flow, atol=1e-4, rtol=0)
    assert not torch.allclose(data.falling["flow"], data.inputs["flow"], atol=0.1)
    assert build_inputs(store, specs, "five").falling == {}


def test_a_clip_that_ends_at_its_apex_has_no_fall(tmp_path: Path) -> None:
    clips = [
        Clip(**{f: getattr(c, f) for f in Clip.__slots__} | {"apex": c.offset})
        for c in tiny_clips(subjects=2)
    ]
    own = write_tiny_store(tmp_path / "s", clips)
    specs = {"onset": InputSpec("onset", RGB, SIZE), "apex": InputSpec("apex", RGB, SIZE)}
    data = build_inputs(own, specs, "five", phases_apart=True)
    for name in specs:
        assert torch.equal(data.falling[name], data.inputs[name])


def test_half_of_the_clips_show_their_fall_in_all_inputs() -> None:
    specs = {"onset": InputSpec("onset", RGB, (2, 2)), "apex": InputSpec("apex", RGB, (2, 2))}
    batch = {
        "label": torch.zeros(1000).long(),
        "au_set": torch.zeros(1000, 1, 2),
        "subject": torch.zeros(1000).long(),
        **{name: torch.zeros(1000, 3, 2, 2) for name in specs},
        **{fall_of(name): torch.ones(1000, 3, 2, 2) for name in specs},
    }
    for options, share in (({}, 0.5), ({"p": 0.4}, 0.2), ({"p": 0}, 0)):
        torch.manual_seed(0)
        made = Augmenting({"PhasesApart": options}, specs)(batch)
        assert torch.equal(made["onset"], made["apex"])
        falls = made["onset"].flatten(1)
        assert (falls.amin(1) == falls.amax(1)).all()
        assert abs(float(falls.mean()) - share) < 0.05


@pytest.mark.usefixtures("hear")
def test_a_run_learns_from_both_phases_and_is_tested_on_the_rise(
    store: ClipStore, tmp_path: Path
) -> None:
    plain, apart = (
        folds(evaluate(request(store.path, *overrides, groups=2), tmp_path / name))
        for name, overrides in (("plain", ()), ("apart", (APART,)))
    )
    assert "PhasesApart" in (tmp_path / "apart" / "config.yaml").read_text()
    # The same people, weights and number of clips; what the clips show differs.
    assert [fold["clips"] for fold in plain] == [fold["clips"] for fold in apart]
    losses = [[fold["curve"][0]["loss"] for fold in run] for run in (plain, apart)]
    assert all(abs(a - b) > 1e-3 for a, b in zip(*losses, strict=True))


def test_systems_that_read_whole_clips_are_refused(store: ClipStore, tmp_path: Path) -> None:
    specs = outline("stcnn", 5, image_size=32, num_frames=17).inputs
    with pytest.raises(ConfigError, match=r"the input 'clip' \(grey_clip\) shows clips from onset"):
        build_inputs(store, specs, "five", phases_apart=True)
    with pytest.raises(ConfigError, match="the input 'image' "):
        evaluate(
            request(store.path, APART, "model.options.image_size=64", model="dual_branch_tiny"),
            tmp_path / "r",
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.usefixtures("hear")
def test_feature_files_have_no_fall(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"and .*\.npz holds features of the rise alone"):
        evaluate(request(data, APART), tmp_path / "r")
