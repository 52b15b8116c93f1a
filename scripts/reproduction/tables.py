"""Published tables, and the run that reproduces each of their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recognizers.evaluation.metrics import FULL, Statistic
from recognizers.folds.splits import Split

MISSING = "-"
"""A figure that a table leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a model is tested on, and how.

    Attributes:
        database: the tested database; under ``cross``, the one to train on.
        split: how clips are divided.
        classes: label scheme.
        test: under ``cross``, the database that is tested.
        emotions: the database's own labels that the paper keeps; none: all that the scheme has.
    """

    database: str
    split: Split = "loso"
    classes: str = "five"
    test: str | None = None
    emotions: tuple[str, ...] = ()

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the stores that it needs."""
        return (self.database,) if self.test is None else (self.database, self.test)

    @property
    def name(self) -> str:
        """A part of a folder's name."""
        split = () if self.split in ("loso", "cde") else (self.split,)
        emotions = (f"{len(self.emotions)}emotions",) if self.emotions else ()
        return "_".join([*self.databases, self.classes, *emotions, *split])


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of figures.

    Attributes:
        head: the table's name for the data.
        metric: its name for the figure.
        statistic: our statistic.
        setting: the setting of the run.
        part: database of a composite whose clips are scored; ``"Full"``: all of them.
        percent: whether the table prints percentages.
    """

    head: str
    metric: str
    statistic: Statistic
    setting: Setting
    part: str = FULL
    percent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A method.

    Attributes:
        label: as printed.
        published: one figure per column, with the digits that the paper prints.
        config: name in ``configs/model``; None: this project has no such system, and the row shows
            the published figures only.
        overrides: of ``configs/evaluate.yaml``, by the tested database; ``""``: for every one.
        pretrained: whether it is pretrained on synthetic clips.
        mix: database of macro-expressions that is also trained on.
        classes: label scheme, if it is not that of the columns.
        note: what a reader must know to compare the figures.
    """

    label: str
    published: tuple[str, ...]
    config: str | None = None
    overrides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pretrained: bool = False
    mix: str | None = None
    classes: str | None = None
    note: str = ""

    def setting(self, column: Column) -> Setting:
        """The row's setting for a column."""
        if self.classes is None:
            return column.setting
        return replace(column.setting, classes=self.classes)

    def changes(self, database: str) -> tuple[str, ...]:
        """Its overrides on a database."""
        return (*self.overrides.get("", ()), *self.overrides.get(database, ()))

    def run_name(self, setting: Setting) -> str:
        """Folder of its run: the same for the same run in two tables of a paper."""
        assert self.config is not None
        pretrained = ("pretrained",) if self.pretrained else ()
        return "_".join([self.config, *pretrained, setting.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a paper.

    Attributes:
        paper: folder of its runs.
        number: the paper's number.
        title: system, table and what is compared.
        columns: of figures.
        rows: methods.
        notes: what a reader must know to compare the figures.
    """

    paper: str
    number: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A file's name."""
        return f"{self.paper}_table_{self.number}"


def row(label: str, published: str, config: str | None = None, **others: object) -> Row:
    """A row whose published figures are one string, like a line of the paper's table."""
    return Row(label=label, published=tuple(published.split()), config=config, **others)  # type: ignore[arg-type]


def columns(
    head: str, setting: Setting, metrics: Mapping[str, Statistic], part: str = FULL
) -> tuple[Column, ...]:
    """Columns with one head, one for each metric; ``metrics`` by the table's names."""
    return tuple(
        Column(head=head, metric=metric, statistic=statistic, setting=setting, part=part)
        for metric, statistic in metrics.items()
    )
