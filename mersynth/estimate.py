"""What a command will take, from a few steps of it that were measured."""

from __future__ import annotations

import math
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_SECONDS_BETWEEN_LOOKS = 0.02


@dataclass(frozen=True, slots=True)
class Spent:
    """Time that something takes.

    Attributes:
        wall: seconds by the clock.
        cpu: processor seconds, of all threads.
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu)

    def __mul__(self, factor: float) -> Spent:
        return Spent(self.wall * factor, self.cpu * factor)

    @property
    def beyond_noise(self) -> Spent:
        """A difference of two durations, which noise may have made negative."""
        return Spent(max(0.0, self.wall), max(0.0, self.cpu))


def now() -> Spent:
    """The clock, and what this process has spent; a difference of two is a duration."""
    return Spent(time.monotonic(), time.process_time())


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a command will take on this machine.

    Attributes:
        time: in all.
        memory: bytes that its processes hold at most, besides files that they map.
        on_gpu: bytes that they hold on GPUs at most; 0 where none is used.
        disk: bytes that it will have written.
        steps: what was measured, for instance ``"2400 frames at 0.1 s"``.
    """

    time: Spent
    memory: int
    on_gpu: int
    disk: int
    steps: tuple[str, ...]

    def show(self) -> None:
        """Print a table."""
        from rich.table import Table

        from mersynth.logs import console

        table = Table(title="estimate, on this machine", title_justify="left", show_header=False)
        for name, value in (
            ("time", duration(self.time.wall)),
            ("processor time", duration(self.time.cpu)),
            ("memory at most", size(self.memory) if self.memory else "unknown"),
            *([("on the GPU", size(self.on_gpu))] if self.on_gpu else []),
            ("disk", size(self.disk)),
            *(("", step) for step in self.steps),
        ):
            table.add_row(name, value)
        console.print(table)


def duration(seconds: float) -> str:
    """A time in words, for instance ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(count: float) -> str:
    """Bytes in words, for instance ``"1.2 GB"``."""
    power = min(4, int(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def bytes_in(folder: Path) -> int:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class PeakMemory:
    """Watches the memory that this process holds, besides files that it maps.

    Attributes:
        peak: bytes at most, so far. macOS does not tell mapped files apart, so they are
            included; 0 on Windows, which has no such figure.
        on_gpu: bytes that torch has reserved on the GPU at most, by the end; 0 without one.

    Example:
        >>> with PeakMemory() as memory:
        ...     block = bytearray(1 << 24)
        >>> memory.peak > 1 << 24
        True
    """

    def __init__(self) -> None:
        self.peak = 0
        self.on_gpu = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watcher.join()
        self._look()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            self.on_gpu = torch.cuda.max_memory_reserved()

    def _watch(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, _held())


def _held() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        try:
            import resource
        except ImportError:  # Windows
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes
