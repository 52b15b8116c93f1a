"""The adapters of py-feat against py-feat's own detectors, with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mersynth.face.detect import FaceFinder, find_face
from mersynth.face.feat_models import AU_NAMES
from mersynth.face.intensity import (
    Backend,
    IntensityMeter,
    choose_backend,
    difference_to_onset,
    measure_intensities,
)
from mersynth.face.template import five_points
from mersynth.face.weights import (
    MOBILEFACENET,
    MULTITASK,
    RETINAFACE,
    XGB_AU,
    WeightsMissingError,
    cache_folder,
)
from mersynth.facs.action_units import CONDITION_AUS
from tests.face import random_weights

BACKENDS: tuple[Backend, ...] = ("v2", "v1")
BOX = np.array([14.0, 9, 80, 88])
SEEN = np.array([True, False, True, True, False])


@pytest.fixture(scope="session", name="meters")
def _meters(random_folder: Path) -> dict[str, IntensityMeter]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERSYNTH_WEIGHTS", str(random_folder))
        patch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)
        return {name: IntensityMeter(name, batch_size=2, device="cpu") for name in BACKENDS}


@pytest.fixture(scope="session", name="published")
def _published(random_folder: Path) -> Iterator[dict[str, Any]]:
    """py-feat's own detectors, reading the same files as they find them by themselves."""
    import feat.detector
    import feat.utils.io
    import huggingface_hub.constants

    with pytest.MonkeyPatch.context() as offline, torch.no_grad():
        offline.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)
            for module in (feat.detector, feat.utils.io):
                patch.setattr(module, "get_resource_path", lambda: str(random_folder))
            with warnings.catch_warnings(action="ignore"):  # it tells where the head's pose is from
                v1 = feat.Detectorv1(emotion_model=None, identity_model=None, gaze_model=None)
            v2 = feat.Detectorv2(identity_model=None)
        yield {"v1": v1, "v2": v2}


def read_by(detector: Any, frames: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """AUs (T, 20) and landmarks (T, 68, 2) by py-feat itself, a frame at a time."""
    from feat.data import TensorDataset
    from torch.utils.data import DataLoader

    aus, landmarks = [], []
    images = torch.from_numpy(frames).permute(0, 3, 1, 2)
    for batch in DataLoader(TensorDataset(images), batch_size=1):
        if box is None:
            faces = detector.detect_faces(batch["Image"])
        else:
            faces = crop(detector, batch["Image"], torch.tensor(box, dtype=torch.float32)[None])
        table = detector.forward(faces, batch)
        area = table["FaceRectWidth"] * table["FaceRectHeight"]
        row = table.iloc[int(area.fillna(0).to_numpy().argmax())]
        aus.append(row[list(AU_NAMES)].to_numpy(float))
        axes = [row[[f"{axis}_{i}" for i in range(68)]].to_numpy(float) for axis in "xy"]
        landmarks.append(np.stack(axes, -1))
    return np.stack(aus), np.stack(landmarks)


def crop(detector: Any, image: torch.Tensor, boxes: torch.Tensor) -> list[dict[str, Any]]:
    if hasattr(detector, "crop_faces_from_boxes"):
        return detector.crop_faces_from_boxes(image, boxes)
    from feat.utils.image_operations import extract_face_from_bbox_torch

    # Detectorv1 crops the boxes that it finds; here it is made to find ours.
    faces, new_boxes = extract_face_from_bbox_torch(image.float() / 255, boxes, face_size=112)
    unknown = torch.full((1, 6), torch.nan)
    return [{"faces": faces, "new_boxes": new_boxes, "scores": torch.ones(1), "poses": unknown}]


@pytest.mark.parametrize("box", [None, BOX], ids=["searched", "given"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_are_those_of_py_feat_itself(
    backend: Backend,
    box: np.ndarray | None,
    frames: np.ndarray,
    feat_weights: Path,
    meters: dict[str, IntensityMeter],
    published: dict[str, Any],
) -> None:
    measured = meters[backend].measure(frames, box)
    aus, landmarks = read_by(published[backend], frames, box)
    seen = SEEN if box is None else np.ones(5, bool)
    assert measured.intensities.dtype == measured.landmarks.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(measured.intensities), seen[:, None].repeat(20, 1))
    np.testing.assert_allclose(measured.intensities, aus, atol=1e-5)
    np.testing.assert_allclose(measured.landmarks, landmarks, atol=1e-2)
    values = measured.intensities[seen]
    assert ((values >= 0) & (values <= 1)).all()
    assert len(np.unique(values[0].round(4))) > 5  # the AUs are not all one number


@pytest.mark.parametrize("backend", BACKENDS)
def test_batches_and_streams_change_nothing(
    backend: Backend, frames: np.ndarray, meters: dict[str, IntensityMeter]
) -> None:
    meter = meters[backend]
    one_by_one = np.concatenate([meter.measure(f[None], BOX).intensities for f in frames])
    np.testing.assert_allclose(meter.measure(frames, BOX).intensities, one_by_one, atol=1e-5)
    boxes = np.stack([BOX, BOX, BOX + 3, BOX, BOX])
    boxes[1] = np.nan
    streamed = meter.measure((frame for frame in frames), boxes).intensities
    assert np.isnan(streamed[1]).all()
    np.testing.assert_allclose(streamed[[0, 3, 4]], one_by_one[[0, 3, 4]], atol=1e-5)
    assert np.abs(streamed[2] - one_by_one[2]).max() > 1e-4
    assert meter.measure(frames[:0], BOX).intensities.shape == (0, len(CONDITION_AUS))


def test_a_store_is_never_in_memory(frames: np.ndarray, meters: dict[str, IntensityMeter]) -> None:
    held, most = 0, 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal held, most
        for i in range(7):
            held += 1
            most = max(most, held)
            yield frames[i % 5]

    meter = meters["v2"]
    read = meter._reader.read

    def counted(*arguments: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        nonlocal held
        held -= len(arguments[0])
        return read(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meter._reader, "read", counted)
        assert len(meter.measure(stream(), BOX).intensities) == 7
    assert most == meter.batch_size


def test_the_function_reads_one_clip(frames: np.ndarray, feat_weights: Path) -> None:
    intensities = measure_intensities(frames[:2], boxes=BOX, device="cpu")
    assert intensities.shape == (2, 20)
    assert np.isfinite(intensities).all()


@pytest.mark.usefixtures("py_feat")
def test_columns_follow_the_names_of_the_checkpoint(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = random_weights.write_multitask(tmp_path, n_au=24)
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(path))
    from feat.multitask import AU_NAMES as ALL_NAMES
    from feat.multitask.inference import MultitaskModel

    meter = IntensityMeter(device="cpu")
    whole = np.array([-16.0, -16, 80, 80])  # whatever is cropped, both see the same
    model = MultitaskModel("cpu", str(path))
    chips = []
    with pytest.MonkeyPatch.context() as patch:
        call = MultitaskModel.__call__
        patch.setattr(MultitaskModel, "__call__", lambda m, c: (chips.append(c), call(m, c))[1])
        intensities = meter.measure(frames[:1], whole).intensities
    expected = dict(zip(ALL_NAMES, model(chips[0]).au[0], strict=True))
    assert len(expected) == 24
    np.testing.assert_allclose(intensities[0], [expected[name] for name in AU_NAMES], atol=1e-6)


def test_faces_by_py_feat_have_landmarks(
    frames: np.ndarray, feat_weights: Path, published: dict[str, Any]
) -> None:
    finder = FaceFinder("feat", device="cpu")
    face = finder.find(frames[0])
    _, landmarks = read_by(published["v2"], frames[:1], None)
    assert face.landmarks is not None
    np.testing.assert_allclose(face.landmarks, landmarks[0], atol=1e-2)
    image = torch.from_numpy(frames[:1]).permute(0, 3, 1, 2)
    (found,) = published["v2"].face_detector(image.float())
    largest = max(found, key=lambda f: (f[2] - f[0]) * (f[3] - f[1]))
    np.testing.assert_allclose([*face.box, face.score], largest, atol=1e-3)
    assert find_face(frames[0], "feat").box == face.box


def test_retinaface_alone_gives_five_points(
    frames: np.ndarray, no_weights: Path, random_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = RETINAFACE
    folder = f"models--{source.repository.replace('/', '--')}"
    (no_weights / folder).symlink_to(random_folder / folder)
    with caplog.at_level("INFO", "mersynth"):
        face = FaceFinder("feat", device="cpu").find(frames[0])
    assert "5 points" in caplog.text
    assert face.landmarks is None
    assert face.points is not None
    assert face.points.shape == five_points(np.zeros((68, 2))).shape
    # Decoded by the paper's formula: a point is its anchor's centre plus a tenth of its side times
    # the regressed value, which is small with these weights.
    centre = np.array(face.box).reshape(2, 2).mean(0)
    assert np.abs(face.points - centre).max() < 0.5 * (face.box[2] - face.box[0])
    assert np.ptp(face.points, axis=0).min() > 0


@pytest.mark.slow
def test_gradients_and_the_environment_stay_as_they_were(random_folder: Path) -> None:
    code = (
        "import os, sys; os.environ.pop('OMP_NUM_THREADS', None)\n"
        "import torch; torch.set_num_threads(2)\n"
        "from mersynth.face.intensity import IntensityMeter\n"
        "from mersynth.face.detect import FaceFinder\n"
        "IntensityMeter(device='cpu'); FaceFinder('feat', device='cpu')\n"
        "assert 'feat' in sys.modules\n"
        "print(os.environ.get('OMP_NUM_THREADS'), torch.is_grad_enabled(), torch.get_num_threads())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "FEAT_MULTITASK_WEIGHTS"}
    environment["MERSYNTH_WEIGHTS"] = str(random_folder)
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert shown.split() == ["None", "True", "2"]


def test_missing_weights_are_named(no_weights: Path, frames: np.ndarray) -> None:
    with pytest.raises(WeightsMissingError, match="non-commercial") as caught:
        IntensityMeter("v2")
    for said in ("face_multitask_v28.safetensors", "FEAT_MULTITASK_WEIGHTS", "hf download"):
        assert said in str(caught.value)
    with pytest.raises(WeightsMissingError) as caught:
        IntensityMeter("v1")
    assert caught.value.missing == (MOBILEFACENET, XGB_AU)
    assert choose_backend() is None
    with pytest.raises(WeightsMissingError):
        choose_backend("v1")


def test_given_boxes_need_no_retinaface(
    no_weights: Path, random_folder: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(random_folder.glob("models--py-feat--face_multitask_v2/snapshots/*/*"))
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(file))
    meter = IntensityMeter(device="cpu")
    assert np.isfinite(meter.measure(frames[:1], BOX).intensities).all()
    with pytest.raises(WeightsMissingError, match="retinaface_r34"):
        meter.measure(frames)


def test_the_best_backend_that_is_here_is_chosen(
    no_weights: Path, random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wanted in (XGB_AU, MOBILEFACENET):
        assert choose_backend() is None
        random_weights.place(wanted, no_weights).touch()
    assert choose_backend() == choose_backend("v1") == "v1"
    random_weights.place(MULTITASK, no_weights).touch()
    assert choose_backend() == "v2"
    assert choose_backend("none") is None
    with pytest.raises(ValueError, match="got 'v3'"):
        choose_backend("v3")


def test_a_classifier_file_with_code_in_it_is_not_loaded(
    feat_weights: Path, no_weights: Path, random_folder: Path
) -> None:
    from skops.io import dump

    for folder in random_folder.iterdir():
        if "xgb" not in folder.name:
            (no_weights / folder.name).symlink_to(folder)
    dump({"classifiers": subprocess.Popen}, random_weights.place(XGB_AU, no_weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERSYNTH_WEIGHTS", str(no_weights))
        with pytest.raises(ValueError, match=r"subprocess\.Popen"):
            IntensityMeter("v1", device="cpu")


def test_damaged_weights_are_named(no_weights: Path, random_folder: Path) -> None:
    whole = {file.name: file for file in random_folder.glob("models--*/snapshots/*/*")}
    for wanted in (MULTITASK, RETINAFACE, MOBILEFACENET, XGB_AU):
        damaged = random_weights.place(wanted, no_weights)
        damaged.write_bytes(whole[wanted.file].read_bytes()[:5000])
    for backend, name in (("v2", MULTITASK), ("v1", MOBILEFACENET)):
        with pytest.raises(ValueError, match=rf"{name.file}.* cannot be used .*mersynth doctor"):
            IntensityMeter(backend, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"{RETINAFACE.file} cannot be used"):
        FaceFinder("feat", device="cpu")


def test_what_cannot_be_measured_is_refused(
    frames: np.ndarray, meters: dict[str, IntensityMeter]
) -> None:
    meter = meters["v2"]
    with pytest.raises(ValueError, match="of one size"):
        meter.measure([frames[0], frames[0][:50]], BOX)
    with pytest.raises(ValueError, match="uint8"):
        meter.measure(frames.astype(np.float32), BOX)
    with pytest.raises(ValueError, match=r"\(4,\) or \(T, 4\), got \(3,\)"):
        meter.measure(frames, BOX[:3])
    for count in (4, 6):
        with pytest.raises(ValueError, match="boxes than frames"):
            meter.measure(frames, np.tile(BOX, (count, 1)))
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        IntensityMeter(batch_size=0)
    with pytest.raises(ValueError, match="backend must be one of v2, v1"):
        IntensityMeter("openface")  # type: ignore[arg-type]


def test_the_difference_is_taken_to_the_first_frame() -> None:
    intensities = np.array([[0.2, np.nan], [0.5, 0.4], [0.1, np.nan]], np.float32)
    expected = np.array([[0, np.nan], [0.3, np.nan], [-0.1, np.nan]], np.float32)
    difference = difference_to_onset(intensities)
    assert difference.dtype == np.float32
    np.testing.assert_allclose(difference, expected, atol=1e-7)


@pytest.mark.usefixtures("py_feat")
def test_py_feat_s_own_folder_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    import feat
    from feat.utils.io import get_resource_path

    assert feat.__version__
    monkeypatch.delenv("MERSYNTH_WEIGHTS", raising=False)
    assert cache_folder() == Path(get_resource_path())
