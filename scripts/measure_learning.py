"""Have every system climb a ladder: learn a handful by heart, then strong and weak expressions.

    python scripts/measure_learning.py --out docs/learning.md

renders phantom people at 64 pixels and trains the small form of every system on each rung: a
handful of micro-expressions, to be learnt by heart whatever the seed and the number of threads;
then, tested on people whom training never saw, macro-expressions, micro-expressions at three times
their strength, and micro-expressions. A stopped script goes on where it was; several may share
``--work`` if each has other systems.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from drawing.learning import draw_learning
from measuring.documents import command, document, machine, paragraph, table
from measuring.ladder import (
    EMOTIONS,
    LEAST,
    PEOPLE,
    RUNGS,
    SEEDS,
    THREADS,
    ByHeart,
    by_heart,
    climb,
    make_stores,
)
from measuring.small_forms import SMALL
from reproduction.command import errors_shown

from mersynth import logs
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.learning")

CHANCE = 1 / len(EMOTIONS)

HEAD = ("system", "parameters", "epochs", "by heart", *(rung.name for rung in RUNGS), "seconds")


def row(system: str, heart: Sequence[ByHeart], runs: Mapping[str, Run]) -> list[str]:
    """A line of the table; what passes is marked."""
    known = min(each.right for each in heart) == 1 and min(each.least for each in heart) >= LEAST
    cells = [f"{min(each.least for each in heart):.2f}{' ✓' if known else ''}"]
    for rung in RUNGS:
        run = runs[rung.name]
        uar, interval = run.scores["strict"]["Full"].mean["uar"], run.interval("strict", "uar")
        assert interval is not None
        ends = f" ({interval.low:.2f} to {interval.high:.2f})" if rung.wanted is None else ""
        cells.append(f"{uar:.3f}{ends}{' ✓' if rung.passes(run) else ''}")
    first = next(iter(runs.values()))
    epochs = SMALL[system].epochs
    seconds = sum(run.results.seconds for run in runs.values())
    size = f"{first.results.model.parameters:,}"
    return [
        f"`{system}_tiny`",
        size,
        "" if epochs is None else str(epochs),
        *cells,
        f"{seconds:.0f}",
    ]


def counted(rows: Sequence[Sequence[str]]) -> str:
    """How many systems pass each rung, in words."""
    names = ["a handful by heart", *(rung.shown for rung in RUNGS)]
    passed = [sum("✓" in line[3 + i] for line in rows) for i in range(len(names))]
    shown = "; ".join(f"{name} {count}" for name, count in zip(names, passed, strict=True))
    left = len(SMALL) - len(rows)
    more = f" {left} other systems have yet to climb." if left else ""
    return f"Of {len(rows)} systems pass: {shown}.{more}"


def text(
    hearts: Mapping[str, Sequence[ByHeart]], runs: Mapping[str, Mapping[str, Run]], picture: str
) -> str:
    """The document."""
    rows = [row(system, hearts[system], runs[system]) for system in runs]
    learned, tested = PEOPLE["learned"], PEOPLE["tested"]
    epochs = sorted({SMALL[system].heart for system in runs})
    heart = " or ".join(map(str, epochs))
    changes = [[f"`{system}`", SMALL[system].why] for system in runs if SMALL[system].why]
    return document(
        [
            "# Which systems learn what",
            "Made by",
            command(),
            paragraph(
                f"Every system in its small form (`configs/model/*_tiny.yaml`) climbs a ladder on "
                f"{machine('cpu')}. **By heart**: two micro-expressions of each of "
                f"{len(EMOTIONS)} classes, not augmented, for {heart} epochs, with "
                f"{len(SEEDS)} seeds and on {' and '.join(map(str, THREADS))} threads; the figure "
                f"is the smallest probability that a right class got, and {LEAST:g} with every "
                "clip right passes (✓). The others are UARs on people whom training never saw, "
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
                "lengthens. Sizes are not the papers': the table says whether a system can learn, "
                "not which is best."
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
    stores, folder = options.work / "stores", options.work / "runs"
    hearts, runs = {}, {}
    with errors_shown(parser):
        make_stores(stores)
        for system in options.system or sorted(SMALL):
            config, how = f"{system}_tiny", SMALL[system]
            hearts[system] = by_heart(config, how, stores, options.work / "by_heart")
            runs[system] = {
                rung.name: climb(config, how, rung, stores, folder, options.seed) for rung in RUNGS
            }
    out = options.out or options.work / "learning.md"
    picture = out.parent / "images" / f"{out.stem}.png"
    draw_learning(runs, picture)
    out.write_text(text(hearts, runs, f"images/{picture.name}"), encoding="utf-8")
    logger.info("stored in %s", out)


if __name__ == "__main__":
    main()
