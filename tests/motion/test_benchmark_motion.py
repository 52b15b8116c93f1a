"""The benchmark of the motion tools runs and its figures are sound."""

from __future__ import annotations

import json

import pytest

from mersynth.motion.apex import APEX_METHODS
from tests.script_modules import run_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, float | str]]]:
    """The rows of every section of a quick run, by the section's title."""
    folder = tmp_path_factory.mktemp("motion")
    shown = run_script("benchmark_motion", "--quick", "--out", folder / "motion.md").stdout
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


def test_every_apex_method_is_measured(figures: dict[str, list[dict[str, float]]]) -> None:
    rows = figures["Apex spotting"]
    for clips in ("2 micro", "2 macro"):
        measured = {row["method"] for row in rows if row["clips"] == clips}
        assert measured == {*APEX_METHODS, "middle"}
    assert all(0 <= row["error, frames"] < row["frames a clip"] for row in rows)


def test_magnification_is_measured_at_every_alpha(
    figures: dict[str, list[dict[str, float]]],
) -> None:
    rows = [row for row in figures["Motion magnification"] if row["magnifier"] == "eulerian"]
    assert [row["alpha"] for row in rows] == [2, 4, 6, 10]
    assert all(0 < row["SSIM"] < 1 for row in rows)


def test_sections_can_be_chosen() -> None:
    shown = run_script("benchmark_motion", "--quick", "--sections", "magnification").stdout
    assert "Motion magnification" in shown
    assert "Optical flow" not in shown
