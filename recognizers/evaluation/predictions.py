"""A run's predictions for its held-out clips: the table ``predictions.csv`` of a run folder."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mersynth.checks import listed
from mersynth.disk.files import check_regular, whole_file
from recognizers.evaluation.prediction_checks import (
    CLIP_KEY,
    COLUMNS,
    ClipKey,
    check_classes,
    check_columns,
    check_same_clips,
    cleaned,
    text_column,
)

if TYPE_CHECKING:
    import pandas as pd


class LabelCodes(NamedTuple):
    """Labels as numbers; clip ``n`` is the same one in every array.

    Attributes:
        true: (N,) int, indices in ``Predictions.classes``.
        predicted: (K, N) int, one row per seed in the order of ``Predictions.seeds``.
        subject: (N,) int, in 0..S-1; subjects of two databases are never the same.
    """

    true: np.ndarray
    predicted: np.ndarray
    subject: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A run's predictions for held-out clips: one row per clip and seed, in any order.

    Args:
        frame: the columns seed, fold, dataset, subject, clip, true, predicted, and a probability
            ``p_<class>`` for each class; further columns are kept as they are. Every seed has
            the same clips, once each, with the same true labels. The frame is copied; its rows are
            sorted by seed, dataset, subject and clip, its text columns become strings, its
            probabilities float64.
        classes: names of the classes, in the order of the model's outputs.

    Raises:
        ValueError: if a column is missing, a cell empty, a label not a class, a seed not a whole
            number, a probability missing or outside [0, 1], or a row's do not add up to 1; if a
            label is not the most probable class, a clip comes twice for a seed, or two seeds differ
            in their clips or true labels.

    Example:
        >>> predictions = Predictions.from_csv("runs/samm/predictions.csv")    # doctest: +SKIP
        >>> score_seeds(predictions).mean["uf1"]                               # doctest: +SKIP
        0.706
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        classes = check_classes(self.classes)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "frame", cleaned(self.frame, classes))
        _check_seeds_agree(self)

    @classmethod
    def from_csv(cls, path: str | Path, classes: Sequence[str] | None = None) -> Predictions:
        """Read a table; every cell is read as written, so that subject ``006`` keeps its zeros.

        Args:
            path: a CSV file in UTF-8 with a header.
            classes: names of the classes; by default those of the ``p_`` columns, in their order.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a line has too few or too many cells, or as for :class:`Predictions`.
        """
        import pandas as pd

        try:
            check_regular(Path(path))
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                lines = [line for line in csv.reader(file, strict=True) if line]
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{path} is not a readable table: {error}") from error
        if not lines:
            raise ValueError(f"{path} is empty; it needs the columns {', '.join(COLUMNS)}")
        header, *rows = lines
        for number, row in enumerate(rows, start=1):
            if len(row) != len(header):
                raise ValueError(
                    f"{path}: row {number} has {len(row)} cells, the header has {len(header)}"
                )
        if classes is None:
            classes = [name.removeprefix("p_") for name in header if name.startswith("p_")]
        try:
            return cls(pd.DataFrame(rows, columns=header, dtype=object), tuple(classes))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_csv(self, path: str | Path) -> None:
        """Write the table, which :meth:`from_csv` reads back bit for bit; whole or not at all."""
        with whole_file(Path(path)) as partial:
            self.frame.to_csv(partial, index=False, encoding="utf-8", lineterminator="\n")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the run, in rising order."""
        return tuple(int(seed) for seed in self.frame["seed"].unique())

    @property
    def clips(self) -> tuple[str, ...]:
        """Ids ``dataset/subject/clip`` of the N clips, sorted as the rows are."""
        return tuple("/".join(key) for key in self._keys())

    @property
    def num_subjects(self) -> int:
        """Number of people; subjects of two databases are never the same."""
        return len({key[:2] for key in self._keys()})

    @property
    def codes(self) -> LabelCodes:
        """The labels as numbers, clip by clip in the order of :attr:`clips`."""
        index = {name: code for code, name in enumerate(self.classes)}
        shape = (len(self.seeds), -1)
        true, predicted = (
            self.frame[column].map(index).to_numpy(dtype=np.int64).reshape(shape)
            for column in ("true", "predicted")
        )
        subjects: dict[tuple[str, str], int] = {}
        subject = [subjects.setdefault((d, s), len(subjects)) for d, s, _ in self._keys()]
        return LabelCodes(true[0], predicted, np.array(subject))

    def true_labels(self) -> dict[ClipKey, str]:
        """The true label of each clip, by (dataset, subject, clip)."""
        keys = self._keys()
        return dict(zip(keys, self.frame["true"].iloc[: len(keys)], strict=True))

    def _keys(self) -> list[ClipKey]:
        first = self.frame[self.frame["seed"] == self.frame["seed"].iloc[0]]
        return list(first[list(CLIP_KEY)].itertuples(index=False, name=None))


def join(predictions: Predictions, table: pd.DataFrame) -> Predictions:
    """Join predictions to a table of the truth, by clip id; the order of rows does not matter.

    Args:
        predictions: a run.
        table: one row per clip that the run should have: the columns dataset, subject, clip and
            true; further ones (the database's own emotion, AUs ...) are carried over.

    Returns:
        The same predictions with the table's further columns.

    Raises:
        ValueError: if the table lacks a column, has a clip twice, or has a further column that the
            predictions have, too; if a clip is missing on either side, or the true labels of a
            clip disagree. Clips are named.
    """
    check_columns(table.columns, (*CLIP_KEY, "true"), "the table of the truth")
    key, further = list(CLIP_KEY), [c for c in table.columns if c not in (*CLIP_KEY, "true")]
    if clash := [c for c in further if c in predictions.frame.columns]:
        raise ValueError(f"the table and the predictions both have a column {listed(clash, 5)}")
    table = table.copy()
    for column in (*CLIP_KEY, "true"):
        table[column] = text_column(table, column)
    keys = list(table[key].itertuples(index=False, name=None))
    if len(set(keys)) < len(keys):
        twice = sorted("/".join(k) for k, count in Counter(keys).items() if count > 1)
        raise ValueError(f"clips that come twice in the table of the truth: {listed(twice, 5)}")
    check_same_clips(
        predictions.true_labels(),
        dict(zip(keys, table["true"], strict=True)),
        ("the predictions", "the table of the truth"),
    )
    joined = predictions.frame.merge(table[[*key, *further]], on=key, validate="many_to_one")
    return Predictions(joined, predictions.classes)


def _check_seeds_agree(predictions: Predictions) -> None:
    truth = {
        int(seed): {tuple(row[:3]): row[3] for row in rows.itertuples(index=False, name=None)}
        for seed, rows in predictions.frame.groupby("seed")[[*CLIP_KEY, "true"]]
    }
    first, *others = truth
    for seed in others:
        check_same_clips(truth[first], truth[seed], (f"seed {first}", f"seed {seed}"))
