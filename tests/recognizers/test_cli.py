"""The ``recognizers`` command as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recognizers.cli import app
from recognizers.models import list_models
from tests.recognizers.data.tiny_features import write

QUICK = ["executor.workers=1", "model.options.image_size=8", "model.training.epochs=2"]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(name="data")
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "samm.npz")


def test_a_run_and_its_report(data: Path) -> None:
    done = call("loso", "--model", "ststnet_tiny", "--data", data, *QUICK)
    assert done.exit_code == 0, done.output
    assert "LOSO" in done.output
    assert "oracle, not a result" in done.output
    run = Path("runs/loso_ststnet_tiny_samm")
    assert json.loads((run / "results.json").read_text())["split"] == "loso"
    (run / "report.html").unlink()
    other = call("loso", "--model", "ststnet_tiny", "--data", data, "--out", "b", *QUICK)
    assert other.exit_code == 0, other.output
    assert call("report", run).exit_code == 0
    assert (run / "report.html").exists()
    compared = call("report", run, "b", "--out", "page.html")
    assert compared.exit_code == 0, compared.output
    assert Path("page.html").exists()


def test_shares_of_a_run_and_its_estimate(data: Path) -> None:
    command = ["loso", "--model", "ststnet_tiny", "--data", data, "--out", "b", *QUICK]
    told = call(*command, "--estimate")
    assert told.exit_code == 0, told.output
    assert "6 folds at" in told.output
    assert not Path("b").exists()
    for number in (1, 2):
        done = call(*command, "--shard", f"{number}/2")
        assert done.exit_code == 0, done.output
        assert "LOSO" not in done.output
    assert len(list(Path("b/folds").glob("*.json"))) == 6
    assert "LOSO" in call(*command).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loso", "--model", "ststnet_tiny"], "give the clips: a store .*or a feature file"),
        (
            ["loso", "--model", "nobody", "--data", "samm.npz"],
            "there is no model 'nobody'; `recognizers list`",
        ),
        (["loso", "--model", "ststnet_tiny", "--data", "none.npz"], "no file none.npz"),
        (["loso", "--model", "ststnet_tiny", "--store", "none"], "no store at none"),
        (["cde", "--model", "ststnet_tiny", "--data", "samm.npz", *QUICK], "2 or more databases"),
        (["report", "nowhere"], "nowhere"),
        (["loso", "--model", "ststnet_tiny", "--shard", "x"], "--shard must look like 3/8"),
    ],
)
def test_mistakes_are_told_in_a_line(data: Path, arguments: list[str], message: str) -> None:
    done = call(*arguments)
    assert done.exit_code in (1, 2)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert re.search(message, done.output), done.output


def test_the_list_has_a_line_a_system_within_80_columns() -> None:
    done = call("list")
    assert done.exit_code == 0, done.output
    head, *lines = done.output.splitlines()
    assert re.fullmatch(r"system +paper +reads +parameters", head)
    assert [line.split()[0] for line in lines] == list_models()
    assert all(re.search(r" (19|20)\d\d ", line) for line in lines)
    assert max(map(len, lines)) <= 80
    (frl_dgt,) = (line for line in lines if line.startswith("frl_dgt "))
    assert re.fullmatch(
        r"frl_dgt +Zhai et al\. 2023 +onset, apex and 4 more +28\.4 M", frl_dgt.strip()
    )
    assert "Zhao, Pietikainen 2007" in done.output


def test_the_list_tells_all_about_one_system() -> None:
    done = call("list", "ststnet")
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    for part in (
        "Liong, Gan, See, Khor, Huang: Shallow Triple Stream Three-dimensional CNN (STSTNet)",
        "flow_strain: flow_strain, 3 x 28 x 28 (u, v, strain), no bounds",
        "parameters 1,683 multiply-adds 339,888 (one clip, forward)",
        'recognizers.load_published("ststnet", FILE, NUM_CLASSES)',
        "model.options image_size=28 padding=1 dropout=0.5",
    ):
        assert part in words
    assert "published weights no" in " ".join(call("list", "dssn").output.split())
    wrong = call("list", "ststnett")
    assert wrong.exit_code == 2
    assert "no system 'ststnett'; `recognizers list` shows them: au_gacn, " in wrong.output
