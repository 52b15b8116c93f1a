"""Runs made with older names: read, resumed, explained."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import recognizers
from mersynth.disk.files import checksum_of
from recognizers.experiment.evaluate import evaluate
from recognizers.explain import explain
from recognizers.report import Run, compare_runs
from recognizers.runs import RunError
from recognizers.runs.files import read
from recognizers.runs.records import Results, RunIdentity
from tests.recognizers.experiment.tiny_experiment import request
from tests.recognizers.report.report_page import page_of
from tests.recognizers.runs.run_of_before import write_run_of_before


def test_old_names_are_read_as_what_they_meant(tmp_path: Path) -> None:
    folder, _ = write_run_of_before(tmp_path)
    assert json.loads((folder / "results.json").read_text())["habit"] == "strict"
    for name, kind in (("run.json", RunIdentity), ("results.json", Results)):
        record = read(folder / name, kind)
        assert (record.split, record.protocol) == ("loso", "strict")
    run = Run.open(folder)
    assert [fold.fold for fold in run.folds] == ["samm/00", "samm/01"]
    assert run.scores["strict"]["Full"].mean["accuracy"] == pytest.approx(1 / 3)
    (entry,) = compare_runs([folder]).ranked
    assert entry.split == "LOSO, leave one subject out"
    assert "LOSO, leave one subject out" in page_of(folder).text


def test_such_a_run_goes_on_without_training_anything_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, request = write_run_of_before(tmp_path)
    before = (folder / "predictions.csv").read_bytes()
    folds = {file: file.read_bytes() for file in (folder / "folds").iterdir()}
    old = read(folder / "results.json", Results)
    (folder / "results.json").unlink()
    with pytest.raises(RunError, match=r"2 folds had ended, of 2 per seed; repeat the command"):
        compare_runs([folder])
    caplog.set_level(logging.INFO)
    evaluate(request, folder)
    assert f"all 2 folds are in {folder}" in caplog.text
    assert {file: file.read_bytes() for file in (folder / "folds").iterdir()} == folds
    assert (folder / "predictions.csv").read_bytes() == before
    assert "habit" not in json.loads((folder / "results.json").read_text())
    assert read(folder / "results.json", Results) == old
    assert read(folder / "run.json", RunIdentity).command.startswith("recognizers loso --model")


def test_without_weights_such_a_run_says_what_to_repeat(tmp_path: Path) -> None:
    folder, _ = write_run_of_before(tmp_path)
    (folder / "config.yaml").write_text("model: {name: ststnet, options: {image_size: 8}}")
    with pytest.raises(RunError, match="repeat the command that made the run with keep_weights=tr"):
        explain(folder, "grad-cam")


def under_old_names(run: Path) -> Path:
    """Its records and cards as they were before splits and protocols had these names."""
    for name in ("run.json", "results.json"):
        content = json.loads((run / name).read_text())
        content |= {"habit": content.pop("protocol"), "protocol": content.pop("split")}
        (run / name).write_text(json.dumps(content))
    for path in run.glob("folds/*/recognizer.json"):
        card = json.loads(path.read_text())
        card |= {"format": 1, "protocol": card.pop("split")}
        facts = {k: v for k, v in card.items() if k not in ("weights", "sha256", "checksum")}
        path.write_text(json.dumps(card | {"checksum": checksum_of(facts)}))
    return run


def test_their_recognizers_explain_and_predict(data: Path, tmp_path: Path) -> None:
    ask = request(data, "keep_weights=true", groups=3, protocol="paper")
    run = evaluate(ask, tmp_path / "run")
    new = dict(np.load(explain(run, "grad-cam", tmp_path / "new").with_suffix(".npz")))
    page = explain(under_old_names(run), "grad-cam", tmp_path / "old")
    old = dict(np.load(page.with_suffix(".npz")))
    assert "Paper protocol" in page.read_text()
    np.testing.assert_array_equal(old["map_grad_cam"], new["map_grad_cam"])
    loaded = recognizers.load(run / "folds" / "0_0001")
    assert loaded.card.split == "loso"
    record = json.loads((run / "folds" / "0_0001.json").read_text())
    predicted = loaded.predict_file(data)
    rows = [[clip.id for clip in predicted.clips].index(clip) for clip in record["clips"]]
    np.testing.assert_allclose(predicted.probabilities[rows], record["probabilities"], atol=1e-6)
    assert (run, True) == (evaluate(ask, run), Run.open(run).is_paper)
