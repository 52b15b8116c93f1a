"""The layout npz: channels against closed forms and other libraries, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mersynth.clips import Clip
from mersynth.config import ConfigError
from mersynth.export import ExportError, export
from mersynth.export.arrays import FEATURES
from mersynth.face.template import HEAD, TIGHT
from mersynth.motion.flow import optical_flow
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from tests.export.export_stores import REAL_SAMM, synthetic, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    clips = [*REAL_SAMM, synthetic(REAL_SAMM[0], 4)]
    return write_store(tmp_path_factory.mktemp("npz") / "s", clips)


def arrays_of(
    store: ClipStore, out: Path, features: str, **options: object
) -> dict[str, np.ndarray]:
    export(store.path, "npz", out, features=features, **options)  # type: ignore[arg-type]
    with np.load(out) as arrays:  # refuses pickles
        return dict(arrays)


def halved(channels: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels."""
    *rest, height, width = channels.shape
    return channels.reshape(*rest, height // 2, 2, width // 2, 2).mean(axis=(-3, -1))


def pair(store: ClipStore, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Onset and apex, (3, H, W) in [0, 1]."""
    item = store[index]
    first, apex = item.frames[0], item.frames[item.clip.apex_index or 0]
    return first.transpose(2, 0, 1) / 255, apex.transpose(2, 0, 1) / 255


def test_labels_and_provenance(store: ClipStore, tmp_path: Path) -> None:
    arrays = arrays_of(store, tmp_path / "a.npz", "u,v,strain", size=28)
    assert arrays["x"].shape == (4, 3, 28, 28)
    assert arrays["x"].dtype == np.float32
    assert arrays["y"].dtype == np.int64
    assert list(arrays["channels"]) == ["u", "v", "strain"]
    assert [arrays["classes"][y] for y in arrays["y"]] == [c.emotion for c in store.clips]
    ids = zip(arrays["dataset"], arrays["subject"], arrays["clip"], strict=True)
    assert ["/".join(parts) for parts in ids] == [clip.id for clip in store.clips]
    made = store.clips[3]
    for name in ("template", "generator"):
        assert list(arrays[name]) == ["", "", "", getattr(made, name)]
    assert list(arrays["face"]) == [clip.subject_id for clip in store.clips]
    assert list(arrays["unseen"]) == ["", "", "", "samm/009;samm/010"]


def test_frames_and_differences_are_averaged_by_area(store: ClipStore, tmp_path: Path) -> None:
    arrays = arrays_of(store, tmp_path / "a.npz", "onset,apex,difference", size=16)
    names = [f"{what}_{c}" for what in ("onset", "apex", "difference") for c in "rgb"]
    assert list(arrays["channels"]) == names
    for i in range(len(store)):
        onset, apex = pair(store, i)
        expected = halved(np.concatenate([onset, apex, apex - onset]))
        np.testing.assert_allclose(arrays["x"][i], expected, atol=1e-6)


def test_grey_channels_are_the_luma_of_opencv(store: ClipStore, tmp_path: Path) -> None:
    grey = "onset_grey,apex_grey,difference_grey"
    arrays = arrays_of(store, tmp_path / "a.npz", grey, size=32)
    assert list(arrays["channels"]) == grey.split(",")
    for i, item in enumerate(store):
        first, apex = (
            cv2.cvtColor(item.frames[k].astype(np.float32) / 255, cv2.COLOR_RGB2GRAY)
            for k in (0, item.clip.apex_index or 0)
        )
        np.testing.assert_allclose(arrays["x"][i], [first, apex, apex - first], atol=1e-5)


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_flow_is_that_of_the_frames_shrunk_afterwards(
    store: ClipStore, tmp_path: Path, method: str
) -> None:
    features = "v,magnitude,u,strain"
    flow_group = [f"flow={method}"]
    arrays = arrays_of(store, tmp_path / "a.npz", features, size=16, overrides=flow_group)
    card = json.loads(str(arrays["card"]))
    assert card["flow"]["method"] == method
    assert (card["image_size"], card["size"]) == (32, 16)
    assert "pixels of the store's frames" in card["channels"]["u"]
    options = {"levels": 1} if method == "farneback" else {}
    for i in range(len(store)):
        onset, apex = (torch.from_numpy(frame)[None].float() for frame in pair(store, i))
        u, v = optical_flow(onset, apex, method, **options)[0].numpy()
        du_dy, du_dx = np.gradient(u)
        dv_dy, dv_dx = np.gradient(v)
        strain = np.sqrt(du_dx**2 + dv_dy**2 + (du_dy + dv_dx) ** 2 / 2)
        expected = halved(np.stack([v, np.hypot(u, v), u, strain]))
        np.testing.assert_allclose(arrays["x"][i], expected, atol=1e-4)


@pytest.mark.parametrize("size", [64, 16, 28])
def test_displacement_stays_in_pixels_of_the_frames(tmp_path: Path, size: int) -> None:
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.uniform(0, 255, (80, 80)).astype(np.float32), (0, 0), 3)
    wide = (wide - wide.min()) / np.ptp(wide) * 255
    # What lies at x in the onset frame lies at x + 2 in the apex frame, and at y - 1.
    pictures = [wide[8:72, 8:72], wide[9:73, 6:70]]
    frames = np.stack([np.stack([p] * 3, axis=-1) for p in pictures]).astype(np.uint8)
    clip = replace(REAL_SAMM[0], onset=1, apex=2, offset=2)
    with StoreWriter(tmp_path / "s", [clip], 64, {"source": "samm"}) as writer:
        writer.add(frames)
        store = writer.finish()
    x = arrays_of(store, tmp_path / "a.npz", "u,v,magnitude", size=size)["x"][0]
    inner = x[:, size // 4 : -size // 4, size // 4 : -size // 4].mean(axis=(1, 2))
    np.testing.assert_allclose(inner, [2, -1, np.sqrt(5)], atol=0.15)


def test_every_feature_has_its_channels_and_units(store: ClipStore, tmp_path: Path) -> None:
    arrays = arrays_of(store, tmp_path / "a.npz", ",".join(FEATURES), size=28)
    channels = list(arrays["channels"])
    assert len(channels) == len(set(channels)) == arrays["x"].shape[1]
    assert list(json.loads(str(arrays["card"]))["channels"]) == sorted(channels)
    assert np.isfinite(arrays["x"]).all()


def test_maps_are_cut_and_stretched_like_published_ones(tmp_path: Path) -> None:
    clips = [*REAL_SAMM, synthetic(REAL_SAMM[0], 4)]
    head = write_store(tmp_path / "s", clips, side=64, header={"framing": HEAD.as_dict()})
    whole = arrays_of(head, tmp_path / "whole.npz", "u,v", size=64)
    assert str(whole["scale"]) == "none"
    assert whole["framing"].tolist() == list(HEAD.as_dict().values())
    assert list(whole["units"]) == [FEATURES["u"].unit, FEATURES["v"].unit]
    options = {"overrides": ["framing=tight", "scale=minmax"]}
    made = arrays_of(head, tmp_path / "tight.npz", "u,v", size=28, **options)
    assert str(made["scale"]) == "minmax"
    assert made["framing"].tolist() == list(TIGHT.as_dict().values())
    assert set(made["units"]) == {"share of the clip's own range, 0 to 1"}
    assert json.loads(str(made["card"]))["framing"] == TIGHT.as_dict()
    (left, top), (right, bottom) = (TIGHT.within(HEAD) * 64).round().astype(int)
    for clip, shown in zip(whole["x"], made["x"], strict=True):
        for channel, found in zip(clip, shown, strict=True):
            part = channel[top:bottom, left:right]
            small = cv2.resize(part, (28, 28), interpolation=cv2.INTER_AREA)
            expected = (small - small.min()) / max(np.ptp(small), 1e-12)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_cannot_be_cut_or_scaled_is_refused(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scale=minmax is for features of motion, not for onset"):
        arrays_of(store, tmp_path / "a.npz", "u,onset", overrides=["scale=minmax"])
    with pytest.raises(ExportError, match=r"larger than the 18 pixels, of 32, .* --image-size 5\d"):
        arrays_of(store, tmp_path / "a.npz", "u", overrides=["framing=tight"])
    tight = write_store(tmp_path / "t", REAL_SAMM, header={"framing": TIGHT.as_dict()})
    with pytest.raises(ExportError, match="do not show all that framing head"):
        arrays_of(tight, tmp_path / "a.npz", "u", overrides=["framing=head"])
    loose = write_store(tmp_path / "l", REAL_SAMM, header={"framing": None})
    with pytest.raises(ExportError, match="is not known, so that they cannot be cut"):
        arrays_of(loose, tmp_path / "a.npz", "u", overrides=["framing=tight"])
    assert "framing" not in arrays_of(loose, tmp_path / "a.npz", "u")


def without_apex() -> list[Clip]:
    return [REAL_SAMM[0], replace(REAL_SAMM[1], apex=None), REAL_SAMM[2]]


def test_a_clip_without_apex_is_named_or_left_out(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", without_apex())
    with pytest.raises(ExportError, match=r"1 of 3 .*\n  samm/006/006_1_3: it has no apex"):
        arrays_of(store, tmp_path / "a.npz", "u,v")
    assert not (tmp_path / "a.npz").exists()
    arrays = arrays_of(store, tmp_path / "a.npz", "u,v", skip_bad=True)
    assert list(arrays["clip"]) == ["006_1_2", "007_6_1"]
    assert [arrays["classes"][y] for y in arrays["y"]] == ["anger", "happiness"]
    assert list(json.loads(str(arrays["card"]))["skipped"]) == ["samm/006/006_1_3"]
    # The onset frame is there in any case.
    assert len(arrays_of(store, tmp_path / "b.npz", "onset,onset_grey")["x"]) == 3


def test_clips_without_a_class_are_left_out(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", REAL_SAMM)
    arrays = arrays_of(store, tmp_path / "a.npz", "onset", classes="three")
    assert list(arrays["classes"]) == ["negative", "positive", "surprise"]
    assert list(arrays["y"]) == [0, 1]
    assert json.loads(str(arrays["card"]))["without_a_class"] == 1


@pytest.mark.parametrize(
    ("features", "size", "told"),
    [
        ("u,w", 28, "no feature 'w'; known are u, v, strain, magnitude, onset, apex, difference, "),
        ("u,u", 28, "each once"),
        ("", 28, "must name some"),
        ("u", 33, r"size 33 is larger than the frames' 32 pixels, .* --image-size 33"),
        ("u", 0, "size must be in 1..4096, got 0"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    store: ClipStore, tmp_path: Path, features: str, size: int, told: str
) -> None:
    with pytest.raises((ValueError, ConfigError, ExportError), match=told):
        arrays_of(store, tmp_path / "a.npz", features, size=size)
    assert list(tmp_path.iterdir()) == []
