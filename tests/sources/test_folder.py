"""Tests of photos and videos as a source."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mersynth.facs.emotions import classes, label
from mersynth.prepare.command import prepare
from mersynth.sources.base import Scan
from mersynth.sources.errors import PrepareError, Problem, SourceError
from mersynth.sources.folder import Folder
from tests.sources.frame_case import HEIC_TOLD


def write_video(path: Path, brightness: list[int]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (48, 32))
    for value in brightness:
        writer.write(np.full((32, 48, 3), (value // 2, value, value), np.uint8))  # blue first
    writer.release()
    return path


def fatal(scan: Scan) -> list[Problem]:
    return [problem for problem in scan.problems if problem.fatal]


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
    ("content", "reason"),
    [(b"", "the file is empty"), (b"RIFF", "no frame can be read; the file is")],
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
    assert "of the 50 frames that it declares can be read" in warning["reason"]
    (clip,) = [clip for clip in store.clips if clip.name == "long"]
    assert 1 < clip.num_frames < 50


def test_files_of_one_name(root: Path) -> None:
    Image.new("RGB", (40, 60)).save(root / "anna.jpg")
    (problem,) = fatal(Folder().scan(root))
    assert str(problem) == "anna.png: anna.jpg has the same name; give them different names"


def test_named_files_of_one_name(root: Path, tmp_path: Path) -> None:
    (tmp_path / "anna.png").write_bytes((root / "anna.png").read_bytes())
    both = [root / "anna.png", tmp_path / "anna.png"]
    scan = Folder(images=[*both, both[0]]).scan(tmp_path)
    assert len(scan.clips) == 1
    (problem,) = scan.problems
    assert str(problem) == f"{both[1]}: {both[0]} has the same name; give them different names"


def test_missing_file_is_named(tmp_path: Path) -> None:
    (problem,) = Folder(images=[tmp_path / "nobody.jpg"]).scan(tmp_path).problems
    assert problem.file == str(tmp_path / "nobody.jpg")
    assert problem.reason == "there is no such file"


def test_link_out_of_the_folder(root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (problem,) = fatal(Folder().scan(root))
    assert (problem.file, "leads out" in problem.reason) == ("link.png", True)


def test_no_photo_vanishes(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    root.mkdir()
    shades = {"ada.jpg": 40, "bea.webp": 80, "cleo.tif": 120, "dora.JPEG": 160, "eva": 200}
    for name, shade in shades.items():
        form = None if "." in name else "JPEG"
        Image.new("RGB", (40, 40), (shade,) * 3).save(root / name, form)
    (root / "dido.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (root / "fay.jpg").write_text("words")
    (root / "gil.jpg").touch()
    (root / "notes.txt").write_text("words")
    for name in ("._ada.jpg", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (root / name).write_bytes(b"\0\5\x16\7")
    with pytest.raises(PrepareError, match="problems: 3; nothing was written") as caught:
        prepare("folder", root, tmp_path / "store", image_size=8, geometry="crop")
    told = str(caught.value)
    assert re.search(rf"dido.heic: {HEIC_TOLD}", told)
    assert "fay.jpg: the image is truncated or damaged (no known format)" in told
    assert "gil.jpg: the file is empty" in told
    store = prepare("folder", root, tmp_path / "s", image_size=8, geometry="crop", skip_bad=True)
    found = {item.clip.subject: int(item.frames[0, 4, 4, 0]) for item in store}
    assert found == pytest.approx({Path(n).stem: shade for n, shade in shades.items()}, abs=2)
    assert store.meta["header"]["warnings"] == [
        Problem("faces", "left out, not photos or videos: notes.txt", fatal=False).as_dict()
    ]


def test_folders_that_are_not_read_are_reported(root: Path) -> None:
    (root / "carla" / "2024").mkdir()
    Image.new("RGB", (4, 4)).save(root / "carla" / "2024" / "later.png")
    (root / "dora").mkdir()
    (root / ".cache").mkdir()
    told = {p.file: p.reason for p in Folder().scan(root).problems if not p.fatal}
    assert told.keys() == {root.name, "carla/2024", "dora"}
    assert "move its files up" in told["carla/2024"]
    assert "neither photos nor videos" in told["dora"]


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(SourceError, match=r"neither photos nor videos\.\n.*left out.*notes\.txt"):
        Folder().scan(tmp_path)


def test_a_face_from_a_folder_may_show_any_class() -> None:
    assert classes("folder", "five") == ()
    assert label("folder", "unlabelled", "five") is None
    assert label("folder", "repression", "five") == "repression"
    assert label("folder", "sadness", "native") == "sadness"
    with pytest.raises(ValueError, match="'boredom' is neither"):
        label("folder", "boredom", "five")
