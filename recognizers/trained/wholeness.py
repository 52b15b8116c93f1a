"""Whether runs and trained recognizers are whole."""

from __future__ import annotations

from pathlib import Path

from recognizers.report.run import Run
from recognizers.trained.recognizer import load


def check_run(path: Path) -> str:
    """Read a run whole, and say what it holds.

    Raises:
        RunError: if it is missing, damaged or not finished; then with how far it came.
    """
    run = Run.open(path)
    clips = len(run.predictions[run.headline].true_labels())
    return (
        f"{path} is whole: {run.results.model.config}, {len(run.folds)} folds with "
        f"{clips} tested clips"
    )


def check_recognizer(path: Path) -> str:
    """Load a trained recognizer, and say what it is.

    Raises:
        RecognizerError: if it is missing or damaged.
    """
    found = load(path, "cpu")
    return (
        f"{path} is whole: {found.card.model}, which learned {found.card.learned.clips} clips of "
        f"{len(found.card.people)} people"
    )
