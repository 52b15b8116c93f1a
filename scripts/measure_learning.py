"""Have every system climb a ladder: learn a handful by heart, then strong and weak expressions.

    python scripts/measure_learning.py --out docs/learning.md

renders phantom people at 64 pixels and trains the small form of every system on each rung: a
handful of micro-expressions, to be learnt by heart whatever the seed and the number of threads;
then, tested on people whom training never saw, macro-expressions, micro-expressions at three times
their strength, and micro-expressions. What was measured is kept beside the document
(``learning.json``) and not measured again, so that ``--system`` adds to the table; a stopped script
goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from drawing.learning import draw_learning
from measuring.documents import command, document, machine, paragraph, table
from measuring.ladder import (
    CHANCE,
    EMOTIONS,
    LEAST,
    PEOPLE,
    RUNGS,
    SEEDS,
    THREADS,
    Climb,
    Climbed,
    climb,
    config_of,
    make_stores,
    settings_of,
)
from measuring.small_forms import SMALL
from reproduction.command import errors_shown

from mersynth import logs
from mersynth.disk.files import write_json_atomically

logger = logging.getLogger("recognizers.scripts.learning")

HEAD = ("system", "parameters", "epochs", "by heart", *(rung.name for rung in RUNGS), "seconds")


def row(system: str, climbed: Climb) -> list[str]:
    """A line of the table; what passes is marked."""
    rungs, epochs = [climbed.rungs[rung.name] for rung in RUNGS], SMALL[system].epochs
    return [
        f"`{config_of(system)}`",
        f"{climbed.parameters:,}",
        "" if epochs is None else str(epochs),
        f"{climbed.least_by_heart:.2f}{' ✓' if climbed.by_heart else ''}",
        *(shown(each, rung.wanted is None) for each, rung in zip(rungs, RUNGS, strict=True)),
        f"{sum(each.seconds for each in rungs):.0f}",
    ]


def shown(climbed: Climbed, interval: bool) -> str:
    """A UAR, and its interval where that decides."""
    ends = f" ({climbed.low:.2f} to {climbed.high:.2f})" if interval else ""
    return f"{climbed.uar:.3f}{ends}{' ✓' if climbed.passed else ''}"


def counted(rows: Sequence[Sequence[str]]) -> str:
    """How many systems pass each rung, in words."""
    names = ["a handful by heart", *(rung.shown for rung in RUNGS)]
    passed = [sum("✓" in line[3 + i] for line in rows) for i in range(len(names))]
    shown = "; ".join(f"{name} {count}" for name, count in zip(names, passed, strict=True))
    left = len(SMALL) - len(rows)
    more = f" {left} other systems have yet to climb." if left else ""
    return f"Of {len(rows)} systems pass: {shown}.{more}"


def text(climbs: Mapping[str, Climb], picture: str) -> str:
    """The document."""
    rows = [row(system, climbed) for system, climbed in climbs.items()]
    learned, tested = PEOPLE["learned"], PEOPLE["tested"]
    epochs = sorted({SMALL[system].heart for system in climbs})
    heart = " or ".join(map(str, epochs))
    changes = [[f"`{system}`", SMALL[system].why] for system in climbs if SMALL[system].why]
    return document(
        [
            "# Which systems learn what",
            "Made by",
            command("--system", "--work"),
            paragraph(
                "Every system in its small form (`configs/model/*_tiny.yaml`; support vector "
                "machines in their full one, at 64 pixels) climbs a ladder on "
                f"{machine('cpu')}. **By heart**: two micro-expressions of each of "
                f"{len(EMOTIONS)} classes, not augmented, for {heart} epochs, with "
                f"{len(SEEDS)} seeds and on {' and '.join(map(str, THREADS))} threads; the figure "
                "is the smallest probability that a right class got (of support vector machines, "
                f"the smallest margin), and {LEAST:g} with every clip right passes (✓). The others "
                "are UARs on people whom training never saw, "
                f"at the last epoch; it learns from {learned.each * len(EMOTIONS)} clips of "
                f"{learned.people} phantom people, is tested on {tested.each * len(EMOTIONS)} of "
                f"{tested.people} others, each class equally often, so that chance is {CHANCE:g}: "
                + "; ".join(
                    f"**{rung.name}**, {rung.shown}, passed "
                    + (
                        "by an interval of 95 % over people above chance"
                        if rung.wanted is None
                        else f"at {rung.wanted:g}"
                    )
                    for rung in RUNGS
                )
                + ". One seed; seconds are those of the three, which other work on the machine "
                "lengthens. Epochs, and what was mended, were chosen with these figures in view, "
                "and sizes are not the papers': the table says whether a system can learn, not "
                "which is best."
            ),
            paragraph(counted(rows)),
            table(HEAD, rows),
            "## What had been in the way",
            table(("system", "found and mended"), changes, words=(0, 1)),
            "## Learning curves",
            f"![Accuracy by epoch]({picture})",
        ]
    )


def main() -> None:
    """Climb, and write document and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file [in the folder --work]")
    parser.add_argument("--work", type=Path, default=Path("build/learning"), help="folder")
    parser.add_argument("--system", action="append", choices=sorted(SMALL), help="repeatable [all]")
    parser.add_argument("--seed", type=int, default=0, help="of the rungs")
    options = parser.parse_args()
    logs.set_up()
    out = options.out or options.work / "learning.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    kept, stores = out.with_suffix(".json"), options.work / "stores"
    with errors_shown(parser):
        climbs = recorded(kept, options.seed)
        make_stores(stores)
        for system in options.system or sorted(SMALL):
            if system not in climbs:
                climbs[system] = climb(system, stores, options.work, options.seed)
                write_json_atomically(kept, rounded(msgspec.to_builtins(climbs)))
    climbs = dict(sorted(climbs.items()))
    picture = out.parent / "images" / f"{out.stem}.png"
    draw_learning(climbs, picture)
    out.write_text(text(climbs, f"images/{picture.name}"), encoding="utf-8")
    logger.info("stored in %s", out)


def rounded(figures: Any) -> Any:
    """All fractions in figures to four digits: finer than any difference that is not chance."""
    if isinstance(figures, dict):
        return {key: rounded(figure) for key, figure in figures.items()}
    if isinstance(figures, list | tuple):
        return [rounded(figure) for figure in figures]
    return round(figures, 4) if isinstance(figures, float) else figures


def recorded(path: Path, seed: int) -> dict[str, Climb]:
    """What was measured with today's settings, by system."""
    if not path.exists():
        return {}
    found = msgspec.json.decode(path.read_bytes(), type=dict[str, Climb])
    return {name: each for name, each in found.items() if each.settings == settings_of(name, seed)}


if __name__ == "__main__":
    main()
