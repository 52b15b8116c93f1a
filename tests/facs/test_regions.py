"""Tests of the regions of an aligned face."""

from __future__ import annotations

import numpy as np
import pytest

from mersynth.facs.regions import half_rows


@pytest.mark.parametrize("height", [2, 7, 128])
def test_halves_share_the_rows(height: int) -> None:
    rows = np.arange(height)
    eyes, mouth = rows[half_rows("eyes", height)], rows[half_rows("mouth", height)]
    assert [*eyes, *mouth] == list(rows)
    assert len(mouth) - len(eyes) == height % 2


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="'nose'"):
        half_rows("nose", 128)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 rows"):
        half_rows("eyes", 1)
