"""The executor on Ray: the same calls as locally."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recognizers.executors import Executor, ExecutorError, make_executor
from tests.recognizers.executors.executor_calls import (
    CLIPS,
    act,
    die,
    die_once,
    expected,
    fail,
    fail_oddly,
    mark,
    results_of_training,
    wait_for,
)
from tests.recognizers.executors.executor_torch_call import describe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed: mersynth[ray]"
    ),
]


@pytest.fixture(scope="module", name="on_ray")
def _on_ray() -> Iterator[Executor]:
    # One retry more than a call of these tests needs: one was too few once on a busy machine, in a
    # way that could not be brought about again.
    with make_executor({"name": "ray", "num_cpus": 0.5, "retries": 2}) as executor:
        yield executor


def test_ray_gives_the_same_results(on_ray: Executor) -> None:
    assert results_of_training(on_ray) == expected()


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


def test_a_run_on_ray_that_is_closed_leaves_the_next_its_turn(
    on_ray: Executor, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    results = on_ray.run(wait_for, [(tmp_path / "go",)] * 40)
    assert next(results)[1] == "go"
    results.close()  # type: ignore[attr-defined]
    assert list(on_ray.run(divmod, [(7, 2)])) == [(0, (3, 1))]


def test_exceptions_arrive_from_ray_as_themselves(on_ray: Executor, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(FileNotFoundError, match="no such fold") as caught:
        list(on_ray.run(fail, [(tmp_path / "go",)] * 3))
    assert type(caught.value) is FileNotFoundError
    assert caught.value.filename == "fold.npz"
    with pytest.raises(ExecutorError, match="OddError: fold 3: no clips"):
        list(on_ray.run(fail_oddly, [()]))


def test_ray_runs_a_call_again_whose_worker_was_lost(on_ray: Executor, tmp_path: Path) -> None:
    calls = [(tmp_path / "a", 1), (tmp_path / "b", 2)]
    assert sorted(on_ray.run(die_once, calls)) == [(0, 1), (1, 2)]


@pytest.mark.slow
def test_ray_names_the_call_whose_worker_is_lost_every_time(
    on_ray: Executor, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(ExecutorError, match=r"worker of call 0 was lost .*repeat the command"):
        list(on_ray.run(die, [(tmp_path / "go",)]))


@pytest.mark.slow
def test_ray_refuses_what_would_wait_for_ever(on_ray: Executor) -> None:
    with (
        pytest.raises(ExecutorError, match=r"needs 1e\+06 CPU, 0 GPU, Ray has"),
        make_executor({"name": "ray", "num_cpus": 1e6}),
    ):
        pass
    with (
        pytest.raises(ExecutorError, match="already connected to Ray, but not to 'auto'"),
        make_executor({"name": "ray", "address": "auto"}),
    ):
        pass
    assert list(on_ray.run(divmod, [(7, 2)])) == [(0, (3, 1))]  # still connected
