"""SAMM (Davison et al. 2018): 159 micro-expressions of 29 subjects at 200 frames per second."""

from __future__ import annotations

import re

from mersynth.sources.base import Release
from mersynth.sources.table_source import TableSource


class SAMM(TableSource):
    """SAMM, the raw or the cropped release, in this tree.

    ::

        samm/
            SAMM_Micro_FACS_Codes_v2.xlsx
            006/
                006_1_2/
                    006_05562.jpg      grey; raw release 2040x1088 pixels, cropped about 400x400
                    006_05563.jpg
                    ...
            007/
            ...

    Frames may have any format that Pillow reads; their numbers have four or five digits, and are
    matched by value. Both releases name their frames alike; they are distinguished by shape.
    """

    name = "samm"
    fps = 200.0
    licence = (
        "SAMM release agreement: academic research only, no redistribution; it also governs "
        "clips made from the database"
    )
    citation = (
        "Davison, A. K., Lansley, C., Costen, N., Tan, K., Yap, M. H. (2018). SAMM: A spontaneous "
        "micro-facial movement dataset. IEEE Transactions on Affective Computing 9(1): 116-129"
    )
    request = (
        "the release agreement is on the SAMM page of Manchester Metropolitan University (Moi "
        "Hoon Yap); a member of the academic staff signs it"
    )
    table_pattern = "SAMM_Micro_FACS_Codes*.xlsx"
    subject_pattern = re.compile(r"\d{3}")

    def subject_folder(self, subject: str) -> str:
        """``"6"`` or ``"006"`` to ``"006"``."""
        return subject.zfill(3)

    def frame_number(self, file: str) -> int | None:
        """``"006_05562"`` to 5562."""
        match = re.fullmatch(r"\d{3}_(\d+)", file)
        return int(match[1]) if match else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the shape: a raw frame is 2040x1088, a cropped face is nearly square."""
        return "raw" if width > 1.5 * height else "cropped"
