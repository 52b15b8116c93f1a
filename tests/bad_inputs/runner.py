"""Tries cases in a process of its own, which is replaced when a case hangs or fills the memory."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.bad_inputs.case import Outcome, attempt, limit_memory

SECONDS = 90.0
"""That a case may take, on a busy machine too."""
BYTES = 3 << 30
"""That a case may allocate."""


def outcomes(
    names: Sequence[str], world: Path, seconds: float = SECONDS, further: int = BYTES
) -> Iterator[tuple[str, Outcome, str, float]]:
    """Name, outcome, what was said and the seconds it took, of each case."""
    worker: _Worker | None = None
    try:
        for name in names:
            worker = worker or _Worker(world, further)
            start = time.monotonic()
            answer = worker.attempt(name, seconds)
            if answer is None:
                worker.kill()
                worker = None
                answer = "hang or memory", f"no answer within {seconds:g} s, or killed"
            yield name, *answer, time.monotonic() - start
    finally:
        if worker is not None:
            worker.kill()


class _Worker:
    def __init__(self, world: Path, further: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._here, there = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(there, world, further), daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(120) or self._here.recv() != "ready":
            raise RuntimeError("the process that tries bad inputs did not start")

    def attempt(self, name: str, seconds: float) -> tuple[Outcome, str] | None:
        try:
            self._here.send(name)
            answer = self._here.recv() if self._here.poll(seconds) else None
        except (EOFError, OSError):  # the process has died
            return None
        if isinstance(answer, Exception):
            raise RuntimeError(f"the case {name!r} cannot be tried") from answer
        return answer

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._here.close()


def _work(connection: Connection, world: Path, further: int) -> None:
    # What every case imports, so that the first does not take long.
    import recognizers.cli
    import recognizers.experiment.evaluate  # noqa: F401
    from tests.bad_inputs.collection import all_cases

    cases = {case.name: case for case in all_cases()}
    limit_memory(further)
    connection.send("ready")
    while True:
        name = connection.recv()
        try:
            connection.send(attempt(cases[name], world))
        except Exception as error:  # of the case itself, which is wrong then
            connection.send(error)
