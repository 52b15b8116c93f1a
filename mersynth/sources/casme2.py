"""CASME II (Yan et al. 2014): 255 micro-expressions of 26 subjects at 200 frames per second."""

from __future__ import annotations

import re

from mersynth.sources.base import Release
from mersynth.sources.table_source import TableSource


class CASME2(TableSource):
    """CASME II, the raw or the cropped release, in this tree.

    ::

        casme2/
            CASME2-coding-20140508.xlsx
            sub01/
                EP02_01f/
                    img46.jpg          raw release, 640x480 pixels
                    img47.jpg
                    ...
            sub02/
            ...

    In the cropped release the frames are called ``reg_img46.jpg`` and have about 280x340 pixels.
    Frames may have any format that Pillow reads. The annotation table writes the subject ``sub01``
    as ``01``.
    """

    name = "casme2"
    fps = 200.0
    licence = (
        "CASME II licence agreement: academic research only, no redistribution; it also "
        "governs clips made from the database"
    )
    citation = (
        "Yan, W.-J., Li, X., Wang, S.-J., Zhao, G., Liu, Y.-J., Chen, Y.-H., Fu, X. (2014). "
        "CASME II: An improved spontaneous micro-expression database and the baseline evaluation. "
        "PLoS ONE 9(1): e86041"
    )
    request = (
        "the licence agreement is on the CASME II page of the Institute of Psychology, Chinese "
        "Academy of Sciences; a member of the academic staff signs it"
    )
    table_pattern = "CASME2-coding*.xlsx"
    subject_pattern = re.compile(r"sub\d+")

    def subject_folder(self, subject: str) -> str:
        """``"1"`` or ``"01"`` to ``"sub01"``."""
        return f"sub{subject.removeprefix('sub').zfill(2)}"

    def frame_number(self, file: str) -> int | None:
        """``"img46"`` or ``"reg_img46"`` to 46."""
        match = re.fullmatch(r"(?:reg_)?img(\d+)", file)
        return int(match[1]) if match else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the name alone: the cropped release has the prefix ``reg_``."""
        return "cropped" if file.startswith("reg_") else "raw"
