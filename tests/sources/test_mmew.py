"""Tests of the sources mmew and mmew-macro."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.facs import parse_au_cell
from mersynth.sources import get_source
from mersynth.sources.base import Scan
from mersynth.sources.errors import SourceError
from tests.conftest import FakeClip, FakeTree
from tests.sources.source_case import SourceCase


class TestMMEW(SourceCase):
    source = "mmew"
    table_name = "MMEW_Micro_Exp.xlsx"
    raw_size = (96, 54)
    cropped_size = (40, 40)
    fps = 90.0
    clips = (
        FakeClip("3", "S03-01-002", 21, 23, 25, "L12", "happiness"),
        FakeClip("3", "S03-07-001", 1, 2, 4, "4+7", "others"),
        FakeClip("12", "S12-02-001", 8, 11, 12, "1+2+25", "surprise"),
        FakeClip("36", "S36-03-010", 1, 4, 4, 4, "Disgust"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        header: list[object] = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"]
        header += ["Action Units", "Estimated Emotion", "remarks"]
        rows: list[list[object]] = [
            [c.subject, c.name, c.onset, c.apex, c.offset, c.aus, c.emotion, None] for c in clips
        ]
        return [header, *rows]

    def folder(self, clip: FakeClip) -> str:
        return f"Micro_Expression/{clip.emotion.lower()}/{clip.name}"

    def stored(self, clip: FakeClip) -> str:
        return f"S{clip.subject:>02}/{clip.name}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        return str(number)

    @pytest.mark.parametrize("subject", [3, "03", "S03", "s3"])
    def test_every_way_to_write_a_subject(self, tree: FakeTree, subject: object) -> None:
        self.rewrite_table(tree, subject=subject)
        assert get_source("mmew").scan(tree.root).clips[0].clip.subject == "S03"

    def test_a_folder_for_the_subject(self, tree: FakeTree) -> None:
        top = tree.root / "Micro_Expression"
        for clip in self.clips:
            place = top / f"S{clip.subject:>02}" / clip.emotion.lower()
            place.mkdir(parents=True)
            (tree.root / self.folder(clip)).rename(place / clip.name)
        scan = get_source("mmew").scan(tree.root)
        assert len(scan.clips) == len(self.clips)
        assert not scan.problems

    def test_others_are_also_called_repression(self, tree: FakeTree) -> None:
        others = tree.root / "Micro_Expression" / "others"
        others.rename(others.with_name("repression"))
        for emotion in ("others", "repression"):
            self.rewrite_table(tree, clip=1, emotion=emotion)
            scan = get_source("mmew").scan(tree.root)
            assert not scan.problems
            assert scan.clips[1].clip.emotion == "others"

    def test_a_clip_twice(self, tree: FakeTree) -> None:
        (tree.root / "Micro_Expression/anger/S03-01-002").mkdir(parents=True)
        with pytest.raises(SourceError, match="S03-01-002 exists twice"):
            get_source("mmew").scan(tree.root)

    def test_mixed_releases(self, tree: FakeTree) -> None:
        for frame in tree.frames(1):
            self.image(1, "cropped").save(frame)
        with pytest.raises(SourceError, match="mixes two releases"):
            get_source("mmew").scan(tree.root)

    def test_sides_are_read(self, tree: FakeTree) -> None:
        (event,) = parse_au_cell(get_source("mmew").scan(tree.root).clips[0].clip.aus).events
        assert (event.number, event.side) == (12, "left")


IMAGES = ("S01/anger/S01-07-001", "S01/anger/S01-07-002", "S03/happiness/S03-01-001")


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "mmew"
    for i, name in enumerate(IMAGES):
        file = root / "Macro_Expression" / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 18), (40 * i + 20,) * 3).save(file)
    (root / "Macro_Expression/S01/anger/Thumbs.db").touch()
    return root


def _scan(root: Path) -> Scan:
    return get_source("mmew-macro").scan(root)


def _assert_lost(scan: Scan, file: str, reason: str, lost: Sequence[int]) -> None:
    (problem,) = scan.problems
    assert (problem.file, problem.fatal) == (file, True)
    assert re.search(reason, problem.reason), problem.reason
    kept = [f"macro-{name[-10:]}" for i, name in enumerate(IMAGES) if i not in lost]
    assert [files.clip.name for files in scan.clips] == kept


def test_every_macro_expression(root: Path) -> None:
    scan = _scan(root)
    assert (scan.problems, scan.release) == ((), "raw")
    assert [files.clip.id for files in scan.clips] == [
        "mmew/S01/macro-S01-07-001",
        "mmew/S01/macro-S01-07-002",
        "mmew/S03/macro-S03-01-001",
    ]
    assert [files.clip.emotion for files in scan.clips] == ["anger", "anger", "happiness"]
    for i, files in enumerate(scan.clips):
        clip = files.clip
        assert (clip.onset, clip.apex, clip.offset, clip.strength) == (0, 0, 0, "macro")
        (frame,) = files.read()
        np.testing.assert_allclose(frame, 40 * i + 20, atol=2)


def test_both_parts_show_the_same_people(root: Path) -> None:
    case = TestMMEW()
    tree = case.write_tree(root.parent / "micro")
    (tree.root / "Macro_Expression").symlink_to(root / "Macro_Expression")
    micro = {files.clip.subject_id for files in get_source("mmew").scan(tree.root).clips}
    macro = {files.clip.subject_id for files in _scan(root).clips}
    assert micro & macro == {"mmew/S03"}
    assert get_source("mmew-macro").home == "mmew"


def test_macro_expression_of_an_unknown_emotion(root: Path) -> None:
    top = root / "Macro_Expression/S01"
    (top / "anger").rename(top / "rage")
    reason = "'rage' is not one of happiness"
    _assert_lost(_scan(root), "Macro_Expression/S01/rage", reason, lost=[0, 1])


def test_truncated_macro_expression(root: Path) -> None:
    file = root / "Macro_Expression/S01/anger/S01-07-002.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    _assert_lost(_scan(root), file.relative_to(root).as_posix(), "truncated", lost=[1])


@pytest.mark.parametrize("place", ["anger/S01-07-001.png", "fear/S01-07-001.jpg"])
def test_macro_expression_twice(root: Path, place: str) -> None:
    file = root / "Macro_Expression/S01" / place
    file.parent.mkdir(exist_ok=True)
    Image.new("RGB", (32, 18)).save(file)
    reason = "the image exists twice, also as Macro_Expression/S01/anger/S01-07-001.jpg"
    _assert_lost(_scan(root), file.relative_to(root).as_posix(), reason, lost=[])


def test_folder_among_macro_expressions(root: Path) -> None:
    (root / "Macro_Expression/S01/anger/S01-07-003").mkdir()
    place = "Macro_Expression/S01/anger/S01-07-003"
    _assert_lost(_scan(root), place, "where single images are expected", lost=[])


def test_mixed_releases_of_macro_expressions(root: Path) -> None:
    Image.new("RGB", (20, 20)).save(root / "Macro_Expression/S03/happiness/S03-01-001.jpg")
    with pytest.raises(SourceError, match="mixes two releases"):
        _scan(root)


def test_macro_places_that_are_missing(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MERSYNTH_DATA/mmew or \./data/mmew\."):
        _scan(tmp_path / "nowhere")
    (root / "Macro_Expression").rename(root / "Macro")
    with pytest.raises(SourceError, match=r"no Macro_Expression with subjects(.|\n)*mmew/"):
        _scan(root)
