"""One point of a curve of growth, in a process of its own: its time and its memory."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from measuring.growth.works import WORKS

_MIB = 1 << 20
_EVERY = 0.01  # seconds between looks at the memory


class Watch:
    """The memory of this process and those it started that the system cannot take back.

    Pages of files that are mapped, such as a store's frames, are not counted: the system drops them
    when it needs the room.
    """

    def __init__(self) -> None:
        self.first = self.most = _held(os.getpid())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY):
            self.most = max(self.most, _held(os.getpid()))

    def end(self) -> float:
        """MiB that were held at most beyond those at the beginning."""
        self._ended.set()
        self._thread.join()
        return (max(self.most, _held(os.getpid())) - self.first) / _MIB


def _held(process: int) -> int:
    """Bytes of anonymous memory of a process and its children; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0
    own = sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return own + sum(_held(int(child)) for child in children)


def _processor_seconds() -> float:
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Measure the work and the sizes that the command line names, and print the figures."""
    work, sizes = WORKS[sys.argv[1]], json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        call = work.get_ready(sizes, Path(folder))
        watch, begun, clock = Watch(), _processor_seconds(), time.monotonic()
        call()
        figures = {
            "seconds": time.monotonic() - clock,
            "processor_seconds": _processor_seconds() - begun,
            "memory_mib": watch.end(),
            "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    print(json.dumps(figures))  # noqa: T201  # the answer to the process that asked


if __name__ == "__main__":
    main()
