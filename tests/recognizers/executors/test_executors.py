"""Executors: the same calls in this process and in others of this machine."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mersynth import config
from mersynth.config import ConfigError
from recognizers.executors import ExecutorError, make_executor
from tests.recognizers.executors.executor_calls import (
    CLIPS,
    TIMEOUT,
    act,
    die,
    expected,
    fail,
    fail_oddly,
    log,
    mark,
    results_of_training,
    return_a_lock,
    wait_for,
)
from tests.recognizers.executors.executor_torch_call import describe

REPOSITORY = Path(__file__).parents[3]
ONE = {"name": "local", "workers": 1, "threads": 1}
TWO = {"name": "local", "workers": 2, "threads": 1}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate folder for temporary files for each test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_workers_yield_what_ends_first_and_share_threads_memory_and_logs(
    tmp_path: Path, temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    caplog.set_level(logging.INFO, "recognizers")
    before = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with make_executor({**TWO, "threads": 3}) as executor:
        clips = executor.share(CLIPS)
        calls = [(wait_for, tmp_path / "go"), (describe, clips), (mark, tmp_path / "x"), (log, 7)]
        results = executor.run(act, calls)
        position, told = next(results)
        assert position == 1
        assert next(results) == (2, "x")
        (tmp_path / "go").touch()  # without which call 0 would not end
        assert sorted(results) == [(0, "go"), (3, 7)]
    assert Path(told["file"]).parent.parent == temporary
    assert told["sum"] == float(CLIPS.inputs["apex"].sum())
    assert not told["writable"]
    assert (told["threads"], told["omp"]) == (3, "3")
    assert told["process"] != os.getpid()
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == before
    logged = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == [
        ("recognizers.fold", "INFO", "fold 7: begun"),
        ("mersynth", "WARNING", "fold 7: few clips"),
    ]


@pytest.mark.parametrize("settings", [ONE, TWO], ids=["one", "two"])
def test_results_do_not_depend_on_the_number_of_workers(
    settings: dict[str, Any], temporary: Path
) -> None:
    with make_executor(settings) as executor:
        assert results_of_training(executor) == expected()
    assert list(temporary.iterdir()) == []


def test_one_worker_is_this_process_and_copies_nothing() -> None:
    import torch

    threads = torch.get_num_threads()
    with make_executor({**ONE, "threads": threads + 1}) as executor:
        results = executor.run(describe, [(executor.share(CLIPS),)] * 2)
        for _, told in results:
            assert torch.get_num_threads() == threads  # between calls, too
            assert told["process"] == os.getpid()
            assert told["threads"] == threads + 1
            assert told["address"] == CLIPS.inputs["apex"].__array_interface__["data"][0]
            assert not told["writable"]
    assert torch.get_num_threads() == threads


def test_there_are_no_more_workers_than_calls() -> None:
    with make_executor({**TWO, "workers": 7}) as executor:
        ((_, told),) = executor.run(describe, [(executor.share(CLIPS),)])
        assert list(executor.run(describe, [])) == []
    assert told["process"] == os.getpid()
    assert not told["writable"]


@pytest.mark.parametrize("settings", [ONE, TWO], ids=["one", "two"])
def test_an_exception_arrives_as_itself_after_results_and_ends_the_rest(
    settings: dict[str, Any], tmp_path: Path, temporary: Path
) -> None:
    late = [(mark, tmp_path / f"late{i}") for i in range(8)]
    calls = [(mark, tmp_path / "first"), (fail, tmp_path / "go"), (wait_for, tmp_path / "never")]
    began = time.monotonic()
    with make_executor(settings) as executor:
        executor.share(CLIPS)
        results = executor.run(act, [*calls, *late])
        assert next(results) == (0, "first")
        (tmp_path / "go").touch()
        with pytest.raises(FileNotFoundError, match="no such fold") as caught:
            list(results)
    assert caught.value.filename == "fold.npz"
    assert time.monotonic() - began < TIMEOUT
    assert not [path for _, path in late if path.exists()]
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_results_and_errors_that_cannot_travel_between_processes_are_named() -> None:
    with make_executor(TWO) as executor:
        with pytest.raises(ExecutorError, match="OddError: fold 3: no clips"):
            list(executor.run(fail_oddly, [(), ()]))
        with pytest.raises(ExecutorError, match="result of type lock cannot be sent"):
            list(executor.run(return_a_lock, [(), ()]))


def test_calls_and_values_that_cannot_travel_between_processes_are_named() -> None:
    with make_executor(TWO) as executor:
        with pytest.raises(ExecutorError, match="top level of a module"):
            executor.run(lambda: 1, [(), ()])
        with pytest.raises(ExecutorError, match="a lock cannot be shared"):
            executor.share(threading.Lock())


def test_a_worker_that_is_killed_is_named_and_results_are_kept(
    tmp_path: Path, temporary: Path
) -> None:
    kept = []

    def keep(results: Iterator[tuple[int, Any]]) -> None:
        for result in results:
            kept.append(result)
            (tmp_path / "go").touch()

    calls = [(mark, tmp_path / "first"), (die, tmp_path / "go"), (wait_for, tmp_path / "never")]
    with make_executor(TWO) as executor:
        executor.share(CLIPS)
        with pytest.raises(ExecutorError, match=r"SIGKILL.*, at call 1\); .*repeat the command"):
            keep(executor.run(act, calls))
    assert kept == [(0, "first")]
    assert list(temporary.iterdir()) == []


def run_program(
    program: str, tmp_path: Path, *arguments: str, **options: Any
) -> subprocess.Popen[str]:
    """A program read from standard input, as a notebook is: with no file for workers to import."""
    process = subprocess.Popen(
        [sys.executable, "-", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore it, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        **options,
    )
    assert process.stdin is not None
    process.stdin.write(program)
    process.stdin.close()
    process.stdin = None
    return process


def test_a_program_from_standard_input_runs_what_can_be_imported(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from recognizers.executors import make_executor, ExecutorError\n"
        "from tests.recognizers.executors.executor_calls import act\n"
        "def own(): pass\n"
        "with make_executor({'name': 'local', 'workers': 2}) as executor:\n"
        "    results = executor.run(act, [(divmod, 7, 2), (divmod, 7, 2), (own,)])\n"
        "    sys.stdout.write(f'{next(results)[1]} ')\n"
        "    try: list(results)\n"
        "    except ExecutorError as error: sys.stdout.write(str(error))\n"
    )
    said, errors = run_program(program, tmp_path).communicate(timeout=TIMEOUT)
    assert said.startswith("(3, 1) a worker cannot import"), errors
    assert "not in a notebook" in said


WAITING = (
    "import pathlib, sys\n"
    "from recognizers.executors import make_executor\n"
    "from tests.recognizers.executors.executor_calls import CLIPS, wait_and_tell\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "with make_executor({'name': 'local', 'workers': 2}) as executor:\n"
    "    clips = executor.share(CLIPS)\n"
    "    list(executor.run(wait_and_tell, [(folder, 0, clips), (folder, 1, clips)]))\n"
)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # a zombie that nobody waited for has ended
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.slow),
    ],
)
def test_workers_end_with_their_parent(by: signal.Signals, tmp_path: Path, temporary: Path) -> None:
    process = run_program(WAITING, tmp_path, str(tmp_path), start_new_session=True)
    for name in ("0.pid", "1.pid"):
        wait_for(tmp_path / name)
    workers = [int((tmp_path / name).read_text()) for name in ("0.pid", "1.pid")]
    if by is signal.SIGINT:
        os.killpg(process.pid, by)  # a terminal sends it to the workers, too
    else:
        process.kill()
    _, errors = process.communicate(timeout=TIMEOUT)
    if by is signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert errors.count("Traceback") == 1, errors
        assert list(temporary.iterdir()) == []
    end = time.monotonic() + TIMEOUT
    while any(map(is_running, workers)):
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "one of local, ray, got None"),
        ({"name": "slurm"}, "one of local, ray, got 'slurm'"),
        ({"name": "local", "worker": 2}, "no setting worker; it has workers, threads"),
        ({"name": "local", "workers": 0}, "workers must be a whole number from 1, got 0"),
        ({"name": "local", "workers": 1.5}, "workers must be a whole number from 1, got 1.5"),
        ({"name": "local", "threads": True}, "threads must be a whole number from 1, got True"),
        ({"name": "ray", "num_cpus": 0}, "num_cpus must be above 0"),
        ({"name": "ray", "num_gpus": -1}, "num_gpus must be a number from 0, got -1"),
        ({"name": "ray", "num_gpus": float("nan")}, "num_gpus must be a number from 0, got nan"),
        ({"name": "ray", "retries": None}, "retries must be a whole number from 0, got None"),
        ({"name": "ray", "address": ""}, 'null or an address such as "auto"'),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_executor(settings)


@pytest.mark.parametrize("name", ["local", "ray"])
def test_shipped_settings_make_an_executor(name: str) -> None:
    from omegaconf import OmegaConf

    settings = OmegaConf.load(config.config_folder() / "executor" / f"{name}.yaml")
    assert settings.name == name
    make_executor(settings)


@pytest.mark.parametrize("name", ["local", "ray"])
def test_an_executor_works_only_while_it_is_entered(name: str) -> None:
    executor = make_executor({"name": name})
    with pytest.raises(ExecutorError, match="with statement"):
        executor.share(1)
    with pytest.raises(ExecutorError, match="with statement"):
        executor.run(mark, [])


def test_without_ray_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match=r"pip install 'mersynth\[ray\]'"):
        make_executor({"name": "ray"}).__enter__()
