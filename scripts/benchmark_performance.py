"""Compare this project's speed with plain loops, all in one run on one machine.

    python scripts/benchmark_performance.py --quick
    python scripts/benchmark_performance.py --sections generation training --out figures.json

Each section is a module of ``scripts/measuring/speed`` with a function ``comparisons``. A plain
loop does what is usual in this field: one image decoded from disk an access, one frame a forward
pass, float32, one fold after the other.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from measuring import documents
from measuring.speed.comparison import Timed, measure
from rich.console import Console
from rich.table import Table

from mersynth import logs
from mersynth.devices import choose_device
from mersynth.disk.files import write_json_atomically

logger = logging.getLogger("mersynth.scripts.benchmark_performance")

SECTIONS = sorted(
    path.stem
    for path in (Path(__file__).parent / "measuring" / "speed").glob("*.py")
    if path.stem not in ("__init__", "comparison")
)


def run(section: str, quick: bool, device: torch.device) -> list[Timed]:
    """Time every comparison of a section."""
    logger.info("timing %s", section)
    rows = []
    module = importlib.import_module(f"measuring.speed.{section}")
    for comparison in module.comparisons(quick, device):
        timed = measure(comparison, 1 if quick else 3, device)
        for row in timed[1:]:
            logger.info("%s, %s: %.2f times as fast", row.what, row.way, row.times)
        rows += timed
    return rows


def report(rows: Sequence[Timed]) -> None:
    """Print the table."""
    table = Table(title="Speed beside a plain loop")
    for i, name in enumerate(("what", "way", "time", "times", "wanted")):
        table.add_column(name, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(row.what, row.way, duration(row), f"{row.times:.2f}", wanted(row))
    Console(width=140).print(table)


def duration(row: Timed) -> str:
    """The time of a unit."""
    if row.seconds >= 1:
        return f"{row.seconds:.1f} s a {row.unit}"
    return f"{1000 * row.seconds:.3g} ms a {row.unit}"


def wanted(row: Timed) -> str:
    """The ratio that was wanted, if any."""
    return "" if row.wanted is None else f"{row.wanted:g}"


def main() -> None:
    """Measure, print the table and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--quick", action="store_true", help="little work, one turn")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    logs.set_up()
    device = choose_device(arguments.device)
    rows: list[Timed] = []
    about = {
        "machine": f"{platform.machine()}, {documents.machine(device.type)}",
        "torch": torch.__version__,
        "quick": arguments.quick,
    }
    for section in arguments.sections:
        rows += run(section, arguments.quick, device)
        if arguments.out:
            write_json_atomically(arguments.out, {**about, "rows": [asdict(row) for row in rows]})
    report(rows)


if __name__ == "__main__":
    main()
