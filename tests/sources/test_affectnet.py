"""Tests of the source affectnet."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.facs.emotions import native_labels
from mersynth.sources import get_source
from mersynth.sources.affectnet_annotations import EMOTIONS
from mersynth.sources.base import Scan
from mersynth.sources.errors import SourceError

HEADER = [
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
]
SIZE = (30, 24)


def _landmarks(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(2, 22, (68, 2)).round(2)


def _pixels(seed: int) -> np.ndarray:
    """A smooth image, so that a JPEG keeps it, in which each place has its own value."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.stack([x * 8, y * 10, np.full_like(x, 20 * seed)], 2).astype(np.uint8)


def _row(path: str, code: object, seed: int, **changes: object) -> dict[str, object]:
    points = ";".join(f"{value:.2f}" for value in _landmarks(seed).reshape(-1))
    cells = [path, 5, 3, 20, 18, points, code, 0.1, -0.2]
    return {**dict(zip(HEADER, cells, strict=True)), **changes}


def _write_list(file: Path, rows: list[dict[str, object]]) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, HEADER)
        writer.writeheader()
        writer.writerows(rows)


ROWS = [
    _row("103/aa.jpg", 1, 1),
    _row("103/bb.jpg", 0, 2),
    _row("7/aa.jpg", 9, 3),
    _row("7/cc.jpg", 7, 4, face_x=-4, face_y=0, face_width=100, face_height=20),
    _row("7/dd.jpg", 10, 5),
    _row("7/ee.jpg", 10, 6),
]
VALIDATION = [_row("9/ff.jpg", 6, 7)]
BOXES = {"train-103-aa": (5, 3, 25, 21), "train-7-cc": (0, 0, 30, 20)}


@pytest.fixture(name="lists")
def _lists(tmp_path: Path) -> Path:
    """The first release."""
    root = tmp_path / "affectnet"
    (root / "Manually_Annotated_file_lists").mkdir(parents=True)
    for file, rows in (("training.csv", ROWS), ("validation.csv", VALIDATION)):
        _write_list(root / "Manually_Annotated_file_lists" / file, rows)
        for row in rows:
            image = root / "Manually_Annotated_Images" / str(row["subDirectory_filePath"])
            image.parent.mkdir(parents=True, exist_ok=True)
            seed = (ROWS + VALIDATION).index(row) + 1
            Image.fromarray(_pixels(seed)).save(image, quality=95)
    return root


CODES = {"0": 1, "1": 8, "10": 3}


@pytest.fixture(name="arrays")
def _arrays(tmp_path: Path) -> Path:
    """The release of the cropped faces."""
    root = tmp_path / "affectnet"
    for split, codes in (("train_set", CODES), ("val_set", {"0": 0})):
        images, annotations = root / split / "images", root / split / "annotations"
        images.mkdir(parents=True)
        annotations.mkdir()
        for name, code in codes.items():
            Image.fromarray(_pixels(int(name))).save(images / f"{name}.jpg", quality=95)
            np.save(annotations / f"{name}_exp.npy", np.array(str(code)))
            np.save(annotations / f"{name}_lnd.npy", _landmarks(int(name)).reshape(-1))
            np.save(annotations / f"{name}_val.npy", np.array("0.5"))
    return root


def _scan(root: Path) -> Scan:
    return get_source("affectnet").scan(root)


def _spoil(root: Path, row: int = 0, **changes: object) -> None:
    rows = [{**cells, **(changes if i == row else {})} for i, cells in enumerate(ROWS)]
    _write_list(root / "Manually_Annotated_file_lists" / "training.csv", rows)


def _assert_lost(scan: Scan, file: str, reason: str, row: int | None = None) -> None:
    """One fatal problem, by which the first image is lost."""
    (problem,) = [problem for problem in scan.problems if problem.fatal]
    assert (problem.file, problem.row) == (file, row)
    assert re.search(reason, problem.reason), problem.reason
    assert [f.clip.name for f in scan.clips] == ["train-103-bb", "train-7-cc", "val-9-ff"]


def test_codes_are_the_native_labels() -> None:
    assert tuple(EMOTIONS.values()) == native_labels("affectnet")
    assert (EMOTIONS[1], EMOTIONS[3], EMOTIONS[7]) == ("happiness", "surprise", "contempt")


def test_every_image_of_the_lists(lists: Path) -> None:
    scan = _scan(lists)
    names = ["train-103-aa", "train-103-bb", "train-7-cc", "val-9-ff"]
    assert scan.release == "cropped"
    assert [files.clip.id for files in scan.clips] == [f"affectnet/{n}/{n}" for n in names]
    assert [f.clip.emotion for f in scan.clips] == ["happiness", "neutral", "contempt", "anger"]
    for files in scan.clips:
        clip = files.clip
        assert (clip.onset, clip.apex, clip.offset, clip.strength) == (0, 0, 0, "macro")
        assert clip.aus == ""
    (problem,) = scan.problems
    assert not problem.fatal
    assert problem.reason.endswith("left out (train: no-face 2, train: uncertain 1)")


@pytest.mark.parametrize(("index", "seed"), [(0, 1), (2, 4)])
def test_the_face_is_cut_out_with_its_landmarks(lists: Path, index: int, seed: int) -> None:
    files = _scan(lists).clips[index]
    left, top, right, bottom = BOXES[files.clip.name]
    (frame,) = files.read()
    wanted = _pixels(seed)[top:bottom, left:right]
    assert frame.shape == wanted.shape
    assert np.abs(frame.astype(int) - wanted).max() < 16
    assert files.landmarks is not None
    assert files.landmarks.dtype == np.float32
    np.testing.assert_allclose(files.landmarks, _landmarks(seed)[None] - [left, top], atol=1e-4)


def test_every_image_of_the_arrays(arrays: Path) -> None:
    scan = _scan(arrays)
    assert scan.release == "cropped"
    assert [files.clip.name for files in scan.clips] == ["train-0", "train-10", "val-0"]
    assert [files.clip.emotion for files in scan.clips] == ["happiness", "surprise", "neutral"]
    assert len({files.clip.subject_id for files in scan.clips}) == 3
    (frame,) = scan.clips[1].read()
    assert np.abs(frame.astype(int) - _pixels(10)).max() < 16
    assert scan.clips[1].landmarks is not None
    np.testing.assert_allclose(scan.clips[1].landmarks, _landmarks(10)[None], rtol=1e-6)
    (problem,) = scan.problems
    assert "left out (train: none 1)" in problem.reason


@pytest.mark.parametrize("code", [np.array(3), np.array([3.0]), np.array("3")])
def test_codes_as_arrays_hold_them(arrays: Path, code: np.ndarray) -> None:
    np.save(arrays / "train_set/annotations/0_exp.npy", code)
    assert _scan(arrays).clips[0].clip.emotion == "surprise"


def test_a_half_alone(lists: Path) -> None:
    (lists / "Manually_Annotated_file_lists/training.csv").unlink()
    assert [files.clip.name for files in _scan(lists).clips] == ["val-9-ff"]


def test_missing_image(lists: Path) -> None:
    (lists / "Manually_Annotated_Images/103/aa.jpg").unlink()
    _assert_lost(_scan(lists), "Manually_Annotated_Images/103/aa.jpg", "but not in the tree")


def test_images_without_an_expression_need_not_be_there(lists: Path) -> None:
    (lists / "Manually_Annotated_Images/7/dd.jpg").unlink()
    assert not any(problem.fatal for problem in _scan(lists).problems)


def test_truncated_image(lists: Path) -> None:
    file = lists / "Manually_Annotated_Images/103/aa.jpg"
    file.write_bytes(file.read_bytes()[:-60])
    _assert_lost(_scan(lists), "Manually_Annotated_Images/103/aa.jpg", "truncated or damaged")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expression": 11}, "expression '11' is not one of 0 neutral, 1 happiness"),
        ({"expression": "happy"}, "expression 'happy' is not"),
        ({"expression": ""}, "expression '' is not"),
        ({"face_x": "NULL"}, "box is not four whole numbers: NULL, 3, 20, 18"),
        ({"face_width": 0}, "box is empty: 5, 3, 0, 18"),
        ({"subDirectory_filePath": ""}, "'' is not an image"),
        ({"subDirectory_filePath": "../x.jpg"}, "'../x.jpg' is not an image"),
    ],
)
def test_damaged_row(lists: Path, changes: Mapping[str, object], reason: str) -> None:
    _spoil(lists, **changes)
    _assert_lost(_scan(lists), "training.csv", reason, row=2)


def test_row_twice(lists: Path) -> None:
    _spoil(lists, row=2, subDirectory_filePath="103/bb.jpg")
    (problem,) = [p for p in _scan(lists).problems if p.fatal]
    assert (problem.file, problem.row) == ("training.csv", 4)
    assert problem.reason == "image 103/bb.jpg is already in row 3"


def test_box_beside_the_image(lists: Path) -> None:
    _spoil(lists, face_x=30)
    reason = r"box \(30, 3, 50, 21\) lies outside the image of 30x24"
    _assert_lost(_scan(lists), "Manually_Annotated_Images/103/aa.jpg", reason)


@pytest.mark.parametrize("points", ["", "1;2;3", "x;1", ";".join(["nan"] * 136)])
def test_damaged_landmarks_are_reported_and_not_invented(lists: Path, points: str) -> None:
    _spoil(lists, facial_landmarks=points)
    scan = _scan(lists)
    assert len(scan.clips) == 4
    assert scan.clips[0].landmarks is None
    (problem,) = [p for p in scan.problems if p.row is not None]
    assert (problem.file, problem.row, problem.fatal) == ("training.csv", 2, False)
    assert problem.reason.endswith("stored without landmarks")


def test_damaged_lists(lists: Path) -> None:
    file = lists / "Manually_Annotated_file_lists/training.csv"
    for content in (b"", b"no,list\n1,2\n", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(SourceError, match=r"training\.csv (has no row|is not a readable)"):
            _scan(lists)


@pytest.mark.parametrize("spoil", ["missing", "empty", "cut", "pickled", "two", "letters"])
@pytest.mark.parametrize("kind", ["exp", "lnd"])
def test_damaged_arrays(arrays: Path, kind: str, spoil: str) -> None:
    file = arrays / f"train_set/annotations/0_{kind}.npy"
    if spoil == "missing":
        file.unlink()
    elif spoil == "empty":
        file.write_bytes(b"")
    elif spoil == "cut":
        file.write_bytes(file.read_bytes()[:-2])
    elif spoil == "pickled":
        np.save(file, np.array({"code": 3}, dtype=object), allow_pickle=True)
    else:
        np.save(file, np.zeros(2) if spoil == "two" else np.full(136 if kind == "lnd" else 1, "x"))
    scan = _scan(arrays)
    (problem,) = [p for p in scan.problems if p.file == file.relative_to(arrays).as_posix()]
    assert problem.fatal == (kind == "exp")
    assert "/" not in problem.reason
    names = [files.clip.name for files in scan.clips]
    assert names == ["train-0"] * (kind == "lnd") + ["train-10", "val-0"]
    if kind == "lnd":
        assert scan.clips[0].landmarks is None


def test_annotation_without_image(arrays: Path) -> None:
    (arrays / "train_set/images/0.jpg").unlink()
    scan = _scan(arrays)
    (problem,) = [p for p in scan.problems if p.fatal]
    assert problem.file == "train_set/annotations/0_exp.npy"
    assert len(scan.clips) == 2


def test_two_images_to_an_annotation(arrays: Path) -> None:
    Image.new("RGB", SIZE).save(arrays / "train_set/images/0.png")
    scan = _scan(arrays)
    reasons = [p.reason for p in scan.problems if p.fatal]
    assert reasons == ["there are 2 images for this annotation"] * 2
    assert [files.clip.name for files in scan.clips] == ["train-10", "val-0"]


def test_places_that_are_missing(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MERSYNTH_DATA/affectnet"):
        _scan(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no annotations of affectnet(.|\n)*train_set/"):
        _scan(tmp_path / "empty")
    (arrays / "Manually_Annotated_file_lists").mkdir()
    (arrays / "Manually_Annotated_file_lists/training.csv").touch()
    with pytest.raises(SourceError, match="holds both releases"):
        _scan(arrays)
