"""A piece of work done by a plain loop and by this project, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Work:
    """One way to do the work.

    Attributes:
        name: as the table shows it.
        call: does it once, from its inputs to the end.
        units: how many units, such as frames, a call does.
    """

    name: str
    call: Callable[[], object]
    units: int


@dataclass(frozen=True)
class Comparison:
    """A line of the table.

    Attributes:
        what: the work.
        unit: what is counted, such as "frame".
        scale: the plain loop.
        ours: ways in which this project does it.
        wanted: how many times as fast as the scale.
    """

    what: str
    unit: str
    scale: Work
    ours: Sequence[Work]
    wanted: float | None = None


@dataclass(frozen=True)
class Timed:
    """Seconds a unit by the clock, and how many times as fast as the scale."""

    what: str
    way: str
    unit: str
    seconds: float
    times: float
    wanted: float | None


def measure(comparison: Comparison, repeats: int, device: torch.device) -> list[Timed]:
    """Time every way of a comparison, the scale first.

    The ways take turns, so that whatever else the machine does disturbs them alike; the best of
    ``repeats`` turns counts. With more than one turn, a first one does not count.
    """
    ways = [comparison.scale, *comparison.ours]
    best = [float("inf")] * len(ways)
    for turn in range(repeats + (repeats > 1)):
        for i, way in enumerate(ways):
            seconds = _seconds(way, device)
            if turn or repeats == 1:
                best[i] = min(best[i], seconds)
    return [
        Timed(
            what=comparison.what,
            way=way.name,
            unit=comparison.unit,
            seconds=seconds,
            times=best[0] / comparison.scale.units / seconds,
            wanted=None if way is comparison.scale else comparison.wanted,
        )
        for way, seconds in zip(
            ways, (each / way.units for each, way in zip(best, ways, strict=True)), strict=True
        )
    ]


def _seconds(way: Work, device: torch.device) -> float:
    _finish(device)
    start = time.perf_counter()
    way.call()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
