"""Work done ahead of time by threads: order, errors, and how far ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mersynth.threads import map_ahead


def test_results_come_in_order_whatever_takes_long() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0.0)
        return number * number

    assert list(map_ahead(slow_first, range(20), threads=3)) == [n * n for n in range(20)]


def test_an_error_is_raised_in_its_place() -> None:
    results = map_ahead(lambda n: 6 // (3 - n), range(5), threads=2)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_only_a_few_items_are_taken_ahead_and_none_is_left_running() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    before = threading.active_count()
    results = map_ahead(lambda n: n, items(), threads=2)
    assert next(results) == 0
    assert len(taken) <= 8
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
