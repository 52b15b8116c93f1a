"""AU intensities from the files of LibreFace."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mersynth.face import libreface
from mersynth.facs.action_units import CONDITION_AUS
from tests.face.au_file_samples import PLACE_12, film, stored


def libreface_file(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A file with columns as LibreFace writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    present = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    usual: dict[str, Any] = {"frame_time_in_ms": 0.0, "pitch": 1.5, "lm_mp_0_x": 0.4}
    usual |= {f"au_{au}": 1 for au in present}
    usual |= {f"au_{au}_intensity": 0.25 for au in libreface.INTENSITIES}
    usual |= {"facial_expression": "Happiness", "gaze_yaw": 0.1}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows[0], *usual])))
        writer.writeheader()
        writer.writerows({**usual, **row} for row in rows)


def test_libreface_leaves_out_frames_without_a_face(tmp_path: Path) -> None:
    film(tmp_path / "films", 5)
    rows = [{"frame_idx": i, "au_12_intensity": i + 0.5} for i in (0, 1, 3)]
    libreface_file(tmp_path / "aus" / "ada.csv", rows)
    store = stored(tmp_path / "films", f"libreface={tmp_path / 'aus'}")
    smile = store[0].intensities[:, PLACE_12, 0]
    np.testing.assert_allclose(smile, [0.1, 0.3, np.nan, 0.7, np.nan])
    known = np.isfinite(store[0].intensities[0, :, 0])
    given = {1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26}
    assert {au for au, here in zip(CONDITION_AUS, known, strict=True) if here} == given
    facts = store.meta["header"]["au_reader"]
    assert facts["frames"] == {"measured": 3, "no face": 2}
    assert (set(facts["aus"]), facts["presence_alone"]) == (given, [7, 10, 14, 23, 24])


def test_libreface_s_file_of_a_photo(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "ada.png")
    libreface_file(tmp_path / "aus" / "ada.csv", [{"au_12_intensity": 4}])
    store = stored(tmp_path / "photos", f"libreface={tmp_path / 'aus'}")
    assert store.intensities[0, PLACE_12].tolist() == pytest.approx([0.8, 0.8])
