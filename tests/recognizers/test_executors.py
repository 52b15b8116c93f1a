"""Executors: the same calls here, in processes of this machine and on Ray."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mersynth import config
from mersynth.config import ConfigError
from recognizers.executors import Executor, ExecutorError, make_executor

REPOSITORY = Path(__file__).parents[2]
ONE = {"name": "local", "workers": 1, "threads": 1}
TWO = {"name": "local", "workers": 2, "threads": 1}
TIMEOUT = 60.0  # seconds until a call that waits in vain gives up

logger = logging.getLogger("recognizers.fold")
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: mersynth[ray]"
)


@dataclass(frozen=True, slots=True)
class Clips:
    inputs: dict[str, np.ndarray]
    names: tuple[str, ...]


class OddError(Exception):
    """Cannot be made anew from its arguments, as unpickling wants to."""

    def __init__(self, fold: int, reason: str) -> None:
        super().__init__(f"fold {fold}: {reason}")


CLIPS = Clips({"apex": np.arange(300_000, dtype=np.float32).reshape(100, -1)}, ("a", "b"))


def train(clips: Clips, rows: list[int], seed: int) -> tuple[float, str]:
    import torch  # late: most workers need not wait for it

    x = torch.from_numpy(clips.inputs["apex"][rows])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return float(((x / 3e5 + noise) @ noise.T).sum()), clips.names[0]


CALLS = [([0, 5], 1), ([7], 2), ([99, 1, 2], 3)]


def describe(clips: Clips) -> dict[str, Any]:
    import torch

    array = clips.inputs["apex"]
    return {
        "file": str(getattr(array, "filename", "")),
        "address": array.__array_interface__["data"][0],
        "writable": array.flags.writeable,
        "sum": float(array.sum()),
        "process": os.getpid(),
        "threads": torch.get_num_threads(),
        "omp": os.environ.get("OMP_NUM_THREADS"),
    }


def wait_for(path: Path) -> str:
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)
    return path.name


def mark(path: Path) -> str:
    path.touch()
    return path.name


def fail(path: Path) -> None:
    wait_for(path)
    raise FileNotFoundError(2, "no such fold", "fold.npz")


def fail_oddly() -> None:
    raise OddError(3, "no clips")


def return_a_lock() -> Any:
    return threading.Lock()


def die(path: Path) -> None:
    wait_for(path)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(path: Path, value: int) -> int:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def log(fold: int) -> int:
    logger.info("fold %d: begun", fold)
    logger.debug("fold %d: not of interest", fold)
    logging.getLogger("mersynth").warning("fold %d: %s", fold, "few clips")
    return fold


def act(function: Any, *arguments: Any) -> Any:
    """So that calls of one run do different things."""
    return function(*arguments)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files, of each test its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def results_of_training(executor: Executor) -> dict[int, tuple[float, str]]:
    clips = executor.share(CLIPS)
    return dict(executor.run(train, [(clips, *call) for call in CALLS]))


def expected() -> dict[int, tuple[float, str]]:
    return {i: train(CLIPS, *call) for i, call in enumerate(CALLS)}


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


def test_what_cannot_travel_between_processes_is_named() -> None:
    with make_executor(TWO) as executor:
        with pytest.raises(ExecutorError, match="OddError: fold 3: no clips"):
            list(executor.run(fail_oddly, [(), ()]))
        with pytest.raises(ExecutorError, match="result of type lock cannot be sent"):
            list(executor.run(return_a_lock, [(), ()]))
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
        "from tests.recognizers.test_executors import act\n"
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
    "from tests.recognizers.test_executors import CLIPS, wait_and_tell\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "with make_executor({'name': 'local', 'workers': 2}) as executor:\n"
    "    clips = executor.share(CLIPS)\n"
    "    list(executor.run(wait_and_tell, [(folder, 0, clips), (folder, 1, clips)]))\n"
)


def wait_and_tell(folder: Path, number: int, clips: Clips) -> None:
    (folder / f"{number}.tmp").write_text(str(os.getpid()))
    (folder / f"{number}.tmp").rename(folder / f"{number}.pid")
    wait_for(folder / "never")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # a zombie that nobody waited for has ended
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
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


@pytest.fixture(scope="module", name="on_ray")
def _on_ray() -> Iterator[Executor]:
    # Ray may hand a worker two calls: when one kills it, the other loses a try as well.
    with make_executor({"name": "ray", "num_cpus": 0.5, "retries": 2}) as executor:
        yield executor


@needs_ray
def test_ray_gives_the_same_results(on_ray: Executor) -> None:
    assert results_of_training(on_ray) == expected()


@needs_ray
def test_ray_yields_results_as_they_end_and_copies_nothing_shared(
    on_ray: Executor, tmp_path: Path
) -> None:
    calls = [(wait_for, tmp_path / "go"), (describe, on_ray.share(CLIPS)), (mark, tmp_path / "x")]
    results = on_ray.run(act, calls)
    told = dict([next(results), next(results)])
    (tmp_path / "go").touch()
    assert list(results) == [(0, "go")]
    assert told[2] == "x"
    assert not told[1]["writable"]  # lies in the object store
    assert told[1]["threads"] == 1
    assert told[1]["process"] != os.getpid()


@needs_ray
def test_exceptions_arrive_from_ray_as_themselves(on_ray: Executor, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(FileNotFoundError, match="no such fold") as caught:
        list(on_ray.run(fail, [(tmp_path / "go",)] * 3))
    assert type(caught.value) is FileNotFoundError
    assert caught.value.filename == "fold.npz"
    with pytest.raises(ExecutorError, match="OddError: fold 3: no clips"):
        list(on_ray.run(fail_oddly, [()]))


@needs_ray
def test_ray_runs_a_call_again_whose_worker_was_lost(on_ray: Executor, tmp_path: Path) -> None:
    calls = [(tmp_path / "a", 1), (tmp_path / "b", 2)]
    assert sorted(on_ray.run(die_once, calls)) == [(0, 1), (1, 2)]


@needs_ray
def test_ray_names_the_call_whose_worker_is_lost_every_time(
    on_ray: Executor, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(ExecutorError, match=r"worker of call 0 was lost .*repeat the command"):
        list(on_ray.run(die, [(tmp_path / "go",)]))


@needs_ray
def test_ray_refuses_what_would_wait_for_ever(on_ray: Executor) -> None:
    with (
        pytest.raises(ExecutorError, match=r"needs 1e\+06 CPU, 0 GPU, Ray has"),
        make_executor({"name": "ray", "num_cpus": 1e6}),
    ):
        pass
    with (
        pytest.raises(ExecutorError, match="connected to Ray already, so not to 'auto'"),
        make_executor({"name": "ray", "address": "auto"}),
    ):
        pass
    assert list(on_ray.run(divmod, [(7, 2)])) == [(0, (3, 1))]  # still connected
