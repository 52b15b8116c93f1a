"""Features: right numbers in right rows, computed once, never half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mersynth import config
from mersynth.clips import Clip
from mersynth.features.cache import (
    FeatureError,
    complete_options,
    compute_features,
    load_feature,
)
from mersynth.features.kinds import FEATURES
from mersynth.motion.flow import farneback, optical_strain
from mersynth.motion.magnify import load_magnet
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.store.dataset import to_float
from tests.tiny_store import tiny_clips, write_tiny_store

FARNEBACK = {"flow": {"method": "farneback"}}


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> ClipStore:
    """Clips of several lengths, one of them without an apex and one of a single frame."""
    clips = tiny_clips(subjects=1)
    clips[1] = Clip(
        source="samm", subject="000", name="still", onset=3, apex=3, offset=3, emotion="anger"
    )
    clips[2] = Clip(
        source="samm", subject="001", name="open", onset=1, apex=None, offset=4, emotion="anger"
    )
    return write_tiny_store(tmp_path / "s", clips, measured=True)


def options() -> dict[str, dict[str, object]]:
    """The options that the command line uses."""
    from omegaconf import OmegaConf

    chosen = OmegaConf.to_container(config.load("prepare"))["feature"]
    return {name: chosen[name] for name in FEATURES}


def test_flow_is_that_of_each_clip(store: ClipStore) -> None:
    compute_features(store, FARNEBACK)
    flow = load_feature(store, "flow")
    assert (flow.shape, flow.dtype) == ((len(store), 2, 32, 32), np.float32)
    assert np.isnan(flow[2]).all()
    for row, item in enumerate(store):
        if item.clip.apex_index is None:
            continue
        frames = to_float(item.frames)
        apex = frames[item.clip.apex_index][None]
        assert_close(torch.tensor(flow[row])[None], farneback(frames[:1], apex))


def test_every_feature_of_the_config(store: ClipStore) -> None:
    files = compute_features(store, options())
    shapes = {name: load_feature(store, name).shape for name in FEATURES}
    n = len(store)
    assert shapes == {
        "flow": (n, 2, 32, 32),
        "strain": (n, 1, 32, 32),
        "flow_hsv": (n, 3, 32, 32),
        "on_off": (n, 2, 32, 32),
        "magnified": (n, 3, 32, 32),
        "dynamic_image": (n, 3, 32, 32),
        "tim": (n, 10, 3, 32, 32),
        "intensity_change": (len(store.frames), 20),
    }
    flow, strain = load_feature(store, "flow"), load_feature(store, "strain")
    assert_close(torch.tensor(strain[:1]), optical_strain(torch.tensor(flow[:1])))
    first = to_float(store[0].frames)
    apex = first[store.clips[0].apex_index][None]
    magnified = load_magnet()(first[:1], apex, 4.0)
    assert_close(torch.tensor(load_feature(store, "magnified")[:1]), magnified.detach())
    change = load_feature(store, "intensity_change")
    rows = slice(store.starts[3], store.starts[3] + store.clips[3].num_frames)
    stronger = store[3].intensities.max(2)
    np.testing.assert_allclose(change[rows], stronger - stronger[0])
    without = {name for name in FEATURES if np.isnan(load_feature(store, name)[1]).any()}
    assert without == {"dynamic_image", "tim"}  # a single frame does not move
    card = json.loads(files["tim"].with_suffix(".json").read_text())
    assert card["options"] == {"num_frames": 10}
    ClipStore.open(store.path, verify=True)


def test_the_same_options_are_read_and_others_computed(store: ClipStore) -> None:
    first = compute_features(store, FARNEBACK)["flow"]
    written = first.stat().st_mtime_ns
    assert compute_features(store, FARNEBACK)["flow"] == first
    assert first.stat().st_mtime_ns == written
    other = compute_features(store, {"flow": {"method": "farneback", "winsize": 9}})["flow"]
    assert other != first
    with pytest.raises(FeatureError, match=r"several versions.*winsize"):
        load_feature(store, "flow")
    assert not np.allclose(load_feature(store, "flow", winsize=9)[0], np.load(first)[0])


def test_a_view_gets_its_own_rows(store: ClipStore) -> None:
    compute_features(store, FARNEBACK | {"intensity_change": {}})
    view = store.filter(lambda clip: clip.subject == "000")
    assert len(view) < len(store)
    np.testing.assert_array_equal(
        load_feature(view, "flow"), load_feature(store, "flow")[[0, 1, 3, 4]]
    )
    assert len(load_feature(view, "intensity_change")) == sum(c.num_frames for c in view.clips)
    with pytest.raises(FeatureError, match="for a complete store, not for a part"):
        compute_features(view, FARNEBACK)


def test_a_run_that_fails_in_its_middle_leaves_nothing(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def fail_late(clips: Sequence[StoredClip], device: object, **options: object) -> torch.Tensor:
        if seen:
            raise MemoryError
        seen.extend((store.path / "features").glob("*"))
        seen.append(store.path)
        return torch.zeros(len(clips), 1)

    monkeypatch.setattr("mersynth.features.cache._BATCH", 2)
    monkeypatch.setitem(FEATURES, "tim", replace(FEATURES["tim"], compute=fail_late))
    with pytest.raises(MemoryError):
        compute_features(store, {"tim": {}})
    assert not (store.path / "features").exists()


def test_options_are_completed_and_checked_before_work_begins(store: ClipStore) -> None:
    full = complete_options({"flow": {"method": "dis"}, "magnified": {"alpha": 4}})
    assert full == {
        "flow": {"method": "dis", "preset": "medium", "finest_scale": 0},
        "magnified": {"method": "magnet", "alpha": 4.0},
    }
    sparse = compute_features(store, {"flow": {"method": "dis"}})
    assert compute_features(store, {"flow": full["flow"]}) == sparse
    for wrong, said in (
        ({"flow": {"method": "sift"}}, "flow: method must be one of tvl1, farneback, dis"),
        ({"tim": {"frames": 3}}, "tim has no option 'frames'; it has num_frames"),
        ({"tim": {"num_frames": "ten"}}, "tim: num_frames must be int, got 'ten'"),
        ({"tim": {"num_frames": True}}, "tim: num_frames must be int, got True"),
        ({"intensity_change": {"alpha": 1}}, "intensity_change has no option 'alpha'; it has none"),
    ):
        with pytest.raises(ValueError, match=said):
            complete_options(wrong)


@pytest.mark.slow
def test_two_processes_may_compute_the_same(store: ClipStore) -> None:
    """The second waits for the first and reads its result; nobody reads half a file."""
    code = (  # one that becomes two, so that imports are paid for once
        "import os, sys; from mersynth.store import ClipStore; import mersynth.features as f;"
        "child = os.fork();"
        "f.compute_features(ClipStore.open(sys.argv[1]), {'flow': {'method': 'farneback'}});"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) if child else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(store.path)]).returncode == 0
    flow = load_feature(store, "flow")
    assert [bool(np.isnan(row).any()) for row in flow] == [False, False, True, False, False]


def test_a_half_written_or_damaged_feature_is_not_read(store: ClipStore) -> None:
    file = compute_features(store, FARNEBACK)["flow"]
    whole = file.read_bytes()
    card = file.with_suffix(".json")
    good = card.read_bytes()
    for damage in (
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        lambda: card.write_bytes(b"\xff"),
        lambda: card.write_text("[1]"),
        lambda: card.unlink(),
    ):
        damage()
        with pytest.raises(FeatureError, match=r"mersynth prepare --store .* --features flow"):
            load_feature(store, "flow")
        compute_features(store, FARNEBACK)
        assert file.read_bytes() == whole
        assert card.read_bytes() == good
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FeatureError, match="is damaged"):
        load_feature(store, "flow")


def test_a_feature_of_another_store_is_not_read(store: ClipStore, tmp_path: Path) -> None:
    compute_features(store, FARNEBACK)
    other = write_tiny_store(tmp_path / "t", tiny_clips(subjects=2))
    (store.path / "features").rename(other.path / "features")
    with pytest.raises(FeatureError, match="has no feature 'flow'"):
        load_feature(other, "flow")


def test_unknown_features(store: ClipStore) -> None:
    with pytest.raises(FeatureError, match="no feature glow; known: flow, strain"):
        compute_features(store, {"glow": {}})
    with pytest.raises(FeatureError, match="no feature 'glow'"):
        load_feature(store, "glow")


def test_no_clip_has_what_a_feature_needs(tmp_path: Path) -> None:
    clip = Clip(
        source="smic", subject="s1", name="a", onset=0, apex=None, offset=3, emotion="surprise"
    )
    store = write_tiny_store(tmp_path / "s", [clip])
    with pytest.raises(FeatureError, match=r"1 of 1 clips have no apex; .*apex=strain"):
        compute_features(store, FARNEBACK)
    with pytest.raises(FeatureError, match=r"have no intensities; .*--intensities v2"):
        compute_features(store, {"intensity_change": {}})


def test_strain_of_a_known_flow_is_that_of_the_frames(store: ClipStore, tmp_path: Path) -> None:
    stores = [ClipStore.open(shutil.copytree(store.path, tmp_path / name)) for name in "ab"]
    compute_features(stores[0], {"strain": {}})
    for name in ("flow", "strain"):
        compute_features(stores[1], {name: {}})
    alone, derived = (load_feature(each, "strain") for each in stores)
    assert np.array_equal(alone, derived, equal_nan=True)
