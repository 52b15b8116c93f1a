"""NMER's flow images against OpenCV's, before and after magnification and reduction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.augment import apex_motion
from mersynth.features.cache import load_feature
from mersynth.motion.flow import farneback
from mersynth.motion.flow_images import flow_to_hsv, hsv_to_rgb
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_float
from mersynth.store.writer import StoreWriter
from recognizers.data.input_kinds.flow_rgb import TARGET_MOTION
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec, create_model
from tests.recognizers.models.handful import DOMAIN

SIZE = 64


def write(path: Path, strength: Any, still: int | None = None) -> ClipStore:
    """Phantom clips of one strength; the apex of ``still`` is said to be its onset."""
    counts = {"anger": 1, "happiness": 1, "surprise": 1}
    specs = clip_specs(subjects=2, counts=counts, strength=strength, fps=25, max_frames=14)
    clips = [
        replace(s.clip, apex=s.clip.onset) if i == still else s.clip for i, s in enumerate(specs)
    ]
    header = {"source": "phantom", "licence": "none"}
    with StoreWriter(path, clips, SIZE, header) as writer:
        for spec in specs:
            writer.add(*render_clip(spec, SIZE))
        return writer.finish()


@pytest.fixture(scope="module", name="stores")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipStore]:
    path = tmp_path_factory.mktemp("stores")
    return {
        "micro": write(path / "micro", "micro"),
        "macro": write(path / "macro", "macro"),
    }


def spec(made_of: str) -> dict[str, InputSpec]:
    return {"flow": InputSpec(made_of, ("red", "green", "blue"), (SIZE, SIZE))}


def frame(store: ClipStore, clip: int, place: int) -> np.ndarray:
    return np.ascontiguousarray(store[clip].frames[place])


def opencv_flow_rgb(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """NMER's flow image by OpenCV alone, (3, H, W) in [0, 1]."""
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (onset, apex)]
    flow = cv2.calcOpticalFlowFarneback(grey[0], grey[1], None, 0.5, 1, 15, 2, 5, 1.1, 0)  # type: ignore[call-overload]
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    hsv = np.empty((*length.shape, 3), np.float32)
    hsv[..., 0] = angle
    hsv[..., 1] = cv2.cvtColor(apex.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[..., 1]
    hsv[..., 2] = (length - length.min()) / (length.max() - length.min())
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).transpose(2, 0, 1)


def agree(image: Tensor, wanted: np.ndarray) -> bool:
    """Whether flow images agree, except at single pixels, where rounding changes the flow."""
    other = torch.from_numpy(wanted)
    scale = (image * other).sum() / (other * other).sum()
    alike = (image - scale * other).abs().gt(0.02).float().mean() < 0.01
    return bool(alike and 0.8 < scale < 1.25)


def test_a_flow_image_is_opencv_s(stores: dict[str, ClipStore]) -> None:
    store = stores["micro"]
    data = build_inputs(store, spec("flow_rgb"), "three")
    rows = [store.clips.index(clip) for clip in data.clips]
    for image, row in zip(data.inputs["flow"], rows, strict=True):
        apex = store.clips[row].apex_index
        assert apex is not None
        assert agree(image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, apex)))
    assert_close(
        data.inputs["flow"], hsv_to_rgb(torch.from_numpy(load_feature(store, "flow_hsv")[rows]))
    )


def test_a_resized_flow_image_has_no_hue_that_nothing_moved_in(
    stores: dict[str, ClipStore],
) -> None:
    """Averages of RGB, not of angles: a pixel between two colours is a mixture of both."""
    specs = {"flow": replace(spec("flow_rgb")["flow"], size=(SIZE // 2, SIZE // 2))}
    shrunk = build_inputs(stores["micro"], specs, "three").inputs["flow"]
    whole = build_inputs(stores["micro"], spec("flow_rgb"), "three").inputs["flow"]
    assert_close(shrunk, F.avg_pool2d(whole, 2))


def test_macro_expressions_are_reduced_to_the_frame_halfway(
    stores: dict[str, ClipStore],
) -> None:
    store = stores["macro"]
    data = build_inputs(store, spec("emr_flow_rgb"), "three")
    for image, clip in zip(data.inputs["flow"], data.clips, strict=True):
        row = store.clips.index(clip)
        assert clip.apex_index is not None
        assert clip.apex_index > 2
        middle = round(clip.apex_index / 2)
        assert agree(image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, middle)))
        assert not agree(
            image, opencv_flow_rgb(frame(store, row, 0), frame(store, row, clip.apex_index))
        )
    assert not (store.path / "features" / "flow_hsv").exists()


def test_micro_expressions_that_move_too_little_are_magnified(
    stores: dict[str, ClipStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores["micro"]
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(first: Tensor, second: Tensor) -> Tensor:
        seen.append((first, second))
        return farneback(first, second)

    monkeypatch.setattr("recognizers.data.input_kinds.flow_rgb.farneback", watched)
    data = build_inputs(store, spec("emr_flow_rgb"), "three")
    ((onset, apex),) = seen
    assert_close(data.inputs["flow"], hsv_to_rgb(flow_to_hsv(farneback(onset, apex), apex)))
    target = TARGET_MOTION * SIZE
    magnified = 0
    for row, clip in enumerate(data.clips):
        place = store.clips.index(clip)
        assert clip.apex_index is not None
        plain = [to_float(frame(store, place, p))[None] for p in (0, clip.apex_index)]
        before = float(apex_motion(*plain))
        after = float(apex_motion(onset[row : row + 1], apex[row : row + 1]))
        if before >= target:
            assert_close(apex[row : row + 1], plain[1])
        else:
            magnified += 1
            assert before < after
            assert after == pytest.approx(target, rel=0.2)
    assert magnified > 0


def test_a_clip_whose_apex_is_its_onset_is_left_as_it_is(tmp_path: Path) -> None:
    for strength in ("micro", "macro"):
        store = write(tmp_path / strength, strength, still=1)
        data = build_inputs(store, spec("emr_flow_rgb"), "three")
        row = [clip.apex_index for clip in data.clips].index(0)
        plain = build_inputs(store, spec("flow_rgb"), "three")
        assert_close(data.inputs["flow"][row], plain.inputs["flow"][row])
        assert len(data.clips) == 3


def test_stores_of_both_domains_train_one_model(stores: dict[str, ClipStore]) -> None:
    model = create_model("nmer", 3, image_size=SIZE)
    parts = {name: build_inputs(store, model.inputs, "three") for name, store in stores.items()}
    flow = torch.cat([part.inputs["flow"] for part in parts.values()])
    label = torch.cat([part.label for part in parts.values()])
    loss = model.loss(model(flow=flow), label, domain=DOMAIN)
    loss.backward()
    assert loss.isfinite()
    assert create_model("nmer", 3, image_size=SIZE, emr=False).inputs["flow"].made_of == "flow_rgb"
