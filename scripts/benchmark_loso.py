"""Time leave-one-subject-out on random flow images of the composite's size, without any licence.

    python scripts/benchmark_loso.py             # STSTNet, 442 clips, 68 people, 30 epochs
    python scripts/benchmark_loso.py --workers 1

The time is that of the whole command: reading, folds, figures and report.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from mersynth import logs

logger = logging.getLogger("recognizers.scripts.benchmark_loso")

CLASSES = {"negative": 250, "positive": 109, "surprise": 83}  # of MEGC2019


def write_features(path: Path, people: int, size: int = 28) -> None:
    """Random flow and strain, as many clips of each class as the composite has."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(len(CLASSES)), list(CLASSES.values())))
    rest = rng.integers(0, people, len(y) - people)
    np.savez(
        path,
        x=rng.normal(size=(len(y), 3, size, size)).astype(np.float32),
        y=y,
        subject=np.array([f"{i:02}" for i in [*range(people), *rest]]),
        classes=np.array(list(CLASSES)),
        channels=np.array(["u", "v", "strain"]),
    )


def main() -> None:
    """Time a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ststnet", help="a system that reads flow and strain")
    parser.add_argument("--people", type=int, default=68)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, help="processes; as many as cores unless given")
    options = parser.parse_args()
    logs.set_up()
    # Here, for each worker reads this file anew.
    from recognizers.experiment.evaluate import evaluate
    from recognizers.experiment.request import Request

    overrides = [f"model.training.epochs={options.epochs}", "device=cpu"]
    if options.workers:
        overrides.append(f"executor.workers={options.workers}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "random.npz"
        write_features(data, options.people)
        start = time.monotonic()
        request = Request(split="loso", model=options.model, data=[data], overrides=overrides)
        evaluate(request, Path(folder) / "run")
        seconds = time.monotonic() - start
    logger.info(
        "%s: %d folds of %d epochs in %.1f s",
        options.model,
        options.people,
        options.epochs,
        seconds,
    )


if __name__ == "__main__":
    main()
