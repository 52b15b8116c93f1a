"""Tests of the source samm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mersynth.facs.emotions import label
from tests.conftest import FakeClip, FakeTree, told_by_source
from tests.sources.source_case import SourceCase


class TestSAMM(SourceCase):
    source = "samm"
    table_name = "SAMM_Micro_FACS_Codes_v2.xlsx"
    raw_size = (96, 48)
    cropped_size = (40, 40)
    grey = True
    clips = (
        FakeClip("006", "006_1_2", 5562, 5564, 5566, "4+7", "Anger"),
        FakeClip("006", "006_1_3", 98, 100, 101, 4, "Anger"),
        FakeClip("007", "007_6_1", 9998, 9999, 10002, "(R6 or R12)+R15", "Happiness"),
        FakeClip("026", "026_5_1", 180, 182, 183, "R14+17+soft focus", "Contempt"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        notes: list[list[object]] = [["SAMM Dataset - Master FACS Codes"]]
        notes += [[f"note {i}"] for i in range(12)]
        header: list[object] = ["Subject", "Filename", "Inducement Code", "Onset Frame"]
        header += ["Apex Frame", "Offset Frame", "Duration", "Micro", "Action Units"]
        header += ["Estimated Emotion", "Objective Classes", "Notes"]
        rows: list[list[object]] = []
        for row, c in enumerate(clips, len(notes) + 2):
            cells: list[object] = [c.subject, c.name, 1, c.onset, c.apex, c.offset]
            cells += [f"=SUM(F{row}-D{row})+1", "Micro - 1/2", c.aus, c.emotion, 3, None]
            rows.append(cells)
        return [*notes, header, *rows]

    def folder(self, clip: FakeClip) -> str:
        return f"{clip.subject}/{clip.name}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        return f"{clip.subject}_{number:04d}" if number < 9000 else f"{clip.subject}_{number:05d}"

    def test_subjects_written_as_numbers_get_their_zeros_back(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, subject=6)
        assert self.prepare(tree).clips[0].subject == "006"

    @pytest.mark.slow
    def test_real_table(self, annotations: Path, tmp_path: Path) -> None:
        store = self.assert_real_table(annotations / self.table_name, tmp_path, 159, 29)
        assert all(clip.apex is not None for clip in store.clips)
        assert told_by_source(store) == []
        counts = Counter(label("samm", clip.emotion, "five") for clip in store.clips)
        assert counts == {
            "anger": 57, "happiness": 26, "surprise": 15, "contempt": 12, "others": 26, None: 23,
        }  # fmt: skip
