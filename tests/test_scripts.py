"""The scripts run from a checkout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import recognizers
from mersynth.gan.checkpoint import load_card
from mersynth.gan.train import train
from mersynth.store.clip_store import ClipStore
from tests.script_modules import SCRIPTS, run_script, script
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.mark.parametrize("name", sorted(file.stem for file in SCRIPTS.glob("*.py")))
def test_every_script_explains_itself(name: str) -> None:
    ran = run_script(name, "--help")
    assert ran.code == 0
    assert "usage:" in ran.stdout


@pytest.mark.slow
def test_control_is_measured_for_every_au(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    quick = [
        "gan=tiny_motion",
        "gain_pairs=8",
        "batch_size=2",
        "critic_steps=1",
        "au_reading_steps=0",
        "steps=1",
    ]
    train(store_path=store.path, out=tmp_path / "c", overrides=[*quick, "device=cpu"])
    few = ["--subjects", 1, "--estimator-subjects", 2, "--each", 40, "--epochs", 1]
    out = tmp_path / "control.md"
    ran = run_script(
        "measure_control", "--checkpoint", f"x={tmp_path / 'c'}", "--sizes", 48, "--out", out, *few
    )
    assert ran.code == 0
    figures = json.loads(out.with_suffix(".json").read_text())["sizes"]["48"]
    assert set(figures) == {"rendered", "AU warp", "x"}
    warp = figures["AU warp"]
    assert len(warp["strength"]) == 20
    assert 0.3 < np.mean(warp["strength"]) < 1.3
    assert all(0.5 < value <= 1 for value in warp["still"])
    assert np.mean(figures["x"]["strength"]) < 0.3  # a step teaches little
    assert out.read_text().count("\n| 12 |") == 3
    lost = run_script("measure_control", "--checkpoint", "nowhere", "--out", out)
    assert "--checkpoint needs NAME=FOLDER, got 'nowhere'" in lost.stderr


@pytest.mark.slow
def test_transfer_is_measured_in_every_way(tmp_path: Path) -> None:
    out = tmp_path / "transfer.md"
    assert run_script("measure_transfer", "--clips", 2, "--out", out).code == 0
    rows = [
        line.split(" | ") for line in out.read_text().splitlines() if line.startswith("| micro")
    ]
    read = {row[1]: float(row[3]) for row in rows if len(row) == 7 and row[0] == "| micro"}
    assert len(read) == 7
    assert read["as read"] > 0.8
    assert out.read_text().count("\n| 12 |") == 3


@pytest.mark.slow
def test_the_shipped_generator_is_trained_in_the_time_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("train_phantom_checkpoint")
    counts = {"anger": 1, "happiness": 1, "surprise": 1}
    few = {"SUBJECTS": 2, "EXPRESSIONS": 6, "MOVING_COUNTS": counts, "MOVING_FRAMES": 6}
    for name, value in few.items():
        monkeypatch.setattr(module, name, value)
    quick = ["gan=tiny_motion", "batch_size=2", "conditions_each=2", "gain_pairs=8"]
    stages = ["steps=100", "true_frame_steps=50", "au_reading_steps=50", "video_every=1"]
    command = ["x", "--work", tmp_path / "w", "--out", tmp_path / "c", "--workers", 1]
    argv = [*map(str, [*command, "--minutes", 0.05]), *quick, *stages]
    monkeypatch.setattr(sys, "argv", argv)
    begun = time.perf_counter()
    module.main()
    took = time.perf_counter() - begun
    card = load_card(tmp_path / "c")
    assert card.unfinished is None
    assert card.config["true_frame_steps"] == round(card.step / 2)
    assert card.config["au_reading_steps"] == round(card.step / 2)
    kept = ClipStore.open(tmp_path / "w" / "moving")
    assert set(card.training_subjects) >= set(kept.subjects)
    module.main()  # nothing is left to do
    assert time.perf_counter() - begun - took < took


@pytest.mark.slow
def test_the_shipped_recognizers_are_trained_and_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("train_phantom_recognizers")
    few = {"TRAIN_PEOPLE": 2, "TRAIN_EACH": 2, "TEST_PEOPLE": 2, "TEST_EACH": 1}
    few |= {"TRAIN_FPS": 12.0, "TEST_FPS": 12.0}
    for name, value in few.items():
        monkeypatch.setattr(module, name, value)
    quick = {"phantom-quick": ("ststnet_tiny", ("model.training.epochs=1",))}
    monkeypatch.setattr(module, "SYSTEMS", quick)
    argv = ["x", "--work", str(tmp_path / "w"), "--out", str(tmp_path / "c")]
    monkeypatch.setattr(sys, "argv", argv)
    module.main()
    card = recognizers.load(tmp_path / "c" / "phantom-quick", "cpu").card
    assert (card.learned.clips, len(card.learned.people), len(card.data)) == (20, 4, 2)
    assert [tested.clips for tested in card.tested] == [5, 5]
    for tested in card.tested:
        assert not card.people & set(tested.people)
        assert tested.checksum == ClipStore.open(tested.path).checksum
        estimate, low, high = tested.uar
        assert 0 <= low <= estimate <= high <= 1
    fitted = recognizers.load(tmp_path / "w" / "models" / "phantom-quick", "cpu").card
    assert fitted.sha256 == card.sha256
