"""The scripts run from a checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mersynth.gan.train import train
from tests.script_modules import SCRIPTS, run_script
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.mark.parametrize("name", sorted(file.stem for file in SCRIPTS.glob("*.py")))
def test_every_script_explains_itself(name: str) -> None:
    ran = run_script(name, "--help")
    assert ran.code == 0
    assert "usage:" in ran.stdout


@pytest.mark.slow
def test_control_is_measured_for_every_au(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    quick = ["gan=tiny", "batch_size=2", "critic_steps=1", "au_reading_steps=0", "steps=1"]
    train(store_path=store.path, out=tmp_path / "c", overrides=[*quick, "accelerator=cpu"])
    few = ["--subjects", 2, "--estimator-subjects", 2, "--each", 40, "--epochs", 1]
    out = tmp_path / "o"
    ran = run_script("measure_control", "--checkpoint", tmp_path / "c", "--out", out, *few)
    assert "AU control on 2 unseen phantom subjects, 32 px" in ran.stdout
    figures = json.loads((out / "control.json").read_text())
    assert [row["au"] for row in figures["aus"]] == [1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25]
    assert all(0 < row["ssim"] <= 1 for row in figures["aus"])
    assert (out / "control.md").read_text().count("\n") == 2 + 13 + 1
