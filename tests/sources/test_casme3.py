"""Tests of the sources casme3, casme3-macro and casme3-depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from mersynth.sources import get_source
from mersynth.sources.errors import SourceError
from tests.conftest import FakeClip, FakeTree
from tests.sources.source_case import SourceCase

HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]


class TestCASME3(SourceCase):
    source = "casme3"
    table_name = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    raw_size = (64, 36)
    cropped_size = (30, 30)
    fps = 30.0
    clips = (
        FakeClip("spNO.1", "a", 355, 357, 360, "4+7", "disgust"),
        FakeClip("spNO.1", "b", 98, 98, 101, 4, "Others"),
        FakeClip("spNO.39", "m", 7, 9, 9, "R12", "surprise"),
        FakeClip("spNO.216", "d", 12, 13, 15, "1+2", "fear"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        rows: list[list[object]] = [
            [c.subject, c.name, c.onset, c.apex, c.offset, c.aus, 7, c.emotion] for c in clips
        ]
        return [list(HEADER), *rows]

    def folder(self, clip: FakeClip) -> str:
        return f"{clip.subject}/{clip.name}/color"

    def stored(self, clip: FakeClip) -> str:
        return f"{clip.subject}/{clip.name}_{clip.onset}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        return str(number)

    def test_an_apex_on_the_onset_is_reported(self, tree: FakeTree) -> None:
        store = self.prepare(tree)
        told = {w["file"]: w["reason"] for w in store.meta["header"]["warnings"]}
        assert told == {
            "casme3/spNO.1/b_98": "apex in doubt (it is the onset): kept as it is",
            "casme3/spNO.39/m_7": "apex in doubt (it is the offset): kept as it is",
        }

    def test_folder_without_row(self, tree: FakeTree) -> None:
        """Most recordings show micro-expressions; one without is no problem."""
        self.write_table(tree.root, self.clips[:-1])
        scan = get_source("casme3").scan(tree.root)
        assert len(scan.clips) == len(self.clips) - 1
        assert not scan.problems

    def test_several_expressions_of_a_recording(self, tree: FakeTree) -> None:
        second = dataclasses.replace(self.clips[0], onset=357, apex=359, emotion="happy")
        self.write_table(tree.root, [*self.clips, second])
        scan = get_source("casme3").scan(tree.root)
        assert not scan.problems
        assert [files.clip.name for files in scan.clips][::4] == ["a_355", "a_357"]
        assert scan.clips[0].frames[2:] == scan.clips[4].frames

    def test_labels_are_stored_as_the_other_databases_write_them(self, tree: FakeTree) -> None:
        for written, stored in (("happy", "happiness"), ("Sad", "sadness"), ("OTHERS", "others")):
            self.rewrite_table(tree, emotion=written)
            assert get_source("casme3").scan(tree.root).clips[0].clip.emotion == stored

    def test_an_onset_behind_the_apex(self, tree: FakeTree) -> None:
        """As of spNO.216/d, whose row is published with an onset of 3647 for 2647."""
        self.rewrite_table(tree, clip=3, onset=1012)
        self.assert_onset_is_wrong(tree)

    def assert_onset_is_wrong(self, tree: FakeTree) -> None:
        scan = get_source("casme3").scan(tree.root)
        assert len(scan.clips) == 3
        fatal = [problem for problem in scan.problems if problem.row is not None]
        assert "offset 15 lies before onset 1012" in fatal[0].reason

    def test_cut_clips(self, tree: FakeTree) -> None:
        top = tree.root / "Part_A_ME_clip" / "frame"
        top.mkdir(parents=True)
        for clip, folder in zip(self.clips, tree.folders, strict=True):
            folder.rename(top / f"{clip.subject}_{clip.name}_{clip.onset}")
        with pytest.raises(SourceError, match="Part_A_ME_clip/frame and recordings; keep one"):
            get_source("casme3").scan(tree.root)
        for subject in tree.root.glob("spNO.*"):
            subject.rename(tree.root.parent / subject.name)
        scan = get_source("casme3").scan(tree.root)
        assert not scan.problems
        names = [f"{files.clip.subject}/{files.clip.name}" for files in scan.clips]
        assert names == [self.stored(clip) for clip in self.clips]
        self.write_table(tree.root, self.clips[:-1])
        (problem,) = get_source("casme3").scan(tree.root).problems
        assert (problem.file, problem.fatal) == ("spNO.216/d_12", True)
        assert "but not in the annotation table" in problem.reason


def _write_table(file: Path, rows: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(file)


def _depth(number: int, shift: int = 0) -> np.ndarray:
    """A face, nearest in the middle at 700 mm, that comes 5 mm nearer a frame; a wall behind."""
    y, x = np.mgrid[:36, :64]
    face = 700 + ((x - 32) ** 2 + (y - 18) ** 2) // 4 - 5 * number + shift
    depth = np.where((x - 32) ** 2 + (y - 18) ** 2 < 200, face, 3000)
    depth[:, :3] = 0
    return depth.astype(np.uint16)


@pytest.fixture(name="depth_root")
def _depth_root(tmp_path: Path) -> Path:
    root = tmp_path / "casme3"
    folder = root / "spNO.7" / "b" / "depth"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(_depth(number)).save(folder / f"{number + 20}.png")
    table = root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    _write_table(table, [list(HEADER), ["spNO.7", "b", 20, 21, 23, "4+7", 2, "sad"]])
    return root


def test_depth_is_millimetres_from_the_nearest_point_of_the_face(depth_root: Path) -> None:
    scan = get_source("casme3-depth").scan(depth_root)
    assert (scan.problems, scan.release) == ((), "raw")
    (files,) = scan.clips
    assert files.clip.id == "casme3/spNO.7/depth-b_20"
    assert (files.clip.emotion, files.clip.strength) == ("sadness", "micro")
    frames = np.stack(list(files.read()))
    assert frames.shape == (4, 36, 64, 3)
    assert frames.dtype == np.uint8
    assert (frames == frames[..., :1]).all()
    grey = frames[..., 0].astype(int)
    assert (grey[:, :, :3] == 0).all(), "what was not measured is 0"
    assert (grey[:, 0, 10] == 1).all(), "the wall is the farthest level, not a missing one"
    assert grey[0, 18, 32] == 255
    # A place of the face that stays within the range: 10 mm behind its nearest point.
    near, place = _depth(0)[18, 32], (slice(None), 18, 32 + 9)
    wanted = [255 - (int(_depth(n)[18, 41]) - int(near)) for n in range(4)]
    assert grey[place].tolist() == pytest.approx(wanted, abs=1)
    assert np.diff(grey[place]).tolist() == [5, 5, 5], "5 mm are 5 levels"


def test_depth_scale_is_the_clips_own(depth_root: Path) -> None:
    folder = depth_root / "spNO.7/b/depth"
    first = np.stack(list(get_source("casme3-depth").scan(depth_root).clips[0].read()))
    for number in range(4):
        Image.fromarray(_depth(number, shift=150)).save(folder / f"{number + 20}.png")
    second = np.stack(list(get_source("casme3-depth").scan(depth_root).clips[0].read()))
    face = _depth(0) < 1000
    assert (first[:, face] == second[:, face]).all()


def test_depth_of_8_bits_is_taken_as_it_is(depth_root: Path) -> None:
    for file in (depth_root / "spNO.7/b/depth").iterdir():
        Image.new("L", (64, 36), 77).save(file)
    frames = np.stack(list(get_source("casme3-depth").scan(depth_root).clips[0].read()))
    assert (frames == 77).all()


def test_depth_without_a_measurement(depth_root: Path) -> None:
    for file in (depth_root / "spNO.7/b/depth").iterdir():
        Image.fromarray(np.zeros((36, 64), np.uint16)).save(file)
    frames = np.stack(list(get_source("casme3-depth").scan(depth_root).clips[0].read()))
    assert (frames == 0).all()


def test_missing_depth_frame(depth_root: Path) -> None:
    (depth_root / "spNO.7/b/depth/22.png").unlink()
    (problem,) = get_source("casme3-depth").scan(depth_root).problems
    assert (problem.file, problem.fatal) == ("spNO.7/b/depth", True)
    assert problem.reason == "frame 22 of 20..23 missing"


def test_depth_alone_is_not_colour(depth_root: Path) -> None:
    with pytest.raises(SourceError, match="no subject's folder with frames in color"):
        get_source("casme3").scan(depth_root)


@pytest.mark.parametrize("with_aus", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_macro_expressions(tmp_path: Path, with_aus: bool, cut: bool) -> None:
    root = tmp_path / "casme3"
    place = "Part_A_MaE_clip/frame/spNO.7_c_5" if cut else "spNO.7/c/color"
    (root / place).mkdir(parents=True)
    for number in range(5, 9):
        Image.new("RGB", (64, 36)).save(root / place / f"{number}.jpg")
    header: list[object] = ["sub", "seq", "onset", "apex", "offset", "emotion"]
    row: list[object] = ["spNO.7", "c", 5, 6, 8, "happiness"]
    if with_aus:
        header, row = [*header, "AU"], [*row, "6+12"]
    _write_table(root / "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx", [header, row])
    scan = get_source("casme3-macro").scan(root)
    assert not scan.problems
    clip = scan.clips[0].clip
    assert (clip.id, clip.strength) == ("casme3/spNO.7/macro-c_5", "macro")
    assert (clip.onset, clip.apex, clip.offset, clip.emotion) == (5, 6, 8, "happiness")
    assert clip.aus == ("6+12" if with_aus else "")
    with pytest.raises(SourceError, match=r"no annotation table cas\(me\)3_part_A_ME_label"):
        get_source("casme3").scan(root)


def test_all_parts_share_their_people_and_their_folder(depth_root: Path) -> None:
    (files,) = get_source("casme3-depth").scan(depth_root).clips
    assert files.clip.subject_id == "casme3/spNO.7"
    for name in ("casme3", "casme3-macro", "casme3-depth"):
        assert get_source(name).home == "casme3"
