"""AU intensities by LibreFace (Chang et al. 2024), as ``libreface --input_path`` writes them.

- ``frame_idx`` (from 0) of films; absent for a photo, which has one row. Frames in which it finds
  no face have no row. There is one row a frame, whoever else is in the picture;
- ``au_1_intensity`` ...: intensities of 12 AUs, 0 to 5;
- ``au_1`` ...: presence of 12 AUs, 0 or 1. Five of them (7, 10, 14, 23, 24) have no intensity: they
  stay unmeasured, since presence says nothing of strength.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mersynth.face.au_table import AUTable, read_columns, scaled_intensities, whole_numbers

INTENSITIES = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""The AUs whose intensities it gives."""

SCALE = 5.0
"""The strongest intensity."""


class LibreFace:
    """Reads LibreFace's files; see the module's text."""

    name, key, first = "LibreFace", "libreface", 0
    facts: Mapping[str, Any] = {
        "scale": "0 to 5, divided by 5",
        "presence_alone": [7, 10, 14, 23, 24],
    }

    def read(self, path: Path) -> AUTable:
        """Read a file; see :class:`mersynth.face.au_files.AUFileTool`."""
        table = read_columns(
            path,
            lambda name: name == "frame_idx" or re.fullmatch(r"au_\d+_intensity", name) is not None,
        )
        columns = {au: f"au_{au}_intensity" for au in INTENSITIES}
        columns = {au: name for au, name in columns.items() if name in table}
        count = len(table)
        if not columns:
            raise ValueError("no column such as au_1_intensity")
        if not count:
            raise ValueError("it holds no row")
        if "frame_idx" not in table and count > 1:
            raise ValueError(f"{count} rows, but no column frame_idx")
        return AUTable(
            whole_numbers(table, "frame_idx")
            if "frame_idx" in table
            else np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            scaled_intensities(table, columns, SCALE),
            np.full(count, "", object),
        )
