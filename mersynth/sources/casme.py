"""CASME (Yan et al. 2013): 195 micro-expressions at 60 frames per second."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from mersynth.sources.base import Release
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.sheets import find_tables
from mersynth.sources.table import Row
from mersynth.sources.table_source import TableSource


class CASME(TableSource):
    """CASME, its sections A and B, the raw or the cropped release, in this tree.

    ::

        casme/
            Section A.xlsx               Section A.xls and Section B.xls, saved as .xlsx
            Section B.xlsx
            sub01/                       subjects of section A and of section B side by side
                EP01_5/
                    EP01_5-113.jpg       or img113.jpg; in the cropped release reg_EP01_5-113.jpg
                    EP01_5-114.jpg
                    ...
            sub08/
                EP12_2_1/
                    EP12_2_1-001.jpg     numbers are matched by value
                    ...
            ...

    A single table ``casme.xlsx`` with the rows of both sections works as well. Its columns are
    Subject, Filename, OnsetF, ApexF1, OffsetF, AU and Emotion. Where a row gives two peaks
    (ApexF2), the first is the apex. The spelling "comtempt" is read as contempt.

    Neither the database nor its tables were available: file names, columns and labels are those
    that published programs read. According to these programs some rows have wrong frame numbers;
    such rows are reported as problems, and ``--skip-bad`` leaves them out. The paper counts 195
    clips, the programs 189 rows with an emotion.
    """

    name = "casme"
    fps = 60.0
    licence = (
        "CASME licence agreement: academic research only, no redistribution; it also governs "
        "clips made from the database"
    )
    citation = (
        "Yan, W.-J., Wu, Q., Liu, Y.-J., Wang, S.-J., Fu, X. (2013). CASME database: A dataset of "
        "spontaneous micro-expressions collected from neutralized faces. IEEE International "
        "Conference on Automatic Face and Gesture Recognition: 1-7"
    )
    request = (
        "the licence agreement is on the CASME page of the Institute of Psychology, Chinese "
        "Academy of Sciences; a member of the academic staff signs it"
    )
    table_pattern = "casme*.xlsx"
    subject_pattern = re.compile(r"sub\d+")
    columns: ClassVar[dict[str, str]] = {
        "subject": "subject",
        "name": "filename",
        "onset": "onsetf",
        "apex": "apexf1",
        "offset": "offsetf",
        "aus": "au",
        "emotion": "emotion",
    }
    spellings: ClassVar[dict[str, str]] = {"comtempt": "contempt"}

    def find_annotations(self, root: Path) -> Path:
        """The joined table, or the root if it holds the tables of the sections.

        Raises:
            SourceError: if there is neither, or both.
        """
        sections = _sections(root)
        if not sections:
            return super().find_annotations(root)
        joined = find_tables(root, self.table_pattern)
        if joined:
            names = ", ".join(table.name for table in (*sections, *joined))
            raise SourceError(f"{root} holds several annotation tables ({names}); keep one of them")
        return root

    def rows(self, root: Path) -> tuple[list[Row], list[Problem]]:
        """The rows of the joined table, or of the tables of the sections."""
        annotations = self.find_annotations(root)
        if annotations.is_file():
            return self.read_annotations(annotations)
        rows: list[Row] = []
        problems: list[Problem] = []
        for table in _sections(root):
            more, found = self.read_annotations(table)
            rows += more
            problems += found
        return rows, problems

    def subject_folder(self, subject: str) -> str:
        """``"1"`` or ``"01"`` to ``"sub01"``."""
        return f"sub{subject.removeprefix('sub').zfill(2)}"

    def frame_number(self, file: str) -> int | None:
        """``"EP01_5-113"``, ``"reg_EP01_5-113"`` or ``"img113"`` to 113."""
        match = re.fullmatch(r"(?:reg_)?(?:img|EP\w+-)(\d+)", file)
        return int(match[1]) if match else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the name alone: the cropped release has the prefix ``reg_``."""
        return "cropped" if file.startswith("reg_") else "raw"


def _sections(root: Path) -> list[Path]:
    return find_tables(root, "Section [AB].xlsx")
