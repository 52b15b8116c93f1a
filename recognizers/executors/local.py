"""Runs calls on the cores of this machine, in this process or in several."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mersynth.disk.scratch import scratch_folder
from recognizers.executors import worker
from recognizers.executors.base import (
    ExecutorError,
    R,
    available_cores,
    check_number,
    environment,
    logging_levels,
    torch_threads,
)

# For glibc: keep memory that a batch has freed for the next one, in blocks of up to 32 MB, and use
# large pages. Requesting it from the system again takes a third of a small network's training time,
# small pages a tenth. Values that the user has set are kept.
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class LocalExecutor:
    """Runs calls in processes of this machine; with one worker, in this process.

    Several workers read shared values from files in the folder for temporary files (``TMPDIR``),
    which are removed at the end. What workers log reaches the handlers of this process. If a run
    ends early, running calls are aborted.

    Args:
        workers: number of processes; None: the cores available to this process divided by
            ``threads``. There are never more than calls.
        threads: threads of torch's operations, in each worker.

    Raises:
        ConfigError: if a number is below 1.
    """

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        check_number("threads", threads, 1)
        if workers is None:
            workers = max(1, available_cores() // threads)
        check_number("workers", workers, 1)
        self.workers = workers
        self.threads = threads
        self._folder: Path | None = None
        self._ending = ExitStack()
        self._shared = 0
        self._runs: list[Generator[Any, None, None]] = []

    def __enter__(self) -> Self:
        if self._folder is not None:
            raise ExecutorError("the executor is entered already")
        self._folder = self._ending.enter_context(scratch_folder())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered()
        with self._ending:
            self._folder = None
            while self._runs:
                self._runs.pop().close()

    def _entered(self) -> Path:
        if self._folder is None:
            raise ExecutorError("use the executor in a with statement")
        return self._folder

    @property
    def at_once(self) -> int:
        """See :attr:`Executor.at_once`."""
        self._entered()
        return self.workers

    def share(self, value: Any) -> Any:
        """See :meth:`Executor.share`."""
        import joblib

        path = self._entered() / f"{self._shared}.joblib"
        self._shared += 1
        try:
            if self.workers == 1:
                return _read_only(value)
            joblib.dump(value, path)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ExecutorError(f"a {type(value).__name__} cannot be shared: {error}") from error
        except OSError as error:
            raise ExecutorError(
                f"a shared value cannot be written to {path.parent} ({error}); set TMPDIR to a "
                "folder with more room, or use executor.workers=1, which needs no such file"
            ) from error
        return worker.Shared(path)

    def run(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        """See :meth:`Executor.run`."""
        self._entered()
        results: Generator[tuple[int, R], None, None]
        workers = min(self.workers, len(calls))
        if workers > 1:
            payloads = [_payload(function, arguments) for arguments in calls]
            results = _in_processes(payloads, workers, self.threads)
        else:
            results = self._here(function, calls)
        self._runs.append(results)
        return results

    def _here(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]]
    ) -> Generator[tuple[int, R], None, None]:
        for position, arguments in enumerate(calls):
            values = [a.load() if isinstance(a, worker.Shared) else a for a in arguments]
            with torch_threads(self.threads):
                result = function(*values)
            yield position, result


def _read_only(value: Any) -> Any:
    """The value with the same memory, its arrays read-only, as other processes would see them."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(head, buffers=[buffer.raw().toreadonly() for buffer in buffers])


def _payload(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ExecutorError(
            f"{function!r} and its arguments cannot be sent to other processes ({error}): "
            "functions must stand at the top level of a module that can be imported; "
            "executor.workers=1 needs no other process"
        ) from error


def _in_processes(
    payloads: Sequence[bytes], workers: int, threads: int
) -> Generator[tuple[int, Any], None, None]:
    """(Position, result) of the calls, as they end."""
    to_come = iter(enumerate(payloads))
    running: dict[Future[bytes], int] = {}
    pool = _Pool(workers, threads)
    try:
        while True:
            # No more than there are workers: the pool starts what it has queued despite an error.
            for position, payload in islice(to_come, workers - len(running)):
                running[pool.submit(position, payload)] = position
            if not running:
                return
            ended = [
                (running.pop(future), future)
                for future in wait(running, return_when=FIRST_COMPLETED).done
            ]
            errors = [error for _, future in ended if (error := future.exception()) is not None]
            if not errors:
                for position, payload in islice(to_come, len(ended)):  # while the caller works
                    running[pool.submit(position, payload)] = position
            for position, future in ended:
                if future.exception() is None:
                    yield position, pickle.loads(future.result())
            if errors:
                # A call's own exception says more than that the pool also broke.
                raise min(errors, key=lambda error: isinstance(error, BrokenProcessPool))
    except BrokenProcessPool as error:
        pool.close()
        raise ExecutorError(pool.how_it_broke()) from error
    finally:
        pool.close()


class _Pool:
    """A ProcessPoolExecutor whose workers end on request, and report what they do."""

    def __init__(self, workers: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._reports, self._to_reports = context.Pipe(duplex=False)
        at_lifeline, self._lifeline = context.Pipe(duplex=False)
        reports = worker.Reports(self._to_reports, context.Lock())
        self._threads = threads
        self._pool = ProcessPoolExecutor(
            workers,
            context,
            worker.start,
            (reports, at_lifeline, logging_levels(), threads),
        )
        self._others = set(multiprocessing.active_children())
        self._processes: set[BaseProcess] = set()
        self._begun: dict[int, int] = {}  # process id to position of its last call
        self._listener = threading.Thread(
            target=_listen, args=(self._reports, self._begun), daemon=True
        )
        self._listener.start()

    def submit(self, position: int, payload: bytes) -> Future[bytes]:
        """Hand over a call, and start a worker if there are fewer than there may be."""
        # These are read when a process starts or loads numeric libraries, before our code runs.
        memory = {name: value for name, value in _MEMORY.items() if name not in os.environ}
        variables = {**memory, "OMP_NUM_THREADS": str(self._threads)}
        with environment(**variables), _main_without_missing_file():
            future = self._pool.submit(worker.call, position, payload)
        self._processes |= set(multiprocessing.active_children()) - self._others
        return future

    def close(self) -> None:
        """Abort running calls, wait for the workers, and pass on what they logged."""
        self._lifeline.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._to_reports.close()  # the last open write end: now the listener ends
        self._listener.join()

    def how_it_broke(self) -> str:
        """What is known about the workers that died by themselves, once the pool is closed."""
        # When one has died, the pool ends the others by SIGTERM, unless they end first.
        well = (0, None, -signal.SIGTERM, worker.BROKEN_OFF)
        died = [process for process in self._processes if process.exitcode not in well]
        advice = "finished results were kept; repeat the command to compute the missing ones"
        if died and not any(process.pid in self._begun for process in died):
            return (
                f"a worker died as it started ({_exit(died[0])}); its output is above. A script "
                "needs `if __name__ == '__main__':` around what it runs"
            )
        reasons = [
            f"worker {process.pid}, {_exit(process)}"
            + (f", at call {self._begun[process.pid]}" if process.pid in self._begun else "")
            for process in died
        ]
        return f"a worker died ({'; '.join(reasons) or 'ended from outside'}); {advice}"


@contextmanager
def _main_without_missing_file() -> Iterator[None]:
    """Keep workers from running a main file that does not exist, such as ``<stdin>``."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or Path(file).exists():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


def _exit(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit status {code}"
    if code == -signal.SIGKILL:
        return "killed by SIGKILL, perhaps for lack of memory: fewer executor.workers need less"
    return f"killed by {signal.Signals(-code).name}"


def _listen(reports: Connection, begun: dict[int, int]) -> None:
    """Until the pipe ends, pass workers' log records to our handlers and note the calls begun."""
    while True:
        try:
            report = reports.recv()
        except (EOFError, OSError):
            return
        if isinstance(report, logging.LogRecord):
            logging.getLogger(report.name).handle(report)
        else:
            process, position = report
            begun[process] = position
