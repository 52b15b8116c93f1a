"""Whole runs in which a person, a clip or a data set has two names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mersynth.store.names import NamesError
from recognizers.cli import app
from recognizers.evaluation.prediction_checks import check_same_clips
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.evaluate import evaluate
from recognizers.explain.opening import OpenedRun
from recognizers.runs import RunError
from tests.recognizers.data.tiny_features import synthetic, write
from tests.recognizers.experiment.tiny_experiment import QUICK, request, results

pytestmark = pytest.mark.usefixtures("hear")

ONCE = "model.training.epochs=1"
PAIRS = [
    "people of samm: '006' ({0}/real.npz), '6' ({0}/other.npz)",
    "people of samm: '007' ({0}/real.npz), '7' ({0}/other.npz)",
]


@pytest.fixture(name="real", scope="module")
def _real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subjects 006 and 007, twelve clips of each."""
    names = np.repeat(["006", "007"], 12)
    return write(tmp_path_factory.mktemp("names") / "real.npz", people=2, each=12, subject=names)


@pytest.fixture(name="other", scope="module")
def _other(real: Path) -> Path:
    """Other clips of the same people, and of 008, as numbers: what pandas makes of them."""
    numbers = np.repeat([6, 7, 8], 4)
    clips = [f"later{i}" for i in range(12)]
    path = real.parent / "other.npz"
    return write(path, people=3, each=4, seed=3, subject=numbers, clip=clips)


def test_a_person_of_two_spellings_is_refused(real: Path, other: Path, tmp_path: Path) -> None:
    for role in ({"mix": [other]}, {"pretrain": [other]}):
        with pytest.raises(NamesError) as caught:
            evaluate(request(real, ONCE, **role), tmp_path / "r")
        assert [str(each) for each in caught.value.alike] == [
            line.format(real.parent) for line in PAIRS
        ]
    for options in ({"split": "cross", "test": [other]}, {"split": "lovo"}):
        data = real if "test" in options else [real, other]
        with pytest.raises(NamesError, match=r"'006' .*, '6' "):
            evaluate(request(data, ONCE, **options), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_joined_the_guard_keeps_the_person_out_of_the_fold(
    real: Path, other: Path, tmp_path: Path
) -> None:
    run = evaluate(request(real, ONCE, mix=[other], names="same"), tmp_path / "same")
    told = results(run)
    assert [(f["name"], f["mixed"]) for f in told["folds"]] == [("samm/006", 8), ("samm/007", 8)]
    assert {clip.split("/")[1] for clip in Predictions.from_csv(run / "predictions.csv").clips} == {
        "006", "007",
    }  # fmt: skip
    assert told["names"] == "same"
    assert told["alike"] == [line.format(real.parent) for line in PAIRS]
    assert json.loads((run / "run.json").read_text())["names"] == "same"
    assert "joined under the first spelling" in (run / "report.html").read_text()


def test_apart_each_is_a_person(real: Path, other: Path, tmp_path: Path) -> None:
    run = evaluate(request(real, ONCE, mix=[other], names="distinct"), tmp_path / "d")
    assert [fold["mixed"] for fold in results(run)["folds"]] == [12, 12]
    # only the same choice continues a stopped run
    with pytest.raises(RunError, match=r"another run: .*names was 'distinct', is 'same'"):
        evaluate(request(real, ONCE, mix=[other], names="same"), run)
    with pytest.raises(NamesError):
        evaluate(request(real, ONCE, mix=[other]), run)


def test_published_habits_leave_them_apart_and_say_so(
    real: Path, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = results(evaluate(request(real, ONCE, mix=[other], protocol="paper"), tmp_path / "p"))
    assert told["marked"][-1] == "2 names of people or clips look alike and were left apart"
    assert "names look alike" in caplog.text


def test_provenance_of_synthetic_clips(real: Path, tmp_path: Path) -> None:
    """Faces, templates and unseen people of a generation whose table had lost its zeros."""
    groups = [["samm/6"], ["samm/7"], ["samm/9"]]
    made = synthetic(tmp_path / "made.npz", groups)
    with pytest.raises(NamesError, match=r"'006' .*, '6' .*made.npz, .*template, .*unseen"):
        evaluate(request(real, ONCE, mix=[made]), tmp_path / "r")
    told = results(evaluate(request(real, ONCE, mix=[made], names="same"), tmp_path / "r"))
    # of each generator's nine clips, those that neither show nor follow the person tested
    assert [fold["mixed"] for fold in told["folds"]] == [9, 9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": np.repeat(["1", "01", "2"], 5)}, "people of samm: '1' .*, '01' "),
        ({"dataset": ["CASME2"] * 10 + ["casme2"] * 5}, "data sets: 'CASME2' .*, 'casme2' "),
        (
            {"subject": ["1"] * 10 + ["2"] * 5, "clip": ["1", "01", *map(str, range(2, 15))]},
            "clips of samm/1: '1' .*, '01' ",
        ),
    ],
)
def test_one_file_alone(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "samm.npz", people=3, **changes)
    with pytest.raises(NamesError, match=message):
        evaluate(request(path, ONCE), tmp_path / "r")


def test_joined_people_share_a_fold(tmp_path: Path) -> None:
    path = write(tmp_path / "samm.npz", people=3, subject=np.repeat(["1", "01", "2"], 5))
    run = evaluate(request(path, ONCE, "keep_weights=true", names="same"), tmp_path / "r")
    assert [(f["name"], f["test"]) for f in results(run)["folds"]] == [
        ("samm/1", 10),
        ("samm/2", 5),
    ]
    opened = OpenedRun(run)  # joins them again, as the run did
    assert opened.tested == [clip.id for clip in opened.clips.clips]
    assert "--same-person" in json.loads((run / "run.json").read_text())["command"]


def test_a_clip_given_twice_under_two_names(tmp_path: Path) -> None:
    path = write(tmp_path / "samm.npz", people=2, clip=["1", "01", *map(str, range(2, 10))])
    with pytest.raises(NamesError, match="samm/00/1 and samm/00/01 are one clip once"):
        evaluate(request(path, ONCE, names="same"), tmp_path / "r")


def test_the_command(real: Path, other: Path, tmp_path: Path) -> None:
    words = ["loso", "--model", "ststnet_tiny", "--data", real, "--mix", other]
    words += ["--out", tmp_path / "r", *QUICK[:2], ONCE]

    def call(*more: str) -> Any:
        return CliRunner().invoke(app, [str(word) for word in (*words, *more)])

    refused = call()
    assert refused.exit_code == 1
    assert "'006'" in refused.output
    assert "--same-person" in refused.output
    assert call("--same-person", "--distinct").exit_code == 2
    done = call("--same-person")
    assert done.exit_code == 0, done.output
    assert results(tmp_path / "r")["names"] == "same"


def test_runs_that_spell_clips_differently_are_reported() -> None:
    one = {("samm", "006", "a"): "x", ("samm", "007", "b"): "x"}
    other = {("samm", "6", "a"): "x", ("samm", "007", "b"): "x"}
    with pytest.raises(ValueError, match="1 of them differ only in spelling, such as samm/006/a"):
        check_same_clips(one, other, ("the run", "the baseline"))
