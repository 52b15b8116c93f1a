"""AU intensities by OpenFace 2 (Baltrušaitis et al. 2018), as its programs write them.

Columns are separated by a comma and, in most versions, a blank:

- ``frame`` (from 1), ``face_id`` (not in older versions), ``timestamp``, ``confidence`` and
  ``success`` of films and folders of images (FeatureExtraction, FaceLandmarkVidMulti); ``face`` and
  ``confidence`` of single pictures (FaceLandmarkImg);
- ``AU01_r`` ... ``AU45_r``: intensities of 17 AUs, 0 to 5; ``AU01_c`` ... of 18: presence, 0 or 1,
  by other classifiers, which may contradict the intensities;
- ``x_0`` ... ``y_67``: landmarks in pixels, if they were asked for.

The images of a folder are read in the order of their names as texts, and have the timestamp 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth.face.au_table import (
    AUTable,
    check_rows,
    read_columns,
    scaled_intensities,
    whole_numbers,
)
from mersynth.facs.landmarks import NUM_LANDMARKS

if TYPE_CHECKING:
    import pandas as pd

INTENSITIES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""The AUs whose intensities it gives."""

PRESENCES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
"""The AUs whose presence it gives."""

CONDITION_AU = {au: 43 if au == 45 else au for au in PRESENCES}
"""Each of its AUs as one of ``CONDITION_AUS``: a blink (45) closes the lids as 43 does, for less
time; in a single frame they are alike."""

SCALE = 5.0
"""The strongest intensity."""

_ROW = ("frame", "face", "face_id", "timestamp", "confidence", "success")
_LANDMARKS = [f"{axis}_{i}" for i in range(NUM_LANDMARKS) for axis in "xy"]


class OpenFace:
    """Reads OpenFace's files; see the module's text.

    Args:
        min_confidence: rows of less confidence in the landmarks count as not measured, as do rows
            without success.
    """

    name, key, first = "OpenFace", "openface", 1

    def __init__(self, min_confidence: float) -> None:
        self.min_confidence = min_confidence
        self.facts: Mapping[str, Any] = {
            "scale": "0 to 5, divided by 5",
            "renamed": {"45": 43},
            "min_confidence": min_confidence,
        }

    def read(self, path: Path) -> AUTable:
        """Read a file; see :class:`mersynth.face.au_files.AUFileTool`."""
        table = read_columns(path, _is_wanted)
        columns = {CONDITION_AU[au]: f"AU{au:02d}_r" for au in INTENSITIES}
        columns = {au: name for au, name in columns.items() if name in table}
        if not columns:
            raise ValueError("no column such as AU01_r; AU intensities need its option -aus")
        if "frame" not in table and "face" not in table:
            raise ValueError("neither a column frame nor a column face")
        if "frame" in table and not len(table):
            raise ValueError("it holds no row")
        count = len(table)
        faces = next((name for name in ("face_id", "face") if name in table), None)
        numbers = whole_numbers(table, "frame") if "frame" in table else np.ones(count, np.int64)
        ids = np.zeros(count, np.int64) if faces is None else whole_numbers(table, faces)
        seen = np.unique(numbers)
        return AUTable(
            numbers,
            ids,
            scaled_intensities(table, columns, SCALE),
            self._failures(table),
            _landmarks(table),
            by_name="timestamp" in table and len(seen) > 1 and not table["timestamp"].any(),
            every_frame=len(np.unique(ids)) == 1 and np.array_equal(seen, np.arange(count) + 1),
        )

    def _failures(self, table: pd.DataFrame) -> np.ndarray:
        why = np.full(len(table), "", object)
        for name in {"confidence", "success"} & set(table.columns):
            values = table[name].to_numpy()
            right = np.isnan(values) | ((values >= 0) & (values <= 1))
            check_rows(name, values, right, "in 0..1")
        if "confidence" in table:
            doubtful = ~(table["confidence"] >= self.min_confidence)
            why[doubtful] = f"confidence under {self.min_confidence:g}"
        if "success" in table:
            why[~(table["success"] == 1)] = "success 0"
        return why


def _is_wanted(name: str) -> bool:
    return name in _ROW or re.fullmatch(r"AU\d\d_r|[xy]_\d\d?", name) is not None


def _landmarks(table: pd.DataFrame) -> np.ndarray | None:
    if not set(_LANDMARKS) <= set(table.columns):
        return None
    return table[_LANDMARKS].to_numpy().reshape(len(table), NUM_LANDMARKS, 2)
