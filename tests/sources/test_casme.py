"""Tests of the source casme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from mersynth.sources.errors import SourceError
from tests.conftest import FakeClip, FakeTree
from tests.sources.source_case import SourceCase


class TestCASME(SourceCase):
    source = "casme"
    table_name = "casme.xlsx"
    raw_size = (64, 48)
    cropped_size = (28, 34)
    fps = 60.0
    clips = (
        FakeClip("1", "EP01_5", 113, 116, 118, 12, "happiness"),
        FakeClip("1", "EP03_02", 9, 10, 11, "4+L10", "tense"),
        FakeClip("8", "EP12_2_1", 57, 60, 61, "14", "repression"),
        FakeClip("19", "EP06_01", 1, 2, 4, "R12", "contempt"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        header: list[object] = ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2"]
        header += ["OffsetF", None, "AU", "Emotion"]
        rows: list[list[object]] = [
            [int(c.subject), c.name, None, c.onset, c.apex, None, c.offset, None, c.aus, c.emotion]
            for c in clips
        ]
        return [header, *rows]

    def foreign_sheet(self) -> list[list[object]]:
        return [["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units"]]

    def folder(self, clip: FakeClip) -> str:
        return f"sub{clip.subject.zfill(2)}/{clip.name}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        if clip.subject == "19":
            return f"img{number}" if release == "raw" else f"reg_img{number}"
        name = f"{clip.name}-{number:03d}"
        return name if release == "raw" else f"reg_{name}"

    def sections(self, root: Path) -> None:
        """The tables of both sections, instead of a joined one."""
        for section, clips in (("A", self.clips[:2]), ("B", self.clips[2:])):
            self.write_table(root, clips).rename(root / f"Section {section}.xlsx")

    def test_a_table_for_each_section(self, tree: FakeTree) -> None:
        tree.table.unlink()
        self.sections(tree.root)
        store = self.prepare(tree)
        assert [f"{clip.subject}/{clip.name}" for clip in store.clips] == [
            self.folder(clip) for clip in self.clips
        ]

    def test_problems_name_the_section(self, tree: FakeTree) -> None:
        tree.table.unlink()
        self.sections(tree.root)
        book = openpyxl.load_workbook(tree.root / "Section B.xlsx")
        book.worksheets[0]["J2"] = "joy"
        book.save(tree.root / "Section B.xlsx")
        self.assert_stops(tree, "Section B.xlsx", "'joy' is not one of tense, ", lost=[2])

    def test_joined_table_beside_the_sections(self, tree: FakeTree) -> None:
        self.sections(tree.root)
        self.write_table(tree.root, self.clips)
        with pytest.raises(SourceError, match="several annotation tables"):
            self.prepare(tree)

    def test_a_misspelt_emotion(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, clip=3, emotion="Comtempt")
        assert self.prepare(tree).clips[3].emotion == "contempt"
