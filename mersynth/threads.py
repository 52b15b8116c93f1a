"""Work that threads do ahead of time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 4  # results for each thread that wait to be taken: enough to keep it busy


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int | None = None
) -> Iterator[_Result]:
    """``map``, computed by threads a few items ahead, so that memory stays bounded.

    Pays for functions that leave Python's lock while they work, such as decoders of images.

    Args:
        function: may raise, which is raised again when its result is taken.
        items: its arguments.
        threads: how many; default: as many as cores.
    """
    count = threads or os.cpu_count() or 1
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
