"""The script that measures readers of AUs on rendered faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mersynth.face.au_reader import FeatReader
from mersynth.face.intensity import Measurement
from mersynth.facs.action_units import CONDITION_AUS
from tests.script_modules import run_script, script
from tests.tiny_store import write_tiny_store

COLUMN = {au: i for i, au in enumerate(CONDITION_AUS)}


def test_a_table_of_readings() -> None:
    course = np.linspace(0, 0.8, 9, dtype=np.float32)
    true = np.zeros((2, 9, 20, 2), np.float32)
    true[0, :, COLUMN[12], 0] = true[1, :, COLUMN[12], 1] = course
    true[:, :, COLUMN[4]] = course[:, None]
    true[:, :, COLUMN[11]] = course[:, None]
    true[:, :, COLUMN[1]] = 0.05
    read = 0.5 * true
    read[1, :, COLUMN[12]] = 0.5 * true[0, :, COLUMN[12]]  # the other side
    read[..., COLUMN[4], :] = -read[..., COLUMN[4], :]
    read[..., COLUMN[11], :] = np.nan
    read[0, 3] = np.nan  # a face that was not found
    rows = {row[0]: row[1:] for row in script("measure_au_reader").rows(list(true), list(read))}
    assert rows.keys() == {"4", "11", "12"}
    assert rows["4"] == ["0.80", "-1.00", "-0.50", ""]
    assert rows["11"] == ["0.80", "", "", ""]
    assert rows["12"][3] == "1 of 2"
    assert float(rows["12"][2]) == pytest.approx(0.25, abs=0.03)


def test_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)

    def read(self: FeatReader, item: object, frames: np.ndarray, box: np.ndarray) -> Measurement:
        (place,) = [i for i, clip in enumerate(store.clips) if clip == item.clip]
        assert box.shape == (4,)
        return Measurement(store[place].intensities[..., 0], None)

    monkeypatch.setattr(FeatReader, "read", read)
    monkeypatch.setattr("mersynth.face.au_reader.choose_backend", lambda name: name)
    out = tmp_path / "page.md"
    words = (store.path, "--intensities", "v2", "--out", out)
    assert run_script("measure_au_reader", *words, "--clips", 99).code == 0
    text = out.read_text()
    assert "25 clips, 150 frames, 0 without a face" in text
    assert text.count("| 1.00 | 1.00 |") == 20
    refused = run_script("measure_au_reader", store.path, "--intensities", "openface=x")
    assert "must name what reads frames" in refused.stderr
