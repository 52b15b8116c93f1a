"""How well movements are spotted in long films of phantoms, whose expressions are known.

    python scripts/measure_spotting.py --out docs/spotting.md

renders films of people with expressions, rest, blinks, mouth movements and a drifting head, spots
movements in them, and counts those that overlap an expression by half (intersection over union of
0.5, as in the MEGC's spotting tasks), and those that do not.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring.documents import command, document, paragraph, table
from measuring.films import Shown, film

from mersynth import logs
from mersynth.motion.movements import SIDE, Movement, spot_movements

logger = logging.getLogger("recognizers.scripts.spotting")

FIRST = 9100  # the threshold was chosen on people 9000 to 9007
LEAST = 0.5  # intersection over union
HEAD = ("expressions", "shown", "found", "recall", "error of the apex, s", "of onset", "of offset")


@dataclass(frozen=True, slots=True)
class Match:
    """An expression, and the movement that was spotted there, if any."""

    shown: Shown
    found: Movement | None


def overlap(found: Movement, shown: Shown) -> float:
    """Intersection over union."""
    both = min(found.offset, shown.offset) - max(found.onset, shown.onset) + 1
    whole = max(found.offset, shown.offset) - min(found.onset, shown.onset) + 1
    return both / whole


def matched(found: Sequence[Movement], shown: Sequence[Shown]) -> tuple[list[Match], int]:
    """Each expression with its movement, and the number of false alarms."""
    left, matches = list(found), []
    for each in shown:
        best = max(left, key=lambda movement: overlap(movement, each), default=None)
        hit = best is not None and overlap(best, each) >= LEAST
        if hit:
            left.remove(best)  # type: ignore[arg-type]
        matches.append(Match(each, best if hit else None))
    return matches, len(left)


def line(name: str, matches: Sequence[Match], fps: float) -> list[str]:
    """A row of the table."""
    hits = [(each.shown, each.found) for each in matches if each.found is not None]
    errors = [
        f"{np.mean([abs(getattr(s, at) - getattr(f, at)) for s, f in hits]) / fps:.3f}"
        if hits
        else ""
        for at in ("apex", "onset", "offset")
    ]
    share = f"{len(hits) / max(1, len(matches)):.2f}"
    return [name, str(len(matches)), str(len(hits)), share, *errors]


def main() -> None:
    """Render, spot, count, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=12, help="of so many people")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--out", type=Path, default=Path("build/spotting.md"))
    options = parser.parse_args()
    logs.set_up()
    matches: list[Match] = []
    false = 0
    with logs.progress("spotting", total=options.films, unit="films") as advance:
        for person in range(FIRST, FIRST + options.films):
            frames, shown = film(person, options.seconds, options.fps, 2 * SIDE)
            small = [
                cv2.resize(
                    cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA
                )
                for f in frames
            ]
            grey = torch.from_numpy(np.stack(small))[:, None].float() / 255
            own, wrong = matched(spot_movements(grey, options.fps), shown)
            matches += own
            false += wrong
            advance(1)
    hits = sum(each.found is not None for each in matches)
    minutes = options.films * options.seconds / 60
    f1 = 2 * hits / max(1, hits + false + len(matches))
    rows = [
        line(kind, [each for each in matches if each.shown.strength == kind], options.fps)
        for kind in ("micro", "macro")
    ]
    told = (
        f"{options.films} films of {options.seconds:g} s at {options.fps:g} frames a second, each "
        "of another phantom of the wide population, recorded as in a laboratory (blinks, "
        "swallows, lips that press or part, a head that sways, camera noise). Expressions last "
        "0.25 to 0.5 s (micro) or 0.6 to 1.8 s (macro) with 2 to 6 s of rest between them. A "
        f"movement counts as found if it overlaps an expression by {LEAST:g} (intersection over "
        "union). The threshold was chosen on eight other films."
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        document(
            [
                "# Movements spotted in long films",
                "Made by",
                command(),
                paragraph(told),
                paragraph(
                    f"F1 {f1:.3f}: {hits} of {len(matches)} expressions were found, with {false} "
                    f"false alarms, {false / minutes:.2f} a minute."
                ),
                table(HEAD, [*rows, line("all", matches, options.fps)]),
            ]
        ),
        encoding="utf-8",
    )
    logger.info("stored in %s", options.out)


if __name__ == "__main__":
    main()
