"""How many clips a second the small forms of all systems learn from, on one thread.

    python scripts/measure_training_speed.py --out speed.json
    python scripts/measure_training_speed.py --against speed.json   # beside an earlier figure

trains each system on a store of random frames. Seconds are of the processor's time, so that other
work on the machine disturbs them little; the fastest epoch counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring.documents import table
from measuring.small_forms import SMALL, Form

from mersynth import logs
from mersynth.clips import Clip
from mersynth.disk.files import write_json_atomically
from mersynth.store.writer import StoreWriter
from recognizers.experiment.preparation import load_settings, prepare
from recognizers.training.fold_work import learn_all

logger = logging.getLogger("recognizers.scripts.training_speed")

SYSTEMS = tuple(name for name, small in SMALL.items() if small.short is not None)
CELLS = {
    "anger": "4+7", "contempt": "L14", "happiness": "6+12", "surprise": "1+2", "other": "24",
}  # fmt: skip
PEOPLE, SIZE, FRAMES, APEX = 8, 96, 16, 8
Figures = Mapping[str, float]
HEAD = ("system", "reading, ms a clip", "again", "clips a second", "earlier", "times")


def write_store(path: Path) -> None:
    """A clip of smooth random frames for every person and emotion."""
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            source="samm",
            subject=f"{person:03}",
            name=emotion,
            onset=0,
            apex=APEX,
            offset=FRAMES - 1,
            emotion=emotion,
            aus=cell,
        )
        for person in range(PEOPLE)
        for emotion, cell in CELLS.items()
    ]
    with StoreWriter(path, clips, SIZE, {"source": "samm", "licence": "none"}) as writer:
        for _ in clips:
            coarse = rng.integers(0, 256, (FRAMES, 8, 8, 3), dtype=np.uint8)
            writer.add(np.stack([cv2.resize(frame, (SIZE, SIZE)) for frame in coarse]), None)
        writer.finish()


def measure(system: str, store: Path, epochs: int) -> Figures:
    """Milliseconds to read a clip, at first and again, and clips learned from in a second."""
    frl_dgt = system in ("frl_dgt", "frl_dgt_s")  # random frames have no landmarks
    patches = ["model.options.regions=patches"] if frl_dgt else []
    request = Form(system).request(store, overrides=["device=cpu", *patches])
    reading = []
    for _ in range(2):
        start = time.process_time()
        work = prepare(request, load_settings(request)).work
        reading.append(1000 * (time.process_time() - start) / len(work.clips.clips))
    few = replace(work, training=replace(work.training, epochs=epochs + 1))
    ends: list[float] = []
    learn_all(few, None, 0, lambda epoch: ends.append(time.process_time()))
    fastest = min(after - before for before, after in pairwise(ends))
    return {
        "reading": reading[0],
        "again": reading[1],
        "clips_a_second": len(work.clips.clips) / fastest,
    }


def rows(found: Mapping[str, Figures], earlier: Mapping[str, Figures]) -> list[list[str]]:
    """The table under ``HEAD``."""
    lines = []
    for system, now in found.items():
        before = earlier.get(system, {}).get("clips_a_second")
        lines.append(
            [
                f"`{system}`",
                f"{now['reading']:.0f}",
                f"{now['again']:.1f}",
                f"{now['clips_a_second']:.0f}",
                "" if before is None else f"{before:.0f}",
                "" if before is None else f"{now['clips_a_second'] / before:.2f}",
            ]
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="repeatable [all]")
    parser.add_argument("--epochs", type=int, default=3, help="that are timed")
    parser.add_argument("--against", type=Path, help="figures of an earlier --out")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    logs.set_up()
    torch.set_num_threads(1)
    earlier = json.loads(options.against.read_text()) if options.against else {}
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        write_store(store)
        for system in options.system or SYSTEMS:
            found[system] = measure(system, store, options.epochs)
            logger.info("%s: %.0f clips a second", system, found[system]["clips_a_second"])
            if options.out:
                write_json_atomically(options.out, found)
    sys.stdout.write(f"{table(HEAD, rows(found, earlier))}\n")


if __name__ == "__main__":
    main()
