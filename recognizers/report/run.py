"""A finished run's folder, read and checked.

A run is a folder::

    runs/samm/
        results.json          what was run, on what, and its figures
        predictions.csv       held-out predictions at the strict epochs
        oracle.csv            those at each fold's best epoch on its own test clips
        config.yaml           the resolved config
        folds/*.json          for each fold and seed: epochs and learning curve
        folds/*/              its recognizer, if it was kept (recognizers.trained.card)
        pretrained/*.json     for each pretraining and seed: learning curve

:mod:`recognizers.report.layout` says what the JSON files hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mersynth.checks import check_choice
from recognizers.evaluation.comparison import Interval
from recognizers.evaluation.metrics import FULL, STATISTICS, SeedScores, Statistic, by_dataset
from recognizers.evaluation.predictions import Predictions
from recognizers.report.layout import FOLD, PRETRAINED, RESULTS, RunError, read_json

Selection = Literal["strict", "oracle"]

SELECTIONS: tuple[Selection, ...] = ("strict", "oracle")
"""How a fold's epoch was chosen: without its test clips, or on them."""

TABLES: dict[Selection, str] = {"strict": "predictions.csv", "oracle": "oracle.csv"}
"""File of the predictions, by selection."""

_REPEAT = "repeat the command that made the run"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        path: the folder.
        results: ``results.json``.
        predictions: by selection; the oracle's are left out where the run has none.
        scores: by selection, of all databases together (``"Full"``) and of each; computed anew
            from the predictions.
        config: ``config.yaml`` as written; None where there is none.
        folds: ``folds/*.json`` of the results' seeds, in the order of their names; empty where
            none were kept.
        pretrained: ``pretrained/*.json``, likewise.
    """

    path: Path
    results: Mapping[str, Any]
    predictions: Mapping[Selection, Predictions]
    scores: Mapping[Selection, Mapping[str, SeedScores]]
    config: str | None
    folds: Sequence[Mapping[str, Any]]
    pretrained: Sequence[Mapping[str, Any]]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Read a run's folder.

        Raises:
            RunError: if there is no such folder, the run is not finished, or a file is missing,
                damaged, or at odds with another.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"there is no folder {path}; name the folder of a run")
        if not (path / "results.json").is_file():
            raise RunError(
                f"{path} is not a finished run: it has no results.json; {_REPEAT} (it goes on with "
                "the missing folds), or name the folder of another run"
            )
        results = read_json(path / "results.json", RESULTS)
        _check_habit(results, path / "results.json")
        chosen = [name for name in SELECTIONS if results[name] is not None]
        predictions = {name: _read_predictions(path, name, results) for name in chosen}
        return cls(
            path=path,
            results=results,
            predictions=predictions,
            scores={name: _scores(path, name, results, predictions[name]) for name in chosen},
            config=_read_text(path / "config.yaml"),
            folds=_records(path / "folds", FOLD, results),
            pretrained=_records(path / "pretrained", PRETRAINED, results),
        )

    @property
    def is_paper(self) -> bool:
        """Whether the run kept published habits, so that none of its figures is a result."""
        return bool(self.results["habit"] == "paper")

    @property
    def headline(self) -> Selection:
        """Whose figures the run puts first."""
        return cast(Selection, self.results["headline"])

    @property
    def databases(self) -> list[str]:
        """Names of the databases that were tested, sorted."""
        return [name for name in self.scores["strict"] if name != FULL]

    def interval(self, selection: Selection, statistic: Statistic) -> Interval | None:
        """The interval over subjects; None where there was none to compute."""
        intervals = self.results["intervals"][selection]
        return Interval(**intervals[statistic]) if intervals else None


def _records(
    folder: Path, layout: Mapping[str, Any], results: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The records of the seeds that the results cover; the folder may hold more."""
    records = [read_json(file, layout) for file in sorted(folder.glob("*.json"))]
    return [record for record in records if record["seed"] in results["seeds"]]


def _check_habit(results: Mapping[str, Any], path: Path) -> None:
    for key, allowed in (("habit", ("strict", "paper")), ("headline", SELECTIONS)):
        check_choice(f"{path}: {key}", results[key], allowed, RunError)
    if results[results["headline"]] is None:
        raise RunError(f"{path} holds no {results['headline']} figures; {_REPEAT}")
    if results["habit"] == "strict" and (results["marked"] or results["headline"] == "oracle"):
        raise RunError(
            f"{path}: the habit is strict, yet its headline is {results['headline']} and marked is "
            f"{results['marked']}; only habit paper may have marks or an oracle headline"
        )


def _read_predictions(path: Path, selection: Selection, results: Mapping[str, Any]) -> Predictions:
    file = path / TABLES[selection]
    try:
        predictions = Predictions.from_csv(file, results["classes"])
    except FileNotFoundError as error:
        raise RunError(f"{path} has no {file.name}; {_REPEAT}") from error
    except ValueError as error:
        text = str(error) if str(file) in str(error) else f"{file}: {error}"
        raise RunError(f"{text}; {_REPEAT}") from error
    if list(predictions.seeds) != sorted(results["seeds"]):
        raise RunError(
            f"{file} holds the seeds {list(predictions.seeds)}, results.json names "
            f"{results['seeds']}; {_REPEAT}"
        )
    return predictions


def _scores(
    path: Path, selection: Selection, results: Mapping[str, Any], predictions: Predictions
) -> dict[str, SeedScores]:
    """Scores of the predictions, with which results.json must agree."""
    try:
        scores = by_dataset(predictions)
    except ValueError as error:
        raise RunError(f"{path / TABLES[selection]}: {error}") from error
    counted = {name: part.mean for name, part in scores.items()}
    written = {name: part["mean"] for name, part in results[selection].items()}
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
