"""Tests of the source casme2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mersynth.sources.errors import SourceError
from tests.conftest import FakeClip, FakeTree, told_by_source
from tests.sources.source_case import SourceCase


class TestCASME2(SourceCase):
    source = "casme2"
    table_name = "CASME2-coding-20140508.xlsx"
    raw_size = (64, 48)
    cropped_size = (28, 34)
    clips = (
        FakeClip("01", "EP02_01f", 46, 48, 51, 12, "happiness"),
        FakeClip("01", "EP19_05f", 396, 398, 399, "4+L10", "disgust"),
        FakeClip("02", "EP01_11f", 9, 10, 11, "?", "repression"),
        FakeClip("26", "EP02_01f", 98, 101, 103, "1+R2+25", "others"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        header: list[object] = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame"]
        header += ["OffsetFrame", None, "Action Units", "Estimated Emotion"]
        rows: list[list[object]] = [
            [c.subject, c.name, None, c.onset, c.apex, c.offset, None, c.aus, c.emotion]
            for c in clips
        ]
        return [header, *rows]

    def folder(self, clip: FakeClip) -> str:
        return f"sub{clip.subject}/{clip.name}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        return f"img{number}" if release == "raw" else f"reg_img{number}"

    def test_subjects_written_as_numbers_get_their_zero_back(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, subject=1)
        assert self.prepare(tree).clips[0].subject == "sub01"

    def test_mixed_releases(self, tree: FakeTree) -> None:
        for path in tree.folders[0].iterdir():
            path.rename(path.with_name(f"reg_{path.name}"))
        with pytest.raises(SourceError, match=r"mixes two releases \(casme2/sub01/EP02_01f is cro"):
            self.prepare(tree)

    @pytest.mark.slow
    def test_real_table(self, annotations: Path, tmp_path: Path) -> None:
        store = self.assert_real_table(annotations / self.table_name, tmp_path, 255, 26)
        assert [clip.id for clip in store.clips if clip.apex is None] == ["casme2/sub04/EP12_01f"]
        on_onset = "apex in doubt (it is the onset): kept as it is"
        told = [w["file"] for w in store.meta["header"]["warnings"] if w["reason"] == on_onset]
        assert told == ["casme2/sub05/EP09_05f"]
        (warning,) = told_by_source(store)
        assert warning["row"] == 31
