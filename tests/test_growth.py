"""How time and memory grow: the script that measures it, and works that must not hold all clips."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from mersynth.export import export
from tests.script_modules import run_script, script
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.mark.slow
def test_slopes_are_those_of_what_was_measured(tmp_path: Path) -> None:
    growth, drawing = script("measure_growth"), script("drawing.growth")
    works = ["export", "LOSO"]
    found = {}
    for name, what, sizes in growth.points(works, 3):
        grown = sizes[what] / growth.WORKS[name].sizes[what]
        seconds = {"frames": grown**2, "image side": grown**2, "subjects": 1}.get(what, grown)
        figures = {"processor_seconds": 3 * seconds, "memory_mib": 50}
        found[growth.key(name, sizes)] = figures
    curves = growth.curves(found, works, 3)
    slopes = {(curve.work, curve.doubled): curve.time_slope for curve in curves}
    assert slopes["export", "clips"] == slopes["LOSO", "classes"] == pytest.approx(1)
    assert slopes["export", "frames"] == pytest.approx(2)
    assert slopes["export", "image side"] == pytest.approx(1)  # counted in pixels
    assert slopes["LOSO", "subjects"] == pytest.approx(0)
    assert all(curve.memory_slope == pytest.approx(0) for curve in curves)
    drawing.draw_growth(curves, tmp_path / "growth.png")
    assert Image.open(tmp_path / "growth.png").width > 500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_growth_is_measured_once(tmp_path: Path) -> None:
    out, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    few = ["--works", "export", "--doublings", 1, "--out", out, "--picture", picture]
    assert run_script("measure_growth", *few).code == 0
    first = json.loads(out.read_text())
    assert len(first["points"]) == 1 + 5
    assert {row["doubled"] for row in first["slopes"]} == {
        *("clips", "frames", "image side", "subjects", "classes"),
    }
    assert run_script("measure_growth", *few).code == 0
    assert json.loads(out.read_text()) == first


@pytest.mark.parametrize("layout", ["webdataset", "imagefolder"])
def test_an_export_does_not_hold_the_frames(layout: str, tmp_path: Path) -> None:
    most, held = [], []
    for each in (1, 2, 8):  # the first warms up
        store = write_tiny_store(tmp_path / str(each), tiny_clips(5, each, 4), image_size=64)
        held.append(store.frames.nbytes)
        tracemalloc.start()
        export(store.path, layout, tmp_path / f"out{each}")
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[2] - most[1] < 0.3 * (held[2] - held[1])
