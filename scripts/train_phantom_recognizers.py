"""Train the recognizers that the package ships, on phantom people that nothing else uses.

    python scripts/train_phantom_recognizers.py

renders micro-expressions of 300 people, half of them plain and half as varied as real recordings,
fits every system of ``SYSTEMS`` to them as ``recognizers fit`` does, tests it on 80 other people,
and puts it with these figures into ``--out``, ``recognizers/checkpoints`` by default. It takes
about half an hour on one CPU core; repeated after a stop, it goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from reproduction.command import errors_shown

import recognizers
from mersynth import logs
from mersynth.facs.emotions import label
from mersynth.phantom.population import write_store
from mersynth.phantom.variety import PLAIN, WIDE
from mersynth.store.clip_store import ClipStore
from recognizers.evaluation.comparison import bootstrap_subjects
from recognizers.evaluation.metrics import STATISTICS
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.request import Request
from recognizers.trained.card import SHIPPED, Tested, save_recognizer
from recognizers.trained.fitting import fit
from recognizers.trained.recognizer import TrainedRecognizer

logger = logging.getLogger("recognizers.scripts.train_phantom_recognizers")

SCHEME = "five"
EMOTIONS = ("happiness", "anger", "contempt", "surprise", "other")  # SAMM's names of these classes
POPULATIONS = {"plain": PLAIN, "wide": WIDE}
IMAGE_SIZE = 64
TRAIN_FIRST, TRAIN_PEOPLE, TRAIN_EACH = 3000, 150, 100  # people of a population, clips of a class
TEST_FIRST, TEST_PEOPLE, TEST_EACH = 3700, 40, 40
# The systems read onset and apex, which fewer frames between them leave as they are.
TRAIN_FPS, TEST_FPS = 30.0, 100.0

# Chosen by the UAR on 80 other people, 3600 to 3679, who are in no figure. STSTNet was worse at
# lower learning rates, with less dropout and with larger frames; OFF-ApexNet was worse.
SYSTEMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "phantom-ststnet": ("ststnet_tiny", ()),
    "phantom-sssn": ("sssn_tiny", ()),
}


def render(folder: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """The stores to learn from and those to test on, unless they are there."""
    stores: dict[str, list[Path]] = {"train": [], "test": []}
    numbers = {
        "train": (TRAIN_FIRST, TRAIN_PEOPLE, TRAIN_EACH, TRAIN_FPS),
        "test": (TEST_FIRST, TEST_PEOPLE, TEST_EACH, TEST_FPS),
    }
    for role, (first, people, each, fps) in numbers.items():
        for place, (name, population) in enumerate(POPULATIONS.items()):
            store = folder / f"{role}_{name}"
            stores[role].append(store)
            if not store.exists():
                write_store(
                    store,
                    image_size=IMAGE_SIZE,
                    seed=seed,
                    subjects=people,
                    counts=dict.fromkeys(EMOTIONS, each),
                    first_subject=first + place * people,
                    fps=fps,
                    population=population,
                )
    return stores["train"], stores["test"]


def figures(recognizer: TrainedRecognizer, path: Path) -> Tested:
    """What a card says of a test: the store, its people, and figures with 95 % intervals."""
    store = ClipStore.open(path)
    found = recognizer.predict_store(store)
    clips = found.clips
    columns: dict[str, Any] = {
        "dataset": [clip.source for clip in clips],
        "subject": [clip.subject for clip in clips],
        "clip": [clip.name for clip in clips],
        "true": [label(clip.source, clip.emotion, SCHEME) for clip in clips],
        "predicted": found.predicted,
    }
    columns |= {f"p_{k}": found.probabilities[:, i] for i, k in enumerate(found.classes)}
    predictions = Predictions(pd.DataFrame({"seed": 0, "fold": "unseen", **columns}), found.classes)
    shares = {}
    for name in STATISTICS:
        interval = bootstrap_subjects(predictions, name)
        ends = interval.estimate, interval.low, interval.high
        shares[name] = (round(ends[0], 4), round(ends[1], 4), round(ends[2], 4))
    return Tested(
        path=str(path),
        checksum=store.checksum,
        phantom=store.meta["header"]["phantom"],
        clips=len(clips),
        people=tuple(sorted({clip.subject_id for clip in clips})),
        **shares,
    )


def main() -> None:
    """Render, fit, test, and put the recognizers into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/phantom_recognizers"))
    parser.add_argument("--system", action="append", choices=list(SYSTEMS), help="[all]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    logs.set_up()
    with errors_shown(parser):
        train, test = render(options.work, options.seed)
        for name in options.system or SYSTEMS:
            model, overrides = SYSTEMS[name]
            fitted = options.work / "models" / name
            if not fitted.exists():
                request = Request(
                    split="fit",
                    model=model,
                    data=train,
                    classes=SCHEME,
                    seed=options.seed,
                    overrides=["device=cpu", *overrides],
                )
                fit(request, fitted)
            recognizer = recognizers.load(fitted, "cpu")
            tested = tuple(figures(recognizer, store) for store in test)
            weights = {k: v.numpy() for k, v in recognizer.model.state_dict().items()}
            shutil.rmtree(options.out / name, ignore_errors=True)
            card = msgspec.structs.replace(recognizer.card, tested=tested)
            save_recognizer(options.out / name, weights, card)
            for each in tested:
                shown = ", ".join(f"{k} {getattr(each, k)[0]:.3f}" for k in STATISTICS)
                logger.info("%s on %s: %s", name, each.path, shown)


if __name__ == "__main__":
    main()
