"""Measure how time and memory grow when clips, frames, image size, subjects or classes double.

    python scripts/measure_growth.py                  # docs/growth.json, docs/images/growth.png
    python scripts/measure_growth.py --works export LOSO --doublings 1 --out tiny.json

Each work (prepare, a training step, generate, export, LOSO) is done on small inputs, and again
with one of their sizes doubled, each time in a process of its own with one thread. Time is that of
the processor; memory is what the work holds at most, beyond what it began with, of memory that the
system cannot take back. The slope on log axes is 1 where the work is proportional to what grows;
an image is counted in pixels. A script that was stopped goes on where it was. Linux only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drawing.growth import Curve, draw_growth
from measuring import documents
from measuring.growth.works import WORKS

from mersynth import logs
from mersynth.disk.files import write_json_atomically

logger = logging.getLogger("mersynth.scripts.growth")

FOLDER = Path(__file__).parent


def points(works: Sequence[str], doublings: int) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Every work, what doubles, and the sizes; each curve begins with the work's smallest."""
    for name in works:
        work = WORKS[name]
        for what in work.doubled:
            for times in range(doublings + 1):
                yield name, what, {**work.sizes, what: work.sizes[what] << times}


def key(name: str, sizes: Mapping[str, int]) -> str:
    """The name of a point, which several curves may share."""
    return ", ".join([name, *(f"{count} {what}" for what, count in sorted(sizes.items()))])


def measure(name: str, sizes: Mapping[str, int]) -> dict[str, float]:
    """The figures of a point.

    Raises:
        RuntimeError: if the work fails.
    """
    alone = {f"{of}_NUM_THREADS": "1" for of in ("OMP", "MKL", "OPENBLAS")}
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "measuring.growth.point", name, json.dumps(sizes)],
        capture_output=True,
        text=True,
        env={**os.environ, **alone, "PYTHONPATH": path},
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{key(name, sizes)} failed:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def curves(
    found: Mapping[str, Mapping[str, float]], works: Sequence[str], doublings: int
) -> list[Curve]:
    """What was measured, as curves with their slopes."""
    lines: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for name, what, sizes in points(works, doublings):
        figures = found[key(name, sizes)]
        grown = sizes[what] / WORKS[name].sizes[what]
        pixels = grown**2 if what == "image side" else grown
        row = pixels, figures["processor_seconds"], max(figures["memory_mib"], 1.0)
        lines.setdefault((name, what), []).append(row)
    return [
        Curve(name, what, *map(list, zip(*rows, strict=True)))
        for (name, what), rows in lines.items()
    ]


def report(drawn: Sequence[Curve]) -> list[dict[str, Any]]:
    """The slopes, also logged."""
    rows = [
        {"work": c.work, "doubled": c.doubled, "time": c.time_slope, "memory": c.memory_slope}
        for c in drawn
    ]
    for row in rows:
        logger.info("%(work)s, %(doubled)s: time %(time).2f, memory %(memory).2f", row)
    return rows


def main() -> None:
    """Measure what is missing, store it and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--doublings", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/growth.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/growth.png"))
    options = parser.parse_args()
    logs.set_up()
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    found: dict[str, dict[str, float]] = known.get("points", {})
    facts = {"machine": documents.machine("cpu"), "doublings": options.doublings}
    for name, _, sizes in points(options.works, options.doublings):
        if key(name, sizes) not in found:
            found[key(name, sizes)] = measure(name, sizes)
            logger.info("%s: %s", key(name, sizes), found[key(name, sizes)])
            write_json_atomically(options.out, {**facts, "points": found})
    drawn = curves(found, options.works, options.doublings)
    write_json_atomically(options.out, {**facts, "points": found, "slopes": report(drawn)})
    draw_growth(drawn, options.picture)


if __name__ == "__main__":
    main()
