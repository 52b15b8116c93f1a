"""Reads and checks a finished run's folder: its records and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from recognizers.evaluation.comparison import Interval
from recognizers.evaluation.metrics import FULL, STATISTICS, SeedScores, Statistic, by_dataset
from recognizers.evaluation.predictions import Predictions
from recognizers.runs.files import CONFIG, RESULTS, TABLES, RunError, not_finished, read
from recognizers.runs.records import FoldRecord, PretrainingRecord, Results, Selection

SELECTIONS: tuple[Selection, ...] = get_args(Selection)

_REPEAT = "repeat the command that made the run"

R = TypeVar("R", FoldRecord, PretrainingRecord)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        path: the folder.
        results: ``results.json``.
        predictions: by selection; without the oracle's if the run has none.
        scores: by selection, of all databases together (``"Full"``) and of each; computed from
            the predictions.
        config: ``config.yaml`` as written; None if there is none.
        folds: ``folds/*.json`` of the results' seeds, in the order of their names; empty if none
            were kept.
        pretrained: ``pretrained/*.json``, likewise.
    """

    path: Path
    results: Results
    predictions: Mapping[Selection, Predictions]
    scores: Mapping[Selection, Mapping[str, SeedScores]]
    config: str | None
    folds: Sequence[FoldRecord]
    pretrained: Sequence[PretrainingRecord]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Read a run's folder.

        Raises:
            RunError: if there is no such folder, the run is not finished, or a file is missing,
                damaged, or contradicts another.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"there is no folder {path}; give the folder of a run")
        if not (path / RESULTS).is_file():
            raise not_finished(path)
        results = read(path / RESULTS, Results)
        chosen = [name for name in SELECTIONS if getattr(results, name) is not None]
        predictions = {name: _read_predictions(path, name, results) for name in chosen}
        return cls(
            path=path,
            results=results,
            predictions=predictions,
            scores={name: _scores(path, name, results, predictions[name]) for name in chosen},
            config=_read_text(path / CONFIG),
            folds=_folds(path, results, predictions[results.headline]),
            pretrained=_records(path / "pretrained", PretrainingRecord, results),
        )

    @property
    def is_paper(self) -> bool:
        """Whether the run is of protocol paper, so that none of its figures is a result."""
        return self.results.protocol == "paper"

    @property
    def headline(self) -> Selection:
        """The selection whose figures come first."""
        return self.results.headline

    @property
    def databases(self) -> list[str]:
        """Names of the databases that were tested, sorted."""
        return [name for name in self.scores["strict"] if name != FULL]

    def interval(self, selection: Selection, statistic: Statistic) -> Interval | None:
        """The interval over subjects; None if it was not computed."""
        intervals = getattr(self.results.intervals, selection)
        return getattr(intervals, statistic) if intervals else None


def _records(folder: Path, kind: type[R], results: Results) -> list[R]:
    """The records of the seeds in the results; the folder may have more."""
    files = sorted(folder.glob("*.json"))
    records = [read(file, kind) for file in files]
    for file, record in zip(files, records, strict=True):
        if file.name.partition("_")[0] != str(record.seed):
            raise RunError(f"{file} is damaged (it is of seed {record.seed}); {_REPEAT}")
    return [record for record in records if record.seed in results.seeds]


def _folds(path: Path, results: Results, predictions: Predictions) -> list[FoldRecord]:
    """The folds' records, each of which must be of a fold and of clips of the run."""
    records = _records(path / "folds", FoldRecord, results)
    names, clips = {fold.name for fold in results.folds}, set(predictions.clips)
    for record in records:
        if record.fold not in names or not set(record.clips) <= clips:
            raise RunError(
                f"{path / 'folds'} holds a record of fold {record.fold} and seed {record.seed}, "
                f"whose clips are not those of {RESULTS}; {_REPEAT}"
            )
    return records


def _read_predictions(path: Path, selection: Selection, results: Results) -> Predictions:
    file = path / TABLES[selection]
    try:
        predictions = Predictions.from_csv(file, results.classes)
    except FileNotFoundError as error:
        raise RunError(f"{path} has no {file.name}; {_REPEAT}") from error
    except ValueError as error:
        text = str(error) if str(file) in str(error) else f"{file}: {error}"
        raise RunError(f"{text}; {_REPEAT}") from error
    if list(predictions.seeds) != sorted(results.seeds):
        raise RunError(
            f"{file} holds the seeds {list(predictions.seeds)}, results.json names "
            f"{list(results.seeds)}; {_REPEAT}"
        )
    return predictions


def _scores(
    path: Path, selection: Selection, results: Results, predictions: Predictions
) -> dict[str, SeedScores]:
    """Scores of the predictions; results.json must agree with them."""
    try:
        scores = by_dataset(predictions)
    except ValueError as error:
        raise RunError(f"{path / TABLES[selection]}: {error}") from error
    counted = {name: part.mean for name, part in scores.items()}
    pools = getattr(results, selection)
    written = {name: {s: getattr(pool.mean, s) for s in STATISTICS} for name, pool in pools.items()}
    if counted.keys() != written.keys() or any(
        abs(counted[name][statistic] - written[name][statistic]) > 1e-6
        for name in counted
        for statistic in STATISTICS
    ):
        raise RunError(
            f"{path}: the {selection} figures of results.json are not those of "
            f"{TABLES[selection]}: {written} and {counted}; one of the files was changed, {_REPEAT}"
        )
    return scores


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: {error}") from error
