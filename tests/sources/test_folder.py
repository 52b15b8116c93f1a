"""Tests of photos and videos as a source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mersynth.facs.emotions import classes, label
from mersynth.prepare import prepare
from mersynth.sources.errors import PrepareError, SourceError
from mersynth.sources.folder import Folder


def write_video(path: Path, brightness: list[int]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (48, 32))
    for value in brightness:
        writer.write(np.full((32, 48, 3), (value // 2, value, value), np.uint8))  # blue first
    writer.release()
    return path


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "gesichter-\u9762"
    (root / "carla").mkdir(parents=True)
    Image.new("RGB", (40, 60), (200, 100, 50)).save(root / "anna.png")
    Image.new("L", (40, 60), 90).save(root / "carla" / "portrait.jpg")
    write_video(root / "carla" / "interview.avi", [40, 80, 120, 160])
    (root / "notes.txt").write_text("no picture")
    return root


def test_photos_and_videos_become_clips(root: Path, tmp_path: Path) -> None:
    store = prepare("folder", root, tmp_path / "store", image_size=16, geometry="crop")
    assert [(clip.id, clip.num_frames, clip.fps) for clip in store.clips] == [
        ("folder/anna/anna", 1, 1.0),
        ("folder/carla/interview", 4, 25.0),
        ("folder/carla/portrait", 1, 1.0),
    ]
    assert store[0].frames[0, 8, 8].tolist() == [200, 100, 50]
    red, _, blue = store[1].frames[:, 8, 8].T.astype(int)
    np.testing.assert_allclose(red, [40, 80, 120, 160], atol=4)
    np.testing.assert_allclose(blue, red / 2, atol=4)
    assert {clip.emotion for clip in store.clips} == {"unlabelled"}
    assert store.clips[0].apex == 0
    assert store.clips[1].apex is None


def test_named_files_need_no_folder(root: Path, tmp_path: Path) -> None:
    images, videos = [root / "anna.png"], [root / "carla" / "interview.avi"]
    store = prepare(
        "folder", out=tmp_path / "s", images=images, videos=videos, image_size=8, geometry="resize"
    )
    assert [clip.id for clip in store.clips] == ["folder/anna/anna", "folder/interview/interview"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "no frame of the video"), (b"RIFF", "no frame of the video")]
)
def test_video_without_a_frame(root: Path, tmp_path: Path, content: bytes, reason: str) -> None:
    (root / "broken.mp4").write_bytes(content)
    with pytest.raises(PrepareError, match=f"broken.mp4: {reason}"):
        prepare("folder", root, tmp_path / "store", geometry="crop")
    assert not (tmp_path / "store").exists()


def test_video_that_promises_more_than_it_holds(root: Path, tmp_path: Path) -> None:
    path = write_video(root / "long.avi", list(range(0, 200, 4)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    store = prepare("folder", root, tmp_path / "s", image_size=8, geometry="crop")
    (warning,) = [w for w in store.meta["header"]["warnings"] if w["file"] == "long.avi"]
    assert "of the 50 frames that it promises can be read" in warning["reason"]
    (clip,) = [clip for clip in store.clips if clip.name == "long"]
    assert 1 < clip.num_frames < 50


def test_files_of_one_name(root: Path) -> None:
    Image.new("RGB", (40, 60)).save(root / "anna.jpg")
    (problem,) = Folder().scan(root).problems
    assert str(problem) == "anna.png: anna.jpg has the same name; give each a name of its own"


def test_named_files_of_one_name(root: Path, tmp_path: Path) -> None:
    (tmp_path / "anna.png").write_bytes((root / "anna.png").read_bytes())
    both = [root / "anna.png", tmp_path / "anna.png"]
    scan = Folder(images=[*both, both[0]]).scan(tmp_path)
    assert len(scan.clips) == 1
    (problem,) = scan.problems
    assert str(problem) == f"{both[1]}: {both[0]} has the same name; give each a name of its own"


def test_missing_file_is_named(tmp_path: Path) -> None:
    (problem,) = Folder(images=[tmp_path / "nobody.jpg"]).scan(tmp_path).problems
    assert problem.file == str(tmp_path / "nobody.jpg")
    assert problem.reason == "there is no such file"


def test_link_out_of_the_folder(root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (problem,) = Folder().scan(root).problems
    assert (problem.file, "leads out" in problem.reason) == ("link.png", True)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither photos nor videos"):
        Folder().scan(tmp_path)


def test_a_face_from_a_folder_may_show_any_class() -> None:
    assert classes("folder", "five") == ()
    assert label("folder", "unlabelled", "five") is None
    assert label("folder", "repression", "five") == "repression"
    assert label("folder", "sadness", "native") == "sadness"
    with pytest.raises(ValueError, match="'boredom' is neither"):
        label("folder", "boredom", "five")
