"""What to read first in a run's report, in a sentence.

UF1 is measured against guessing. Whoever names each of C classes as often as it occurs, at random,
has a precision and a recall of its share of the clips, p_c, and so an F1 of p_c, whose mean is 1/C.
Naming all classes equally often, or always the most frequent one, gives no more.
"""

from __future__ import annotations

import numpy as np

from mersynth.pages.rendering import figure, plural
from recognizers.evaluation.calibration import Calibration
from recognizers.evaluation.metrics import FULL
from recognizers.report.figures import headline
from recognizers.report.run import Run

_OFF = 0.05  # points of probability that are worth a word


def what_to_read_first(run: Run, calibrated: Calibration) -> str:
    """How sure the headline is, which class is the weakest, and whether probabilities can be taken.

    Args:
        run: a run; of protocol paper, the sentence says that nothing is a result.
        calibrated: calibration of its strict predictions.
    """
    if run.is_paper:
        return "No figure of this run is a result: it repeats published habits for comparison only."
    parts = [_uf1(run), _weakest(run)]
    if abs(gap := calibrated.confidence - calibrated.accuracy) > _OFF:
        words = "surer than right" if gap > 0 else "less sure than right"
        parts.append(
            f"its probabilities are {words}: {figure(calibrated.confidence)} on average, where "
            f"{figure(calibrated.accuracy)} are right"
        )
    return f"{'; '.join(part for part in parts if part)}."


def _uf1(run: Run) -> str:
    uf1 = headline(run)["strict"]["uf1"]
    pool = next(iter(run.scores["strict"][FULL].scores.values()))
    chance = 1 / int((pool.confusion.sum(1) > 0).sum())
    interval = uf1.interval
    if interval is None:
        return f"UF1 is {figure(uf1.mean)} on one person, which says nothing of others"
    between = f"{figure(interval.low)} to {figure(interval.high)} over {interval.subjects} people"
    if interval.low > chance:
        return f"UF1 is {figure(uf1.mean)} ({between}), above the {figure(chance)} of guessing"
    if interval.high < chance:
        return f"UF1 is {figure(uf1.mean)} ({between}), below the {figure(chance)} of guessing"
    return (
        f"UF1 is {figure(uf1.mean)}, but may be no better than the {figure(chance)} of guessing: "
        f"its interval is {between}"
    )


def _weakest(run: Run) -> str:
    pool = run.scores["strict"][FULL].scores.values()
    confusion = np.mean([one.confusion for one in pool], axis=0)
    clips = confusion.sum(1)
    if (clips > 0).sum() < 2:
        return ""
    recall = np.where(clips > 0, np.diag(confusion) / np.maximum(clips, 1), np.inf)
    worst = int(recall.argmin())
    classes = run.predictions["strict"].classes
    others = np.where(np.arange(len(classes)) == worst, -1, confusion[worst])
    said = (
        f"{classes[worst]} is found least, in {round(100 * recall[worst])} % of its "
        f"{plural(round(clips[worst]), 'clip')}"
    )
    return said if others.max() <= 0 else f"{said}, and mostly taken for {classes[others.argmax()]}"
