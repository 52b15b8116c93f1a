"""An incomplete run has no report, and a page that fails leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recognizers.evaluation.predictions import Predictions
from recognizers.report import compare_runs, write_report
from recognizers.runs import RunError
from tests.recognizers.report.tiny_run import FIVE, change, write_tiny_run


@pytest.fixture
def run(tmp_path) -> Path:
    return write_tiny_run(tmp_path / "run")


def test_nothing_is_left_of_a_page_that_fails(run, monkeypatch):
    before = sorted(run.iterdir())
    (run / "results.json").write_text("{")
    with pytest.raises(RunError):
        write_report(run)
    assert sorted(run.iterdir()) == before
    write_tiny_run(run.with_name("other"))
    other = run.with_name("other")
    (other / "report.html").write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report(other)
    assert (other / "report.html").read_text() == "old"
    assert [path.name for path in other.iterdir() if path.suffix == ".tmp"] == []


def lacking(run: Path, *keys: str) -> None:
    results = json.loads((run / "results.json").read_text())
    part = results
    for key in keys[:-1]:
        part = part[int(key) if key.isdigit() else key]
    del part[keys[-1]]
    (run / "results.json").write_text(json.dumps(results))


def spoil_predictions(run: Path) -> None:
    table = Predictions.from_csv(run / "predictions.csv").frame
    table["predicted"] = table["true"]
    for name in FIVE:
        table[f"p_{name}"] = (table["true"] == name).astype(float)
    Predictions(table, FIVE).to_csv(run / "predictions.csv")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, r"there is no folder .*run; give the folder of a run"),
        (
            lambda run: (run / "results.json").unlink(),
            r"run holds 12 folds of a run that it does not name: it has no run\.json; choose",
        ),
        (
            lambda run: (run / "results.json").write_text("{"),
            r"results.json is damaged \(.*remove it and repeat the command",
        ),
        (lambda run: (run / "results.json").write_text("[]"), r"Expected `object`, got `array`"),
        (
            lambda run: lacking(run, "model"),
            r"field `model` in the file\); remove it and repeat",
        ),
        (
            lambda run: lacking(run, "folds", "1", "tested"),
            r"field `tested` in folds\[1\]\)",
        ),
        (lambda run: change(run, seconds="long"), r"seconds is 'long': Expected `float`"),
        (lambda run: change(run, seeds=[0, True]), r"seeds\[1\] is True: Expected `int`"),
        (
            lambda run: change(run, protocol="lax"),
            r"protocol is 'lax': it must be one of strict, paper\)",
        ),
        (lambda run: change(run, headline="oracle"), r"the protocol is strict, yet its headline"),
        (lambda run: change(run, marked=["a leak"]), r"only protocol paper may have marks"),
        (lambda run: change(run, seeds=[0, 7]), r"holds the seeds \[0, 1\], .* names \[0, 7\]"),
        (
            lambda run: change(run, classes=list(FIVE[:4])),
            r"predictions.csv: probability columns that belong to no class: p_surprise",
        ),
        (lambda run: (run / "predictions.csv").unlink(), r"has no predictions.csv; repeat"),
        (spoil_predictions, r"strict figures of results.json are not those of predictions.csv"),
        (
            lambda run: (run / "folds" / "0_000.json").write_text('{"fold": 1'),
            r"0_000.json is damaged",
        ),
        (
            lambda run: (run / "config.yaml").write_bytes(b"\xff\xfe\xff"),
            r"config.yaml is damaged",
        ),
    ],
)
def test_an_incomplete_run_is_refused(run, spoil, message):
    spoil(run)
    with pytest.raises(RunError, match=message):
        write_report(run)
    with pytest.raises(RunError, match=message):
        compare_runs([run])
