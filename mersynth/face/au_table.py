"""Tables of AU intensities in other tools' files, and their columns as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mersynth.disk.files import check_regular
from mersynth.facs.action_units import CONDITION_AUS

if TYPE_CHECKING:
    import pandas as pd

# As C++ programs write what is no number.
_NO_NUMBER = ("-nan", "nan(ind)", "-nan(ind)", "1.#IND", "-1.#IND")


@dataclass(frozen=True, eq=False, slots=True)
class AUTable:
    """The rows of a file, one for each face of a frame (R of them).

    Attributes:
        numbers: (R,) int64, frames as the tool counts them.
        faces: (R,) int64, which face of the frame it is.
        intensities: (R, 20) float32 in [0, 1], columns as ``CONDITION_AUS``; NaN where not given.
        failed: (R,) why a row is of no use; empty if it is.
        landmarks: (R, 68, 2) iBUG's landmarks, x, y in pixels of the frames that the tool saw; None
            if there are none.
        by_name: whether the tool read a folder of images in the order of their names as texts, in
            which ``img10`` precedes ``img2``.
        every_frame: whether the tool wrote a row for every frame, found or not.
    """

    numbers: np.ndarray
    faces: np.ndarray
    intensities: np.ndarray
    failed: np.ndarray
    landmarks: np.ndarray | None = None
    by_name: bool = False
    every_frame: bool = False


def read_columns(path: Path, wanted: Callable[[str], bool]) -> pd.DataFrame:
    """Columns of a CSV file as numbers, by their names without blanks; NaN for empty cells.

    Args:
        path: the file.
        wanted: whether a column of that name is read.

    Raises:
        ValueError: if the file is empty, is no text, has a wanted column twice or a line with fewer
            or more values than the header, or a wanted cell that is no number; the message gives no
            path.
    """
    import pandas as pd

    check_regular(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\n")
            if not header.strip():
                raise ValueError("it is empty")
            names = [name.strip() for name in header.split(",")]
            if twice := [name for name in names if wanted(name) and names.count(name) > 1]:
                raise ValueError(f"the column {twice[0]} occurs twice")
            commas = header.count(",")
            for number, line in enumerate(file, 2):
                if line.strip() and line.count(",") != commas:
                    raise ValueError(
                        f"line {number} has {line.count(',') + 1} values, the header "
                        f"{commas + 1}: the file is incomplete or damaged"
                    )
        table = pd.read_csv(
            path,
            encoding="utf-8-sig",
            skipinitialspace=True,
            index_col=False,
            usecols=lambda name: wanted(name.strip()),
            na_values=list(_NO_NUMBER),
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not a text file, or damaged") from error
    table.columns = table.columns.str.strip()
    for name in table:
        values = pd.to_numeric(table[name], errors="coerce")
        wrong = values.isna() & table[name].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise ValueError(f"line {row + 2}: {name} is {table[name].iloc[row]!r}, not a number")
        table[name] = values.astype(np.float64)
    return table


def whole_numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column (R,) as int64.

    Raises:
        ValueError: if a value is not a whole number from 0 to 10^9.
    """
    values = table[name].to_numpy()
    right = (values == np.round(values)) & (values >= 0) & (values <= 1e9)
    check_rows(name, values, right, "a whole number from 0 to 10^9")
    return values.astype(np.int64)


def check_rows(name: str, values: np.ndarray, right: np.ndarray, allowed: str) -> None:
    """Refuse a column with a wrong value.

    Args:
        name: of the column.
        values: (R,) of any type.
        right: (R,) bool, whether each is as it should be.
        allowed: what they should be.

    Raises:
        ValueError: with the line and the value of the first that is not.
    """
    if not right.all():
        row = int(right.argmin())
        raise ValueError(f"line {row + 2}: {name} must be {allowed}, got {values[row]}")


def scaled_intensities(table: pd.DataFrame, columns: Mapping[int, str], top: float) -> np.ndarray:
    """Intensities of 0 to ``top`` as (R, 20) float32 in [0, 1]; NaN for AUs without a column.

    Args:
        table: of :func:`read_columns`.
        columns: by AU of ``CONDITION_AUS``.
        top: the scale's end.

    Raises:
        ValueError: if a value lies outside the scale.
    """
    found = np.full((len(table), len(CONDITION_AUS)), np.nan, np.float32)
    for au, name in columns.items():
        values = table[name].to_numpy()
        wrong = (values < 0) | (values > top)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"line {row + 2}: {name} is {values[row]}, outside the tool's scale of 0 to {top:g}"
            )
        found[:, CONDITION_AUS.index(au)] = values / top
    return found
