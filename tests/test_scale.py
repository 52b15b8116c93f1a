"""The scripts that spread work over machines: what they submit, and what it does."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from recognizers.models import list_models
from tests.script_modules import run_script

LOSO = ["--", "recognizers", "loso", "--model", "{model}", "--seeds", 5, "--out", "runs/x {model}"]


def _path(folder: Path) -> str:
    """The shell's own tools and those in a folder, without SLURM's."""
    return os.pathsep.join([str(folder), "/usr/bin", "/bin"])


def test_without_slurm_the_jobs_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run_script("submit_slurm", "--shards", 5, "--models", "all", *LOSO)
    assert ran.code == 0
    assert ran.stdout.count("#!/bin/bash") == 2
    assert f"--array=0-{5 * len(list_models()) - 1}\n" in ran.stdout
    assert f"--array=0-{len(list_models()) - 1}\n" in ran.stdout
    assert "--dependency=afterok" in ran.stdout


def test_jobs_of_an_array_do_each_share_of_each_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "sbatch", 'cat > "$0.$#"; echo "$@" >> "$0.told"; echo "7;cluster"')
    _program(tmp_path / "recognizers", 'echo "$OMP_NUM_THREADS $*"')
    monkeypatch.setenv("PATH", _path(tmp_path))
    options = ["--shards", 2, "--models", "mmnet", "ststnet", "--sbatch", "--mem=8G --time=1:00:00"]
    assert run_script("submit_slurm", *options, "--threads", 3, *LOSO).code == 0
    told = (tmp_path / "sbatch.told").read_text().splitlines()
    assert told == ["--parsable", "--parsable --dependency=afterok:7"]
    share, join = (tmp_path / f"sbatch.{i}" for i in (1, 2))
    assert "#SBATCH --mem=8G\n#SBATCH --time=1:00:00\n" in share.read_text()
    command = "3 loso --model {0} --seeds 5 --out runs/x {0}"
    assert _run(share, 4) == [
        f"{command.format(model)} --shard {i}/2" for model in ("mmnet", "ststnet") for i in (1, 2)
    ]
    assert _run(join, 2) == [command.format(model) for model in ("mmnet", "ststnet")]


def test_a_store_needs_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "sbatch", 'cat > "$0.$#"; echo 7')
    _program(tmp_path / "mersynth", 'echo "$*"')
    monkeypatch.setenv("PATH", _path(tmp_path))
    words = ["generate", "--per-class", "9", "--resume"]
    assert run_script("submit_slurm", "--shards", 3, "--", "mersynth", *words).code == 0
    shares = _run(tmp_path / "sbatch.1", 3)
    assert shares == [f"generate --per-class 9 --resume --shard {i}/3" for i in (1, 2, 3)]
    assert _run(tmp_path / "sbatch.2", 1) == ["generate --per-class 9 --resume"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shards", 0, "--", "mersynth"], "--shards 1 or more"),
        (["--shards", 2], "after -- the command"),
        (["--shards", 2, "--models", "mmnet", "--", "recognizers", "loso"], "belong together"),
        (["--shards", 2, *LOSO], "belong together"),
    ],
)
def test_what_does_not_fit_is_refused(options: list[object], said: str) -> None:
    ran = run_script("submit_slurm", *options)
    assert ran.code == 2
    assert said in ran.stderr


def test_slurms_own_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "sbatch", 'echo "no such partition" >&2; exit 1')
    monkeypatch.setenv("PATH", _path(tmp_path))
    ran = run_script("submit_slurm", "--shards", 1, "--", "mersynth", "generate")
    assert ran.code == 1
    assert "no such partition" in ran.stderr


def _program(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _run(script: Path, jobs: int) -> list[str]:
    """What the jobs of an array print; it has no more of them."""
    assert f"#SBATCH --array=0-{jobs - 1}\n" in script.read_text()
    return [
        subprocess.run(
            ["bash", str(script)],
            env=os.environ | {"SLURM_ARRAY_TASK_ID": str(i)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for i in range(jobs)
    ]
