"""What the JSON files of a run hold: one type for each, which writes it and reads it.

A run is a folder::

    runs/samm/
        run.json              what its figures depend on (RunIdentity)
        config.yaml           the resolved config
        folds/*.json          what a fold of a seed gave (FoldRecord)
        folds/*/              its recognizer, if it was kept (recognizers.trained.card)
        pretrained/*.json     what a pretraining of a seed gave (PretrainingRecord)
        predictions.csv       held-out predictions at the strict epochs
        oracle.csv            those at each fold's best epoch on its own test clips
        results.json          what was run, on what, and its figures (Results); written last

JSON has no NaN: a number that a model does not have, or that cannot be counted, is null. Keys that
a type does not name are passed over.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from mersynth.face.template import HEAD, Framing
from mersynth.store.names import NameChoice
from recognizers.evaluation.comparison import Interval
from recognizers.folds.guard import Leak, Protocol
from recognizers.folds.splits import Split

Selection = Literal["strict", "oracle"]
"""How a fold's epoch was chosen: without its test clips, or on them."""

Role = Literal["real", "train", "test", "mix", "pretrain"]
"""What a store or file of a run is for."""

Count = Annotated[int, Meta(ge=0)]
Ordinal = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]

T = TypeVar("T")


class Record(Struct, frozen=True):
    """A part of a run's files."""


class Epoch(Record, frozen=True):
    """What an epoch was like; None: the model has no such number.

    Attributes:
        epoch: its number, from 1.
        loss: mean over its clips.
        train_accuracy: share of its clips that were right while it went on, augmented.
        learning_rate: of the first group of parameters.
        test_accuracy: share of the test clips that are right after it; None of a pretraining.
    """

    epoch: Ordinal
    loss: float | None = None
    train_accuracy: Share | None = None
    learning_rate: float | None = None
    test_accuracy: Share | None = None


class FoldRecord(Record, frozen=True):
    """What a fold of a seed gave (``folds/*.json``).

    Attributes:
        fold: its name.
        seed: of the run.
        seconds: it took.
        epoch: chosen without the test clips.
        oracle_epoch: the one that predicts the test clips best.
        curve: an entry an epoch.
        clips: ids of the N test clips.
        probabilities: (N, C) at ``epoch``.
        oracle_probabilities: (N, C) at ``oracle_epoch``.
        weights: SHA-256 of the recognizer that was kept.
    """

    fold: str
    seed: Count
    seconds: Seconds
    epoch: Ordinal
    oracle_epoch: Ordinal
    curve: tuple[Epoch, ...]
    clips: tuple[str, ...]
    probabilities: tuple[tuple[Share, ...], ...]
    oracle_probabilities: tuple[tuple[Share, ...], ...]
    weights: str | None = None

    def __post_init__(self) -> None:
        for name in ("probabilities", "oracle_probabilities"):
            if (rows := len(getattr(self, name))) != len(self.clips):
                raise ValueError(f"{name} has {rows} rows for {len(self.clips)} clips")


class PretrainingRecord(Record, frozen=True):
    """What a pretraining of a seed gave (``pretrained/*.json``).

    Attributes:
        group: number of the group of folds that start from it.
        seed: of the run.
        seconds: it took.
        curve: an entry an epoch.
        weights: SHA-256 of the weights beside it.
    """

    group: Count
    seed: Count
    seconds: Seconds
    curve: tuple[Epoch, ...]
    weights: str


class ModelIdentity(Record, frozen=True):
    """Registered name of a model, and the options of ``create_model``."""

    name: str
    options: dict[str, Any]


class RunIdentity(Record, frozen=True):
    """What the figures of a run depend on, seeds apart (``run.json``).

    Attributes:
        mersynth: version.
        split, protocol, seed, names, first_label: as they were asked for
            (:class:`recognizers.experiment.request.Request`).
        model: its name and options.
        features, augment, training, pretraining, fine_tuning: settings of the config; None: none
            of their own.
        data: role and checksum of each store and file.
        classes: their names.
        folds: their names.
        inner: by fold, the rows that its epoch is chosen on; None: the epoch is fixed.
        learned: by fold, the number of clips to learn from.
        pretrained_on: by group, the number of clips.
        device: ``"cpu"`` or ``"cuda"``.
        command: what goes on with the run; the figures do not depend on it.
    """

    mersynth: str
    split: Split
    protocol: Protocol
    seed: Count
    model: ModelIdentity
    features: dict[str, Any] | None
    augment: dict[str, Any]
    training: dict[str, Any]
    pretraining: dict[str, Any] | None
    data: tuple[tuple[Role, str], ...]
    classes: tuple[str, ...]
    folds: tuple[str, ...]
    inner: tuple[tuple[Count, ...] | None, ...]
    learned: tuple[Count, ...]
    pretrained_on: tuple[Count, ...]
    device: str
    names: NameChoice | None = None
    fine_tuning: dict[str, Any] | None = None
    first_label: Count | None = None
    command: str | None = None


class DataUsed(Record, frozen=True):
    """A store or a feature file that a run was made of.

    Attributes:
        path: folder of the store, or the ``.npz`` file.
        role: what it is for.
        checksum: of the store's files, or of the file.
        clips: their number.
        subjects: number of people.
        classes: number of clips by class.
        image_size: side of a store's frames, in pixels; None of a file.
        framing: where faces lie in them; None where it is not known. Runs that name none were made
            before framings were recorded.
        phantom: version of the phantom whose faces they show; None: of other faces, or not known.
    """

    path: str
    role: Role
    checksum: str
    clips: Count
    subjects: Count
    classes: dict[str, Count]
    image_size: Ordinal | None = None
    framing: Framing | None = HEAD
    phantom: Ordinal | None = None


class ModelSummary(Record, frozen=True):
    """The model of a run: its config, name, options, size and reference."""

    config: str
    name: str
    options: dict[str, Any]
    parameters: Count
    paper: str | None


class FoldSummary(Record, frozen=True):
    """What a fold learned from and tested.

    Attributes:
        name: of the fold.
        tested: ids of the people.
        train: number of its own training clips.
        mixed: number of clips mixed in.
        test: number of test clips.
        missing: classes that it could not learn.
        pretraining: number of the pretraining that it started from; None: of none.
        leaks: what the guard let pass.
    """

    name: str
    tested: tuple[str, ...]
    train: Count
    mixed: Count
    test: Count
    missing: tuple[str, ...]
    pretraining: Count | None
    leaks: tuple[Leak, ...]


class PretrainingSummary(Record, frozen=True):
    """What a group of folds was pretrained on.

    Attributes:
        stores: paths of stores and files.
        clips: their number.
        classes: number of clips by class.
        folds: names of the group's folds.
        generators: SHA-256 of those that made the clips.
        unseen: number of people whom none of them ever saw; None: no clip is synthetic.
    """

    stores: tuple[str, ...]
    clips: Count
    classes: dict[str, Count]
    folds: tuple[str, ...]
    generators: tuple[str, ...]
    unseen: Count | None


class ByStatistic(Record, Generic[T], frozen=True):
    """Something of each statistic."""

    accuracy: T
    uf1: T
    uar: T


class ScoredSeed(Record, frozen=True):
    """:class:`recognizers.evaluation.metrics.Scores` of a seed; None of a class without clips."""

    classes: tuple[str, ...]
    confusion: tuple[tuple[Count, ...], ...]
    accuracy: Share
    uf1: Share
    uar: Share
    recall: dict[str, Share | None]
    f1: dict[str, Share | None]


class ScoredPool(Record, frozen=True):
    """:class:`recognizers.evaluation.metrics.SeedScores` of a pool of predictions."""

    mean: ByStatistic[Share]
    sd: ByStatistic[Annotated[float, Meta(ge=0)]] | None
    seeds: dict[str, ScoredSeed]


class Intervals(Record, frozen=True):
    """Intervals over people by selection; None where one person alone was tested."""

    strict: ByStatistic[Interval] | None
    oracle: ByStatistic[Interval] | None


class Results(Record, frozen=True):
    """What was run, on what, and its figures (``results.json``).

    Attributes:
        mersynth: version.
        split, protocol, groups, scheme, first_label, names, seeds: as they were asked for
            (:class:`recognizers.experiment.request.Request`).
        marked: why no figure is a result; empty under the strict protocol.
        model: its config, size and reference.
        classes: their names.
        selection: how the number of epochs was chosen.
        data: stores and files.
        alike: names that look alike in them.
        folds: what each learned from.
        pretraining: what each group of folds was pretrained on.
        headline: whose figures come first.
        strict, oracle: scores of all databases together (``"Full"``) and of each.
        intervals: over people.
        device: ``"cpu"`` or ``"cuda"``.
        seconds: all folds took.
    """

    mersynth: str
    split: Split
    protocol: Protocol
    groups: Ordinal | None
    scheme: str
    marked: tuple[str, ...]
    model: ModelSummary
    classes: tuple[str, ...]
    seeds: tuple[Count, ...]
    selection: Literal["fixed", "inner"]
    data: tuple[DataUsed, ...]
    folds: tuple[FoldSummary, ...]
    pretraining: tuple[PretrainingSummary, ...]
    headline: Selection
    strict: dict[str, ScoredPool]
    oracle: dict[str, ScoredPool] | None
    intervals: Intervals
    device: str
    seconds: Seconds
    first_label: Count | None = None
    names: NameChoice | None = None
    alike: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if getattr(self, self.headline) is None:
            raise ValueError(f"headline is {self.headline}, and it holds no such figures")
        if self.protocol == "strict" and (self.marked or self.headline == "oracle"):
            raise ValueError(
                f"the protocol is strict, yet its headline is {self.headline} and marked is "
                f"{list(self.marked)}; only protocol paper may have marks or an oracle headline"
            )
