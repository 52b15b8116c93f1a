"""Runs calls on a Ray cluster: https://docs.ray.io, Ray Core's tasks and objects."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import mersynth
import recognizers
from mersynth.config import ConfigError
from recognizers.executors.base import (
    ExecutorError,
    R,
    apply_logging_levels,
    available_cores,
    check_number,
    environment,
    logging_levels,
    portable,
    torch_threads,
)

logger = logging.getLogger(__name__)


class RayExecutor:
    """Runs calls as Ray tasks, on this machine or on many.

    A call whose worker is lost (a machine that went away, a process killed) runs again. Shared
    values are stored once in the object store of each machine. Workers log to standard error.

    If a run ends early, calls already handed over (up to twice as many as there is room for) still
    run until the connection to Ray ends. A connection that existed before stays open; end these
    calls with ``ray.shutdown()``.

    On an existing cluster, workers get this package's code from here; its dependencies must be
    installed there, with the same version of Python. If this process is already connected to Ray,
    ``address=None`` uses that connection as it is and leaves it open.

    Args:
        address: address of a cluster, such as ``"auto"`` (the one running on this machine) or
            ``"ray://host:10001"``; None: a new Ray on this machine's cores, shut down at the end.
        num_cpus: cores that a call occupies, above 0; fractions are allowed.
        num_gpus: GPUs that a call occupies; with a fraction, several calls share one. With 0 a
            call should compute on the CPU.
        threads: threads of torch's operations, in each call.
        retries: how often a call whose worker was lost runs again.

    Raises:
        ConfigError: if a value is out of its range.
    """

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        threads: int = 1,
        retries: int = 3,
    ) -> None:
        if address is not None and not (isinstance(address, str) and address):
            raise ConfigError(
                f'executor.address must be null or an address such as "auto" or '
                f'"ray://host:10001", got {address!r}'
            )
        check_number("num_cpus", num_cpus, 0, whole=False)
        if num_cpus == 0:
            raise ConfigError(
                "executor.num_cpus must be above 0, got 0: all calls would run at once"
            )
        check_number("num_gpus", num_gpus, 0, whole=False)
        check_number("threads", threads, 1)
        check_number("retries", retries, 0)
        self.address = address
        self.threads = threads
        self._needs = {"CPU": num_cpus, "GPU": num_gpus}
        self._retries = retries
        self._ray: ModuleType | None = None
        self._connected_here = False
        self._runs: list[Generator[Any, None, None]] = []

    def __enter__(self) -> Self:
        if self._ray is not None:
            raise ExecutorError("the executor is entered already")
        self._ray = ray = _import_ray()
        self._connected_here = not ray.is_initialized()
        try:
            if self._connected_here:
                _connect(ray, self.address, self.threads)
            elif self.address is not None:
                raise ExecutorError(
                    f"this process is already connected to Ray, but not to {self.address!r}: use "
                    "executor.address=null, or call ray.shutdown() first"
                )
            self._check_room(ray)
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while self._runs:
                self._runs.pop().close()
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        ray, self._ray = self._ray, None
        if ray is not None and self._connected_here and ray.is_initialized():
            ray.shutdown()

    def _entered(self) -> ModuleType:
        if self._ray is None:
            raise ExecutorError("use the executor in a with statement")
        return self._ray

    def _check_room(self, ray: ModuleType) -> None:
        """Refuse a call that no machine has room for, which would wait for ever."""
        if self._room(ray):
            return
        has = {name: ray.cluster_resources().get(name, 0.0) for name in self._needs}
        message = f"a call needs {_listed(self._needs)}, Ray has {_listed(has)}"
        if self.address is None:
            raise ExecutorError(f"{message}: change executor.num_cpus or executor.num_gpus")
        logger.warning("%s: calls wait until the cluster grows", message)

    def _room(self, ray: ModuleType) -> int:
        """Number of calls that the cluster has room for."""
        has = ray.cluster_resources()
        room = [has.get(name, 0.0) / need for name, need in self._needs.items() if need]
        return int(min(room) + 1e-6)  # 0.3 / 0.1 is less than 3

    @property
    def at_once(self) -> int:
        """See :attr:`Executor.at_once`."""
        return max(1, self._room(self._entered()))

    def share(self, value: Any) -> Any:
        """See :meth:`Executor.share`."""
        ray = self._entered()
        try:
            return ray.put(value)
        except (TypeError, ray.exceptions.RayError) as error:
            raise ExecutorError(f"a {type(value).__name__} cannot be shared: {error}") from error

    def run(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        """See :meth:`Executor.run`."""
        results = self._results(self._entered(), function, calls)
        self._runs.append(results)
        return results

    def _results(
        self, ray: ModuleType, function: Callable[..., R], calls: Sequence[tuple[Any, ...]]
    ) -> Generator[tuple[int, R], None, None]:
        task = ray.remote(_call).options(
            num_cpus=self._needs["CPU"], num_gpus=self._needs["GPU"], max_retries=self._retries
        )
        levels = logging_levels()
        to_come = iter(enumerate(calls))
        running: dict[Any, int] = {}
        # At an early end nothing is cancelled: ray.cancel of a call that is just ending can abort
        # this process ("Tried to complete task that was not pending", seen with Ray 2.60; the race
        # is described in https://github.com/ray-project/ray/pull/54785).
        while True:
            # Twice as many as there is room for: no worker waits for this process, and a cluster
            # that can grow sees the demand.
            free = max(1, 2 * self._room(ray)) - len(running)
            for position, arguments in islice(to_come, max(0, free)):
                reference = task.remote(function, self.threads, levels, *arguments)
                running[reference] = position
            if not running:
                return
            (reference, *_), _ = ray.wait(list(running), num_returns=1)
            result = _get(ray, reference, running[reference])
            yield running.pop(reference), result


def _get(ray: ModuleType, reference: Any, position: int) -> Any:
    """The result of a call that ended; raises its exception with its own type."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # Ray raises a class derived from the original's; the traceback is in the text.
        if not isinstance(error.cause, Exception):
            raise ExecutorError(f"call {position} failed: {error}") from error
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise ExecutorError(
            f"the worker of call {position} was lost ({type(error).__name__}: {error}); finished "
            "results were kept; repeat the command to compute the missing ones"
        ) from error


def _call(function: Callable[..., R], threads: int, levels: dict[str, int], *arguments: Any) -> R:
    """Runs in a worker; Ray has replaced shared arguments by their values."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    apply_logging_levels(levels)
    try:
        with torch_threads(threads):
            return function(*arguments)
    except Exception as error:
        safe = portable(error)
        if safe is error:
            raise
        raise safe from None


def _import_ray() -> ModuleType:
    try:
        # Ray reads it on import, and would drop log lines that look alike, such as those of folds.
        with environment(RAY_DEDUP_LOGS="0"):
            import ray
    except ImportError as error:
        raise ExecutorError(
            f"executor=ray needs Ray ({error}): pip install 'mersynth[ray]', or use executor=local"
        ) from error
    return ray


def _connect(ray: ModuleType, address: str | None, threads: int) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": True}
    variables = {"OMP_NUM_THREADS": str(threads)}
    if address is None:
        with environment(RAY_USAGE_STATS_ENABLED="0", **variables):
            # "local": without it Ray would join a cluster that runs on this machine.
            ray.init("local", num_cpus=available_cores(), include_dashboard=False, **quiet)
        return
    packages = [str(Path(str(module.__file__)).parent) for module in (mersynth, recognizers)]
    code = {"py_modules": packages, "excludes": ["__pycache__"], "env_vars": variables}
    try:
        ray.init(address, runtime_env=code, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ExecutorError(
            f"no Ray cluster answers at executor.address={address!r} ({error}); `ray start --head` "
            "starts one on this machine; executor.address=null needs none. A cluster with token "
            "authentication also needs RAY_AUTH_MODE=token here"
        ) from error


def _listed(resources: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in resources.items())
