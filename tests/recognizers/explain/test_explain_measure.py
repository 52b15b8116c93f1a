"""The script that measures explanations on the phantom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from recognizers.explain import ExplainedClips, moving_region
from tests.script_modules import SCRIPTS, script

SCRIPT = SCRIPTS / "measure_explanations.py"


@pytest.fixture(name="script", scope="module")
def _script() -> ModuleType:
    module: ModuleType = script("measure_explanations")
    return module


def flow_at(rows: slice, columns: slice) -> np.ndarray:
    flow = np.zeros((2, 128, 96), np.float32)
    flow[0, rows, columns] = 3
    return flow


def test_figures_are_shares_of_clips_whose_movement_is_known(script: ModuleType) -> None:
    flows = [flow_at(slice(8, 24), slice(16, 48)), flow_at(slice(64, 128), slice(0, 96))]
    inside = np.stack([moving_region(flow).astype(np.float32) for flow in flows])
    outside = 1 - inside
    outside[1, :32] = 0
    maps = {"au_cam": inside, "grad_cam": outside}
    nothing = np.zeros(2, int)
    explained = ExplainedClips(nothing, nothing, nothing, nothing, maps)
    figures = script.measure(explained, flows, 0.25)
    for key in ("share", "half", "highest"):
        np.testing.assert_array_equal(figures["au_cam"][key], 1)
    np.testing.assert_array_equal(figures["grad_cam"]["share"], 0)
    # The second clip's moving half is empty, since the map covers only the other one.
    assert figures["grad_cam"]["half"][0] == 0
    assert np.isnan(figures["grad_cam"]["half"][1])
    area = 16 * 32 / (128 * 96)
    np.testing.assert_allclose(figures["uniform"]["share"], [area, 0.5])
    np.testing.assert_allclose(figures["uniform"]["half"], [2 * area, 1])
    np.testing.assert_allclose(figures["uniform"]["highest"], [area, 0.5])
    # Of 2 x 3 places a half: the movement fills parts of two, and of the second clip all six.
    assert area < figures["truth"]["share"][0] < 0.5
    assert figures["truth"]["share"][1] == pytest.approx(1)
    text = script.table(figures)
    assert "| AU-CAM | 1.000 ± 0.000 | 1.000 | 1.000 | 0 |" in text
    told = script.comparisons(figures)
    assert "share of the mass: more than Grad-CAM in 2 of 2 clips" in told
    assert "within the moving half: more than a uniform map in 1 of 2 clips" in told


@pytest.mark.slow
def test_the_script_writes_the_document(tmp_path: Path) -> None:
    few = {"subjects": 3, "each": 4, "groups": 3, "epochs": 1, "image-size": 64, "batch-size": 3}
    command = [sys.executable, str(SCRIPT), "--device", "cpu"]
    command += [f"--{name}={value}" for name, value in few.items()]
    command += [f"--out={tmp_path / 'told.md'}", f"--work={tmp_path / 'work'}"]
    subprocess.run(command, check=True)
    text = (tmp_path / "told.md").read_text()
    assert "12 clips of 3 phantom subjects" in text
    assert (tmp_path / "images" / "explanations.jpg").stat().st_size > 0
    assert (tmp_path / "work" / "run" / "explain" / "au-cam.html").exists()
    figures = json.loads((tmp_path / "work" / "explanations.json").read_text())
    assert all(0 <= value <= 1 for rows in figures.values() for value in rows.values())
