"""The benchmark of the motion tools runs and its figures are sound."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_motion.py"


def run(*arguments: object) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, float | str]]]:
    """The rows of every section of a quick run, by the section's title."""
    folder = tmp_path_factory.mktemp("motion")
    shown = run("--quick", "--out", folder / "motion.md")
    sections = json.loads((folder / "motion.json").read_text())["sections"]
    document = (folder / "motion.md").read_text()
    for section in sections:
        assert section["title"] in shown
        assert f"## {section['title']}\n" in document
    assert "python scripts/benchmark_motion.py --quick --out" in document
    return {section["title"]: section["rows"] for section in sections}


def test_flow_is_measured_for_micro_and_macro_pairs(
    figures: dict[str, list[dict[str, float]]],
) -> None:
    rows = figures["Optical flow: accuracy"]
    assert len(rows) == 2 * 5
    assert {row["pairs"] for row in rows} == {"micro", "macro"}
    for row in rows:
        assert 0 < row["relative error"] < 1
        assert 0 < row["error, px"] < row["true motion, px"]
    ours = [row for row in rows if row["method"] == "TV-L1"]
    assert all(row["difference to scikit-image, px"] < 0.05 for row in ours)
    micro, macro = (row["true motion, px"] for row in ours)
    assert micro < macro


def test_time_is_measured_against_scikit_image(figures: dict[str, list[dict[str, float]]]) -> None:
    rows = figures["Optical flow: time"]
    assert {row["method"] for row in rows} >= {"TV-L1", "TV-L1 of scikit-image", "DIS"}
    assert all(row["ms a pair"] > 0 for row in rows)
    (reference,) = (row for row in rows if row["method"] == "TV-L1 of scikit-image")
    assert reference["times as fast as scikit-image"] == 1


def test_sections_can_be_chosen(tmp_path: Path) -> None:
    shown = run("--quick", "--sections", "flow-accuracy")
    assert "Optical flow: accuracy" in shown
    assert "Optical flow: time" not in shown
