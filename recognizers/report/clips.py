"""Single clips on the pages of runs, and links to where they can be watched."""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from recognizers.evaluation.predictions import Predictions
from recognizers.report.run import Run

_CLIP = re.compile(r'<figure class="clip" id="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Mistake:
    """A clip that was taken for another class.

    Attributes:
        clip: its id.
        true: its class.
        predicted: the class that most seeds predicted, where they were wrong.
        confidence: its probability, the mean over all seeds.
        seeds: share of the seeds that were wrong.
    """

    clip: str
    true: str
    predicted: str
    confidence: float
    seeds: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A clip that one of two runs predicts better.

    Attributes:
        clip: its id.
        true: its class.
        run: what most seeds of the run predicted.
        baseline: what most seeds of the baseline predicted.
        gain: share of the run's seeds that were right, minus that of the baseline's.
    """

    clip: str
    true: str
    run: str
    baseline: str
    gain: float


@dataclass(frozen=True, slots=True)
class ClipLinks:
    """Where clips can be watched.

    Attributes:
        to: addresses in galleries, by the clip's id.
        missing: stores that have no gallery yet.
    """

    to: dict[str, str]
    missing: tuple[str, ...]


def surest_mistakes(predictions: Predictions, most: int = 12) -> list[Mistake]:
    """The clips for which a wrong class got the highest probability, the surest first."""
    frame = predictions.frame
    found = []
    for key, rows in frame.groupby(["dataset", "subject", "clip"], sort=True):
        wrong = rows.loc[rows["predicted"] != rows["true"], "predicted"]
        if len(wrong):
            name = Counter(wrong).most_common(1)[0][0]
            found.append(
                Mistake(
                    clip="/".join(key),
                    true=rows["true"].iloc[0],
                    predicted=name,
                    confidence=float(rows[f"p_{name}"].mean()),
                    seeds=len(wrong) / len(rows),
                )
            )
    return sorted(found, key=lambda each: (-each.confidence, each.clip))[:most]


def disagreements(run: Predictions, baseline: Predictions) -> list[Disagreement]:
    """Clips that at least half of the seeds of one run have right more than of the other.

    Args:
        run: a run.
        baseline: another one with the same clips and labels.

    Returns:
        Those that the run gains first, then those that it loses, each by clip.
    """
    ours, theirs = run.codes, baseline.codes
    gain = (ours.predicted == ours.true).mean(0) - (theirs.predicted == theirs.true).mean(0)
    rows = [
        Disagreement(
            clip=clip,
            true=run.classes[ours.true[i]],
            run=_most(run, ours.predicted[:, i]),
            baseline=_most(baseline, theirs.predicted[:, i]),
            gain=float(gain[i]),
        )
        for i, clip in enumerate(run.clips)
        if abs(gain[i]) >= 0.5
    ]
    return sorted(rows, key=lambda each: (-each.gain, each.clip))


def _most(predictions: Predictions, codes: np.ndarray) -> str:
    return predictions.classes[Counter(codes.tolist()).most_common(1)[0][0]]


def clip_links(runs: Iterable[Run], page: Path) -> ClipLinks:
    """Links from a page to the tested clips in the galleries of their stores.

    Args:
        runs: the runs whose clips are shown.
        page: the page that will have the links.
    """
    from mersynth.pages.gallery import PAGE

    to: dict[str, str] = {}
    missing = []
    tested = [used for run in runs for used in run.results.data if used.role in ("real", "test")]
    for store in dict.fromkeys(Path(used.path) for used in tested):
        if (store / PAGE).is_file():
            address = relative(store / PAGE, page)
            text = (store / PAGE).read_text(encoding="utf-8")
            for clip in map(html.unescape, _CLIP.findall(text)):
                to[clip] = f"{address}#{quote(clip)}"
        elif (store / "store.json").is_file():
            missing.append(str(store))
    return ClipLinks(to, tuple(missing))


def relative(target: Path, page: Path) -> str:
    """The address of a file as a page links to it."""
    try:
        return quote(Path(os.path.relpath(target, page.parent)).as_posix())
    except ValueError:  # on another drive of Windows
        return target.resolve().as_uri()


def report_links(runs: Sequence[Run], page: Path) -> dict[str, str]:
    """Addresses of the reports of runs, by the runs' names, where there are any."""
    reports = {str(run.path): run.path / "report.html" for run in runs}
    return {name: relative(file, page) for name, file in reports.items() if file.is_file()}
