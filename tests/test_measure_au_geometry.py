"""The page on where the AUs move a face, and the cells that it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.script_modules import script

PAGE = script("measure_au_geometry")


def samm_table(folder: Path, cells: list[str]) -> Path:
    path = folder / "SAMM_Micro_FACS_Codes_v2.csv"
    head = "Subject,Filename,Onset Frame,Apex Frame,Offset Frame,Action Units,Estimated Emotion"
    rows = [f"006,006_1_{k},1,5,9,{cell},Anger" for k, cell in enumerate(cells)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_the_most_frequent_cells_of_a_table(tmp_path: Path) -> None:
    table = samm_table(tmp_path, ["4B+7C", "7+4", "12", "12", "12", "R6+12", "1+99", "L1+2+5"])
    assert PAGE.frequent_cells([table], 2) == ["4+7", "6+12"]
    with pytest.raises(ValueError, match="is not a table of"):
        PAGE.frequent_cells([tmp_path / "notes.txt"], 2)


def test_a_cell_asks_for_its_side() -> None:
    asked = PAGE.intensities("L12+4")
    assert asked.sum(0).tolist() == [2, 1]
    assert sorted(map(tuple, asked[asked.any(1)].tolist())) == [(1, 0), (1, 1)]


def test_movements_are_shares_of_the_eyes_distance() -> None:
    rest = np.zeros((68, 2))
    moved = rest.copy()
    moved[54], moved[48] = (6, -3), (-2, -1)  # the corners: outwards both, and up
    moved[8] = (5, 4)  # the chin, on the mid-line: down
    found = PAGE.moves(rest, moved, np.array([[30.0, 0.0], [-10.0, 0.0]]))
    assert found["corner of the mouth"].tolist() == [10, 5]
    assert found["chin"].tolist() == [0, -10]
    assert not found["inner brow"].any()


def test_the_map_lifts_the_brow_with_1_and_lowers_it_with_4() -> None:
    for cell, way in (("1", 1), ("4", -1)):
        assert way * PAGE.mesh_moves(cell)["inner brow"][1] > 3
    assert (PAGE.mesh_moves("12")["corner of the mouth"] > 3).all()
    both, one, other = (PAGE.mesh_moves(cell)["chin"] for cell in ("4+7", "4", "7"))
    np.testing.assert_allclose(both, one + other, atol=1e-9)


def test_a_page_of_frames_and_readings(tmp_path: Path) -> None:
    shown = ["12", "L12", "4+7"]
    points = np.random.default_rng(0).normal(0, 30, (2, 4, 68, 2))
    work = tmp_path / "work"
    work.mkdir()
    np.savez(work / "frames.npz", x=np.zeros((2, 4, 8, 8, 3), np.uint8), points=points, shown=shown)
    names = ["mouthSmileLeft", "mouthSmileRight", "browDownLeft", "browDownRight", "eyeSquintLeft"]
    rise = dict.fromkeys([*names, "eyeSquintRight"], 0.25)
    readings = {
        "people": 2,
        "rest": {"browInnerUp": 0.4, "jawOpen": 0.01},
        "rises": {name: {**rise, "mouthSmileLeft": 0.81} for name in shown},
    }
    (work / "readings.json").write_text(json.dumps(readings))
    page = PAGE.text(work, None)
    assert "| L12 | mouthSmile |  |  | 0.81 | 0.25 | 0.80 |" in page
    assert "| 4+7 | browDown |  |  | 0.25 | 0.25 | 0.41 |" in page
    assert "| browInnerUp |  | 0.40 |" in page
    assert "jawOpen |  |" not in page
    assert "| 12 | corner of the mouth |" in page
    assert "| L12 | corner" not in page  # both sides tell where an AU moves
