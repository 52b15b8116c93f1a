"""FRL-DGT's regions, on mirrored faces, and its inputs from a store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.features.cache import load_feature
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec
from recognizers.models.frl_dgt.regions import (
    PAIRS,
    REGIONS,
    au_boxes,
    boxes_of,
    crop,
    even_boxes,
    region_maps,
)
from tests.recognizers.models.frl_dgt.face import noise, phantom_face

RGB = ("red", "green", "blue")
NAMES = list(REGIONS)


@pytest.fixture(scope="module", name="face")
def _face() -> tuple[Tensor, np.ndarray]:
    return phantom_face()


def test_boxes_are_squares_that_hold_their_landmarks(face: tuple[Tensor, np.ndarray]) -> None:
    points = face[1][0]
    boxes = au_boxes(points)
    assert boxes.shape == (9, 4)
    for box, chosen in zip(boxes, REGIONS.values(), strict=True):
        assert box[2] - box[0] == pytest.approx(box[3] - box[1])
        own = points[list(chosen)]
        assert (own > box[:2]).all()
        assert (own < box[2:]).all()
    by_name = dict(zip(NAMES, boxes, strict=True))
    chin, mouth, brow = points[8], points[48:68], points[17:22]
    assert by_name["chin"][3] > chin[1]
    assert by_name["chin"][1] < mouth[:, 1].min()
    # Above the brow there is more forehead than margin.
    top, bottom = by_name["right_brow"][[1, 3]]
    assert brow[:, 1].min() - top > bottom - points[36:42, 1].max()
    lost = points.copy()
    lost[8] = np.nan
    assert np.isnan(au_boxes(lost)[NAMES.index("chin")]).all()


def test_maps_hold_the_pixels_whose_centres_lie_in_the_box() -> None:
    boxes = np.array([[1.5, 0.0, 3.0, 2.2], [-4.0, -3.0, -1.0, 9.0], [2.1, 2.1, 2.4, 2.4]])
    maps = region_maps(boxes, (4, 6))
    expected = np.zeros((3, 4, 6))
    expected[0, 0:3, 2:4] = 1
    expected[1, :, 0] = 1  # outside: the column next to it
    expected[2, 3, 3] = 1  # between pixels: the next one
    np.testing.assert_array_equal(maps.numpy(), expected)


def test_the_boxes_come_back_from_their_maps(face: tuple[Tensor, np.ndarray]) -> None:
    boxes = au_boxes(face[1])
    found = boxes_of(region_maps(boxes, (96, 96)))[0]
    clipped = np.clip(boxes[0], -0.5, 95.5) + 0.5  # from pixels' centres to their edges
    assert np.abs(found.numpy() - clipped).max() <= 1
    blank = torch.zeros(1, 9, 4, 6)
    assert_close(boxes_of(blank), torch.tensor([0.0, 0, 6, 4]).expand(1, 9, 4))


def test_a_mirrored_face_has_mirrored_crops(face: tuple[Tensor, np.ndarray]) -> None:
    frame, landmarks = face
    maps = region_maps(au_boxes(landmarks), (96, 96))
    crops = crop(frame, boxes_of(maps), 20)[0]
    mirrored = crop(frame.flip(-1), boxes_of(maps.flip(-1)), 20)[0]
    other = {name: name for name in NAMES}
    for right, left in PAIRS:
        other |= {right: left, left: right}
    for i, name in enumerate(NAMES):
        assert_close(mirrored[i], crops[NAMES.index(other[name])].flip(-1), atol=1e-5, rtol=0)
    unlike = crops[NAMES.index("left_brow")] - crops[NAMES.index("right_brow")]
    assert unlike.abs().mean() > 0.01


def test_crops_are_the_boxes_at_another_size() -> None:
    image = noise(2, 3, 12, 18)
    thirds = even_boxes((12, 18)).expand(2, -1, -1)
    same = crop(image[..., :12], even_boxes((12, 12)).expand(2, -1, -1), 4)
    for i, (y, x) in enumerate(np.ndindex(3, 3)):
        part = image[:, :, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        assert_close(same[:, i], part, atol=1e-6, rtol=0)
    assert crop(image, thirds, 5).shape == (2, 9, 3, 5, 5)
    box = torch.tensor([[[2.0, 4, 10, 12]], [[0.0, 0, 8, 8]]])
    halved = crop(image, box, 4)[:, 0]
    assert_close(halved[0], F.avg_pool2d(image[0, :, 4:12, 2:10], 2), atol=1e-6, rtol=0)
    assert_close(halved[1], F.avg_pool2d(image[1, :, :8, :8], 2), atol=1e-6, rtol=0)


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Four clips: the first has its apex at its end and no landmarks at first, the last none."""
    specs = clip_specs(subjects=2, counts={"anger": 2, "surprise": 2}, max_frames=8)
    clips = [spec.clip for spec in specs]
    clips[0] = replace(clips[0], apex=clips[0].offset)
    path = tmp_path_factory.mktemp("stores") / "phantom"
    with StoreWriter(path, clips, 48, {"source": "phantom", "licence": "none"}) as writer:
        for i, spec in enumerate(specs):
            frames, aus, landmarks = render_clip(spec, 48)
            if i == 0:
                landmarks[0] = np.nan
            writer.add(frames, aus, landmarks * np.nan if i == 3 else landmarks)
        return writer.finish()


def test_regions_are_those_of_the_first_landmarks(
    store: ClipStore, caplog: pytest.LogCaptureFixture
) -> None:
    data = build_inputs(store, {"r": InputSpec("au_regions", tuple(REGIONS), (96, 72))}, "three")
    assert "1 of 4 clips are left out, since they have no landmarks" in caplog.text
    assert data.inputs["r"].shape == (3, 9, 96, 72)
    for row, frame in ((0, 1), (1, 0), (2, 0)):
        points = store[row].landmarks[frame] + 0.5  # from pixels' centres to a share of the side
        boxes = au_boxes(points * [72 / 48, 96 / 48] - 0.5)
        assert_close(data.inputs["r"][row], region_maps(boxes, (96, 72)))
    without = store.filter(lambda clip: clip.id == store.clips[3].id)
    with pytest.raises(ValueError, match=r"no landmarks: none is left; .*intensities=v2"):
        build_inputs(without, {"r": InputSpec("au_regions", tuple(REGIONS), (48, 48))}, "three")


def test_neighbours_are_the_frames_beside_the_apex(store: ClipStore) -> None:
    spec = InputSpec("apex_neighbours", RGB, (48, 48), 4)
    found = build_inputs(store, {"n": spec}, "three").inputs["n"]
    for row, item in enumerate(store):
        assert item.clip.apex_index is not None
        last = len(item.frames) - 1
        for place, step in enumerate((-2, -1, 1, 2)):
            frame = item.frames[min(max(0, item.clip.apex_index + step), last)]
            expected = torch.from_numpy(frame.copy()).permute(2, 0, 1) / 255
            assert_close(found[row, place], expected)
    with pytest.raises(ValueError, match=r"num_frames must be even, .* got 3"):
        build_inputs(store, {"n": replace(spec, num_frames=3)}, "three")


def test_the_magnified_apex_is_the_stores_feature(store: ClipStore) -> None:
    own = {"magnified": {"method": "eulerian", "alpha": 2.0}}
    spec = {"m": InputSpec("magnified", RGB, (48, 48))}
    found = build_inputs(store, spec, "three", features=own).inputs["m"]
    kept = load_feature(store, "magnified", **own["magnified"])
    assert_close(found, torch.from_numpy(np.array(kept)))
