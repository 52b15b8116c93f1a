"""Clips that do not move from onset to apex: reported by everything that reads movement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mersynth.config import load
from mersynth.curves import ConditionSettings
from mersynth.export import export
from mersynth.features.cache import FeatureError, compute_features, load_feature
from mersynth.features.kinds import FEATURES
from mersynth.gan.data import TrainingClips
from mersynth.quality.sample import take_sample
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.data.input_kinds import INPUT_KINDS
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec
from tests.tiny_store import HEADER, tiny_clips

SIDE = 48
STILL = ["samm/000/anger_0", "samm/000/happiness_0", "samm/000/other_0"]
TOLD = (
    ": in 3 of 5 clips no pixel changes from onset to apex, so their flow and other measures "
    f"of movement are zero: {', '.join(STILL)}; prepare the store with doubtful_apex=spot, which "
    "spots an apex where frames differ, or with doubtful_apex=leave_out"
)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> ClipStore:
    """Apex on the onset; two clips that move; a single frame; frames that are all the same."""
    clips = tiny_clips(subjects=1)
    clips[0] = replace(clips[0], apex=clips[0].onset)
    clips[2] = replace(clips[2], offset=clips[2].onset, apex=clips[2].onset)
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "s", clips, SIDE, HEADER) as writer:
        for i, clip in enumerate(clips):
            frames = rng.integers(0, 256, (clip.num_frames, SIDE, SIDE, 3), dtype=np.uint8)
            writer.add(np.repeat(frames[:1], len(frames), 0) if i == 4 else frames)
        return writer.finish()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "no pixel changes" in r.getMessage()]


def test_features_of_what_does_not_move_are_zero(
    store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("flow", "strain", "flow_hsv", "on_off", "magnified", "dynamic_image")
    compute_features(store, {"flow": {"method": "farneback"}, **{n: {} for n in names[1:]}})
    assert told(caplog) == [name + TOLD for name in names[:-1]]
    still, moving = [0, 2, 4], [1, 3]
    for name in ("flow", "strain"):
        assert not load_feature(store, name)[still].any()
        assert load_feature(store, name)[moving].any((1, 2, 3)).all()
    assert not load_feature(store, "flow_hsv")[still, 2].any()
    assert not load_feature(store, "on_off")[still, 0].any()
    assert load_feature(store, "on_off")[moving, 0].max() == 1
    frames = np.stack([store[i].frames[0] for i in still]).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(load_feature(store, "magnified")[still], frames, atol=1e-6)
    # A picture of how a clip changes has no values where nothing does.
    empty = np.isnan(load_feature(store, "dynamic_image")).all((1, 2, 3))
    assert empty.tolist() == [False, False, True, False, True]
    only = store.filter(lambda clip: clip.id == STILL[2])
    assert not FEATURES["dynamic_image"].fits(only[0])


def test_a_store_of_nothing_but_still_frames_has_no_dynamic_image(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=1)[:1]
    with StoreWriter(tmp_path / "s", clips, SIDE, HEADER) as writer:
        writer.add(np.full((clips[0].num_frames, SIDE, SIDE, 3), 9, np.uint8))
        store = writer.finish()
    with pytest.raises(FeatureError, match="1 of 1 clips have no frames that differ; a clip in"):
        compute_features(store, {"dynamic_image": {}})


@pytest.mark.parametrize("made_of", sorted(set(INPUT_KINDS) - {"au_regions"}))
def test_every_kind_of_input_warns_and_stays_finite(
    made_of: str, store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    kind = INPUT_KINDS[made_of]
    frames = 4 if kind.of_frames else None
    spec = InputSpec(made_of, kind.channels, (28, 28), frames, range=None)
    data = build_inputs(store, {"x": spec}, "native")
    assert data.inputs["x"].isfinite().all()
    needs = {*kind.needs, *(FEATURES[name].needs for name in kind.features(spec))}
    assert [line for line in told(caplog) if line == str(store.path) + TOLD] == (
        [str(store.path) + TOLD] if "apex" in needs else []
    )
    if made_of in ("flow_rgb", "emr_flow_rgb", "apex_minus_onset", "flow", "flow_strain"):
        assert data.inputs["x"][[0, 2, 4]].abs().max() == 0


def test_export_and_quality_warn(
    store: ClipStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export(store.path, "npz", tmp_path / "x.npz")
    assert told(caplog) == [str(store.path) + TOLD]
    with np.load(tmp_path / "x.npz") as file:
        assert not file["x"][[0, 2, 4]].any()
    caplog.clear()
    take_sample(store, "native", 10, 3, 48, seed=0)
    (line,) = told(caplog)  # of clips of two frames or more
    assert line.startswith(f"{store.path}: in 2 of 4 clips no pixel changes")


def test_a_curve_assumed_to_peak_in_the_middle_is_reported(
    store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    clips = TrainingClips(store, ConditionSettings(**load("train").conditions))
    assert clips.curves[0].max((1, 2)).argmax() in (2, 3)
    (line,) = [r.getMessage() for r in caplog.records if "peak in the middle" in r.getMessage()]
    assert line.startswith("1 of 5 clips have no apex after their onset")
    assert STILL[0] in line
