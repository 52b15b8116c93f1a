"""A run's files: written and read by the same types, refused where damaged or incomplete."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import recognizers.experiment.evaluate as experiment
from recognizers.cli import app
from recognizers.experiment.evaluate import evaluate
from recognizers.explain import explain
from recognizers.report import compare_runs, write_report
from recognizers.runs import RunError
from recognizers.runs.files import read, write
from recognizers.runs.records import Epoch, FoldRecord, PretrainingRecord, Record, Results
from tests.recognizers.experiment.tiny_experiment import request
from tests.recognizers.report.tiny_run import write_tiny_run

FOLD = FoldRecord(
    fold="samm/00",
    seed=0,
    seconds=1.5,
    epoch=2,
    oracle_epoch=1,
    curve=(Epoch(1, 1.25, 0.5, 0.01, 1.0), Epoch(2, 1.0, 0.5, 0.01, 0.0)),
    clips=("samm/00/a", "samm/00/b"),
    probabilities=((0.1, 0.9), (1 / 3, 2 / 3)),
    oracle_probabilities=((0.2, 0.8), (0.5, 0.5)),
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "fold.json", FOLD)
    assert read(tmp_path / "fold.json", FoldRecord) == FOLD
    results = read(write_tiny_run(tmp_path / "run") / "results.json", Results)
    before = (tmp_path / "run" / "results.json").read_bytes()
    write(tmp_path / "run" / "results.json", results)
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    file = tmp_path / "pretrained.json"
    write(file, PretrainingRecord(0, 0, 1.0, (Epoch(1, math.nan, 0.5, None),), "ab"))
    (epoch,) = json.loads(file.read_text())["curve"]
    assert (epoch["loss"], epoch["learning_rate"], epoch["test_accuracy"]) == (None, None, None)
    assert read(file, PretrainingRecord).curve == (Epoch(1, None, 0.5, None),)


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    before = read(run / "results.json", Results)
    content = json.loads((run / "results.json").read_text())
    content["model"]["birthday"] = "tomorrow"
    (run / "results.json").write_text(json.dumps(content | {"later": 1}))
    assert read(run / "results.json", Results) == before


def edited(*keys: str | int, to: Any) -> Callable[[str], str]:
    """Replace a part of a JSON text."""

    def edit(text: str) -> str:
        content = part = json.loads(text)
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = to
        return json.dumps(content)

    return edit


@pytest.mark.parametrize(
    ("kind", "damage", "message"),
    [
        (Results, lambda text: text[: len(text) // 2], "truncated"),
        (Results, lambda text: "", "truncated"),
        (Results, lambda text: text.replace("754.3", "NaN"), r"malformed: .*\(byte \d+\)"),
        (Results, lambda text: "[]", "Expected `object`, got `array`"),
        (Results, edited("seconds", to=-1), "seconds is -1: Expected `float` >= 0"),
        (Results, edited("device", to=3), "device is 3: Expected `str`, got `int`"),
        (Results, edited("folds", 1, "train", to=-2), r"folds\[1\]\.train is -2: .* >= 0"),
        (
            Results,
            edited("folds", 1, "train", to=True),
            r"folds\[1\]\.train is True: .* `int`",
        ),
        (
            Results,
            edited("folds", 0, "tested", to="all"),
            r"folds\[0\]\.tested is 'all': .*array",
        ),
        (Results, edited("data", 0, to={}), r"required field `path` in data\[0\]"),
        (
            Results,
            edited("data", 0, "classes", "anger", to=-1),
            r">= 0 in data\[0\]\.classes\[",
        ),
        (
            Results,
            edited("strict", "Full", "mean", "uf1", to=1.5),
            r"<= 1\.0 in strict\[\.+\]\.me",
        ),
        (
            Results,
            edited("intervals", "strict", "uf1", "samples", to=-5),
            r"intervals\.strict\.uf1\.samples is -5: Expected `int` >= 1",
        ),
        (Results, edited("split", to="loo"), "split is 'loo': it must be one of loso, lovo, cde,"),
        (Results, edited("oracle", to=None), None),
        (FoldRecord, edited("epoch", to=0), "epoch is 0: Expected `int` >= 1"),
        (FoldRecord, edited("clips", to=["a"]), "probabilities has 2 rows for 1 clips"),
        (FoldRecord, edited("probabilities", 0, to=[0.3, 0.7]), "its checksum is not that of its"),
        (FoldRecord, edited("checksum", to=None), "its checksum is not that of its content"),
    ],
)
def test_damage_is_named_with_its_place(
    tmp_path: Path, kind: type[Record], damage: Callable[[str], str], message: str | None
) -> None:
    file = tmp_path / "run" / "results.json"
    if kind is Results:
        write_tiny_run(tmp_path / "run", seeds=1)
    else:
        file = tmp_path / "fold.json"
        write(file, FOLD)
    file.write_text(damage(file.read_text()))
    if message is None:  # a run may have no oracle
        assert read(file, kind)
        return
    with pytest.raises(RunError, match=message) as raised:
        read(file, kind)
    assert str(raised.value).startswith(f"{file} is damaged (")
    assert "remove it and repeat the command that made the run" in str(raised.value)


def test_a_file_that_is_not_text_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "fold.json").write_bytes(b'{"fold": "\xff\xfe"}')
    with pytest.raises(RunError, match=r"fold\.json is damaged \(.*[Uu][Tt][Ff]-8"):
        read(tmp_path / "fold.json", FoldRecord)


class Stopped(Exception):
    pass


@pytest.fixture(name="stopped")
def _stopped(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three groups, stopped after two."""
    real, ended = experiment.train_folds, []

    def train_folds(*args: Any) -> Any:
        if len(ended) == 2:
            raise Stopped
        ended.append(args)
        return real(*args)

    monkeypatch.setattr(experiment, "train_folds", train_folds)
    with pytest.raises(Stopped):
        evaluate(request(data, groups=3), tmp_path / "a run")
    monkeypatch.undo()
    return tmp_path / "a run"


def test_an_interrupted_run_is_recognised_and_goes_on(stopped: Path, data: Path) -> None:
    told = r"a run is not a finished run: .* 2 folds had ended, of 3 per seed; this command conti"
    for look in (write_report, lambda run: compare_runs([run]), lambda run: explain(run, "tsne")):
        with pytest.raises(RunError, match=told) as raised:
            look(stopped)
    with pytest.raises(RunError, match=rf"holds another run: training\.epochs was 6.*\n.*{told}"):
        evaluate(request(data, "model.training.epochs=3", groups=3), stopped)
    words = shlex.split(str(raised.value).splitlines()[-1])
    assert words[0] == "recognizers"
    first = (stopped / "folds" / "0_0000.json").read_bytes()
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    assert (stopped / "folds" / "0_0000.json").read_bytes() == first
    assert len(compare_runs([stopped]).ranked) == 1


def test_records_of_other_folds_are_not_continued_with(stopped: Path, data: Path) -> None:
    one, other = (stopped / "folds" / f"0_000{number}.json" for number in (0, 1))
    content = one.read_text()
    one.write_text(other.read_text())
    other.write_text(content)
    with pytest.raises(RunError, match=r"0_0000\.json is not that of fold .* of fold .*remove it"):
        evaluate(request(data, groups=3), stopped)


def test_folds_without_the_file_that_names_their_run(stopped: Path, data: Path) -> None:
    (stopped / "run.json").unlink()
    told = (
        r"a run holds 2 folds of a run that it does not name: it has no run\.json; choose another"
    )
    for look in (
        write_report,
        lambda run: compare_runs([run]),
        lambda run: explain(run, "tsne"),
        lambda run: evaluate(request(data, groups=3), run),
    ):
        with pytest.raises(RunError, match=told):
            look(stopped)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match=r"is not a run: it has no run\.json; choose another folder"):
        write_report(tmp_path)
