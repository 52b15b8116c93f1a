"""The scripts run from a checkout."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mersynth.gan.train import train
from tests.tiny_store import tiny_clips, write_tiny_store

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run(*arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_every_script_explains_itself(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))  # as python does for a script
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(script), run_name="__main__")
    assert "usage:" in capsys.readouterr().out


def test_control_is_measured_for_every_au(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    quick = ["gan=tiny", "batch_size=2", "critic_steps=1", "au_reading_steps=0", "steps=1"]
    train(store_path=store.path, out=tmp_path / "c", overrides=[*quick, "accelerator=cpu"])
    few = ["--subjects", 2, "--estimator-subjects", 2, "--each", 40, "--epochs", 1]
    shown = run(
        SCRIPTS / "measure_control.py",
        "--checkpoint",
        tmp_path / "c",
        "--out",
        tmp_path / "o",
        *few,
    )
    assert "AU control on 2 unseen phantom subjects, 32 px" in shown
    figures = json.loads((tmp_path / "o" / "control.json").read_text())
    assert [row["au"] for row in figures["aus"]] == [1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25]
    assert all(0 < row["ssim"] <= 1 for row in figures["aus"])
    assert (tmp_path / "o" / "control.md").read_text().count("\n") == 2 + 13 + 1
