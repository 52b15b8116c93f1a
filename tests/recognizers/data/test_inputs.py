"""Inputs: what the registered systems read, from the frames and features of a small phantom."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

import recognizers
from mersynth.augment.au_sets import ORDER
from mersynth.clips import Clip
from mersynth.features.cache import load_feature
from mersynth.features.kinds import FEATURES
from mersynth.motion.flow_images import on_apex_off_magnitudes
from mersynth.motion.magnify import eulerian_pair, load_magnet
from mersynth.motion.tim import tim
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.data.input_kinds import INPUT_KINDS, register_input
from recognizers.data.inputs import ModelData, build_inputs
from recognizers.models import InputSpec

SIZE = 64
RGB = ("red", "green", "blue")
IMAGE = InputSpec("magnified_on_off", ("magnified_grey", "on_apex", "off_apex"), (SIZE, SIZE))
CLIP = InputSpec("clip", RGB, (32, 32), 16)
EULERIAN = {"magnified": {"method": "eulerian"}}  # quick, where MagNet is not what is tested


def write(path: Path, changes: Sequence[dict[str, Any]], **header: str) -> ClipStore:
    """A clip of the phantom for each change of its annotation; the frames stay as rendered."""
    counts = {"anger": 2, "happiness": 1, "surprise": 1, "other": 1}
    specs = clip_specs(subjects=2, counts=counts, max_frames=9)
    specs.sort(key=lambda spec: (spec.clip.emotion, spec.clip.id))
    clips = [replace(s.clip, **change) for s, change in zip(specs, changes, strict=True)]
    header = {"source": "phantom", "licence": "none", **header}
    with StoreWriter(path, clips, SIZE, header) as writer:
        for spec, clip in zip(specs, clips, strict=True):
            writer.add(*(part[: clip.num_frames] for part in render_clip(spec, SIZE)))
        return writer.finish()


@pytest.fixture(scope="module", name="rendered")
def _rendered(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Anger, anger without an apex, happiness, other (no class in ``three``), surprise."""
    path = tmp_path_factory.mktemp("stores") / "phantom"
    return write(path, [{"aus": "4+L7"}, {"apex": None}, {}, {}, {}])


@pytest.fixture(name="store")
def _store(rendered: ClipStore, tmp_path: Path) -> ClipStore:
    """A copy without features."""
    kept = shutil.copytree(rendered.path, tmp_path / "s", ignore=shutil.ignore_patterns("features"))
    return ClipStore.open(kept)


def frames(store: ClipStore, clip: Clip) -> np.ndarray:
    """(T, H, W, 3) in [0, 1]."""
    return store.filter(lambda c: c.id == clip.id)[0].frames.astype(np.float32) / 255


def tensor(images: np.ndarray) -> Tensor:
    """(..., H, W, 3) as (..., 3, H, W)."""
    return torch.from_numpy(np.moveaxis(images, -1, -3).copy())


def count_computing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the features that are computed from now on, once for each batch."""
    computed: list[str] = []

    def counted(name: str) -> Any:
        def compute(*args: Any, **options: Any) -> Tensor:
            computed.append(name)
            return feature.compute(*args, **options)

        feature = FEATURES[name]
        return replace(feature, compute=compute)

    for name in ("magnified", "on_off", "tim"):
        monkeypatch.setitem(FEATURES, name, counted(name))
    return computed


def test_au_gacn_reads_the_nearest_frames(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognizers.data.inputs._BATCH", 3)  # the four clips take two batches
    model = recognizers.create_model(
        "au_gacn", 3, image_size=16, num_frames=16, width=16, graph_width=16
    ).eval()
    data = build_inputs(store, model.inputs, "three")
    assert data.inputs["clip"].shape == (4, 16, 3, 16, 16)
    for row, clip in enumerate(data.clips):
        whole = frames(store, clip)
        steps = [round(i * (len(whole) - 1) / 15) for i in range(16)]
        small = whole.reshape(-1, 16, 4, 16, 4, 3).mean(axis=(2, 4))[steps]
        assert_close(data.inputs["clip"][row], tensor(small), atol=1e-6, rtol=0)
    assert model(**data.inputs).logits.shape == (4, 3)


@pytest.mark.parametrize("size", [64, 96])
def test_dual_branch_reads_the_magnified_frame_and_two_magnitudes(
    store: ClipStore, size: int
) -> None:
    model = recognizers.create_model("dual_branch", 3, image_size=size).eval()
    data = build_inputs(store, model.inputs, "three")
    image = data.inputs["image"]
    assert image.shape == (3, 3, size, size)
    clip = data.clips[1]
    assert clip.apex_index is not None
    whole = tensor(frames(store, clip))
    onset, apex, offset = whole[[0, clip.apex_index, -1]].split(1)
    with torch.no_grad():
        red, green, blue = load_magnet()(onset, apex, 6.0)[0].numpy()
    grey = np.clip(0.299 * red + 0.587 * green + 0.114 * blue, 0, 1)
    on_apex, off_apex = on_apex_off_magnitudes(onset, apex, offset)[0].numpy()
    by_hand = [cv2.resize(part, (size, size)) for part in (grey, on_apex, off_apex)]
    # A motion equal to the threshold may fall on either side: batches round differently.
    differs = (image[1] - torch.from_numpy(np.stack(by_hand))).abs() > 2e-3
    assert differs.float().mean() < 1e-3
    assert float(image[1, 1:].amax()) > 0.5
    assert model(**data.inputs).logits.shape == (3, 3)


def test_options_of_features_reach_them(store: ClipStore) -> None:
    options: dict[str, dict[str, Any]] = {
        "magnified": {"method": "eulerian", "alpha": 2.0},
        "on_off": {"alpha": 4.0, "threshold": 0.0},
    }
    data = build_inputs(store, {"image": IMAGE}, "three", features=options)
    clip = data.clips[0]
    assert clip.apex_index is not None
    whole = tensor(frames(store, clip))
    onset, apex, offset = whole[[0, clip.apex_index, -1]].split(1)
    luma = torch.tensor([0.299, 0.587, 0.114])
    grey = torch.einsum("chw,c->hw", eulerian_pair(onset, apex, 2.0)[0], luma)
    with torch.no_grad():
        amplified = load_magnet()(onset, apex, 4.0)
    on_off = on_apex_off_magnitudes(onset, amplified, offset, threshold=0)[0]
    by_hand = torch.cat([grey[None], on_off])
    assert_close(data.inputs["image"][0], by_hand, atol=2e-3, rtol=0)  # batches round otherwise


def test_tim_interpolates_to_the_frames_of_the_spec(store: ClipStore) -> None:
    data = build_inputs(store, {"few": replace(CLIP, made_of="tim", num_frames=5)}, "three")
    whole = tensor(frames(store, data.clips[2]))
    by_hand = torch.nn.functional.avg_pool2d(tim(whole, 5), 2)
    assert_close(data.inputs["few"][2], by_hand, atol=1e-6, rtol=0)


def test_labels_au_sets_and_clips_belong_to_the_rows(store: ClipStore) -> None:
    data = build_inputs(store, {"clip": CLIP}, "three")
    assert data.classes == ("negative", "positive", "surprise")
    assert [clip.emotion for clip in data.clips] == ["anger", "anger", "happiness", "surprise"]
    assert (data.label.tolist(), data.label.dtype) == ([0, 0, 1, 2], torch.int64)
    assert data.au_set.shape == (4, len(ORDER), 2)
    sides = torch.zeros(len(ORDER), 2)
    sides[ORDER.index(4)] = 1
    sides[ORDER.index(7), 0] = 1
    assert_close(data.au_set[0], sides)


def test_clips_without_an_apex_are_left_out_with_one_warning(
    store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "recognizers"):
        specs = {"image": IMAGE, "clip": CLIP}
        data = build_inputs(store, specs, "three", features=EULERIAN)
    said = [r.getMessage() for r in caplog.records if r.name == "recognizers.data.inputs"]
    assert len(said) == 1
    assert "1 of 4 clips are left out, since they have no apex" in said[0]
    assert [clip.emotion for clip in data.clips] == ["anger", "happiness", "surprise"]
    assert data.label.tolist() == [0, 1, 2]
    assert len(data.au_set) == 3
    surprised = tensor(frames(store, data.clips[2]))[0]
    first = torch.nn.functional.avg_pool2d(surprised, 2)
    assert_close(data.inputs["clip"][2, 0], first, atol=1e-6, rtol=0)
    assert len(data.inputs["image"]) == 3


def test_a_still_picture_has_no_frames_between(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    still = {"onset": 10, "apex": 10, "offset": 10}
    store = write(tmp_path / "stills", [still, {}, {}, still, {"apex": None}])
    with caplog.at_level(logging.WARNING, "recognizers"):
        data = build_inputs(store, {"clip": replace(CLIP, made_of="tim")}, "native")
    assert [clip.num_frames > 1 for clip in data.clips] == [True] * 3
    assert "2 of 5 clips are left out, since they have no two frames; a single" in caplog.text
    assert "apex" not in caplog.text
    nearest = build_inputs(store, {"clip": CLIP}, "native").inputs["clip"]
    assert_close(nearest[0], nearest[0, :1].expand(16, 3, 32, 32), atol=0, rtol=0)


def test_no_clip_left_is_an_error(store: ClipStore) -> None:
    without = store.filter(lambda clip: clip.apex is None)
    with pytest.raises(ValueError, match=r"1 of 1 clips .* none is left; .*apex=strain"):
        build_inputs(without, {"image": IMAGE}, "three")
    others = store.filter(lambda clip: clip.emotion == "other")
    with pytest.raises(ValueError, match=r"no clip of .* has a class"):
        build_inputs(others, {"clip": CLIP}, "three")
    assert not (store.path / "features").exists()


def test_features_are_computed_once(store: ClipStore, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_computing(monkeypatch)
    specs = {"image": IMAGE, "frames": replace(CLIP, made_of="tim")}

    def build(part: ClipStore, scheme: str = "three") -> ModelData:
        return build_inputs(part, specs, scheme, features=EULERIAN)

    first = build(store)
    assert sorted(computed) == ["magnified", "on_off", "tim"]
    again = build(store)
    assert build(store, "native").inputs["image"].shape[0] == 4  # the clip of class other, too
    last = build(store.filter(lambda clip: clip.emotion == "surprise"))
    assert len(computed) == 3
    for name in specs:
        assert_close(again.inputs[name], first.inputs[name], atol=0, rtol=0)
        assert_close(last.inputs[name], first.inputs[name][2:], atol=0, rtol=0)


def test_a_synthetic_store_is_read_like_a_real_one(store: ClipStore, tmp_path: Path) -> None:
    made = {"generator": "0" * 64, "template": "samm/006/006_1_2", "unseen": ("samm/006",)}
    names = ["negative", "negative", "positive", "negative", "surprise"]
    changes = [{**made, "emotion": name} for name in names]
    synthetic = write(tmp_path / "synthetic", changes, scheme="three")
    data = build_inputs(synthetic, {"image": IMAGE}, "three", features=EULERIAN)
    assert data.classes == ("negative", "positive", "surprise")
    assert data.label.tolist() == [0, 0, 1, 0, 2]
    real = build_inputs(store, {"image": IMAGE}, "three", features=EULERIAN)
    assert_close(data.inputs["image"][[0, 2, 4]], real.inputs["image"], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("spec", "features", "message"),
    [
        (replace(CLIP, made_of="smell"), {}, r"'x' is made of 'smell'; known are apex, .*, tim"),
        (replace(CLIP, channels=RGB[::-1]), {}, "'clip' has red, green, blue .* blue, green, red"),
        (replace(CLIP, num_frames=None), {}, "a number of frames, .* num_frames=None"),
        (replace(IMAGE, num_frames=4), {}, "and num_frames=None, .* num_frames=4"),
        (CLIP, {"on_off": {"alpha": 4.0}}, "options of on_off, which no input .* none"),
        (IMAGE, {"magnified": {"beta": 4.0}}, "magnified has no option 'beta'"),
        (replace(CLIP, range=(0.0, 0.1)), {}, r"x: values must lie in \[0, 0.1\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    store: ClipStore, spec: InputSpec, features: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_inputs(store, {"x": spec}, "three", features=features)
    assert not (store.path / "features").exists()


def test_inputs_of_single_frames_and_of_flow(store: ClipStore) -> None:
    size = (SIZE, SIZE)
    specs = {
        "onset": InputSpec("onset", RGB, size),
        "apex": InputSpec("apex", RGB, size),
        "difference": InputSpec("apex_minus_onset", RGB, size, range=(-1.0, 1.0)),
        "flow": InputSpec("flow", ("u", "v"), size, range=None),
        "triple": InputSpec("flow_strain", ("u", "v", "strain"), size, range=None),
        "hsv": InputSpec("flow_hsv", ("hue", "saturation", "value"), size),
        "dynamic": InputSpec("dynamic_image", RGB, size),
    }
    data = build_inputs(store, specs, "three")
    assert [clip.apex is None for clip in data.clips] == [False] * 3  # the fourth has no apex
    inputs = data.inputs
    for row, clip in enumerate(data.clips):
        assert clip.apex_index is not None
        whole = tensor(frames(store, clip))
        assert_close(inputs["onset"][row], whole[0])
        assert_close(inputs["apex"][row], whole[clip.apex_index])
        assert_close(inputs["difference"][row], whole[clip.apex_index] - whole[0])
    assert_close(inputs["triple"][:, :2], inputs["flow"])
    for name, feature in {"flow": "flow", "hsv": "flow_hsv", "dynamic": "dynamic_image"}.items():
        stored = load_feature(store, feature)
        rows = [store.clips.index(clip) for clip in data.clips]
        assert_close(inputs[name], torch.from_numpy(stored[rows]))


def test_a_kind_of_input_can_be_added_once(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onset_red", "changes"):  # known to monkeypatch, they are gone after the test
        monkeypatch.setitem(INPUT_KINDS, name, INPUT_KINDS["clip"])
        del INPUT_KINDS[name]

    @register_input("onset_red", ("red",))
    def onset_red(items: Sequence[Any], features: Any, spec: InputSpec) -> Tensor:
        return torch.stack([tensor(item.frames[0] / np.float32(255))[:1] for item in items])

    spec = InputSpec("onset_red", ("red",), (96, 16))  # one side grows, the other shrinks
    data = build_inputs(store, {"x": spec}, "three")
    red = Image.fromarray(frames(store, data.clips[3])[0, ..., 0])
    resized = np.array(red.resize((16, 96), Image.Resampling.BILINEAR))
    assert_close(data.inputs["x"][3, 0], torch.from_numpy(resized), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="'onset_red' is registered already"):
        register_input("onset_red", ("red",))(onset_red)

    by_frame = {"intensity_change": {}}
    register_input("changes", ("red",), features=lambda spec: by_frame)(onset_red)
    with pytest.raises(ValueError, match=r"intensity_change.* is per frame"):
        build_inputs(store, {"x": InputSpec("changes", ("red",), (SIZE, SIZE))}, "three")
