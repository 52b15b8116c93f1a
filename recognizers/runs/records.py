"""The JSON files of a run: one type for each, by which it is written and read.

A run is a folder::

    runs/samm/
        run.json              what its figures depend on (RunIdentity)
        config.yaml           the resolved config
        folds/*.json          the result of a fold and seed (FoldRecord)
        folds/*/              its recognizer, if it was kept (recognizers.trained.card)
        chosen/*.json         how a fold and seed uses clips to pretrain on, if it chose (Choice)
        pretrained/*.json     the result of a pretraining and seed (PretrainingRecord)
        predictions.csv       held-out predictions at the strict epochs
        oracle.csv            those at each fold's best epoch on its own test clips
        results.json          what was run, on what, and its figures (Results); written last

JSON has no NaN: a number that does not exist for a model, or cannot be computed, is null. Keys that
a type does not name are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from mersynth.face.template import HEAD, Framing
from mersynth.motion.maps import Scale
from mersynth.store.names import NameChoice
from recognizers.evaluation.comparison import Interval
from recognizers.evaluation.prediction_checks import SUM_TOLERANCE
from recognizers.folds.guard import Leak, Protocol
from recognizers.folds.splits import Split

Selection = Literal["strict", "oracle"]
"""How a fold's epoch was chosen: without its test clips (strict), or on them (oracle)."""

Role = Literal["real", "train", "test", "mix", "pretrain"]
"""The use of a store or file in a run."""

Count = Annotated[int, Meta(ge=0)]
Ordinal = Annotated[int, Meta(ge=1)]
ChosenEpoch = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]

T = TypeVar("T")


class Record(Struct, frozen=True):
    """A part of a run's files."""


class Epoch(Record, frozen=True):
    """The figures of an epoch; None: the model has no such number.

    Attributes:
        epoch: its number, from 1.
        loss: mean over its clips.
        train_accuracy: accuracy on its augmented clips, measured during the epoch.
        learning_rate: of the first group of parameters.
        test_accuracy: accuracy on the test clips after it; None for a pretraining.
        clips: number of clips that it learned from; None in runs made before it was recorded.
        strength: mean factor on the AU curves of its clips; None without a curriculum.
    """

    epoch: Ordinal
    loss: float | None = None
    train_accuracy: Share | None = None
    learning_rate: float | None = None
    test_accuracy: Share | None = None
    clips: Count | None = None
    strength: float | None = None


class FoldRecord(Record, frozen=True):
    """The result of a fold and seed (``folds/*.json``).

    Attributes:
        fold: its name.
        seed: of the run.
        seconds: duration.
        epoch: the epoch chosen without the test clips.
        oracle_epoch: the epoch that predicts the test clips best.
        curve: one entry per epoch.
        clips: ids of the N test clips.
        probabilities: (N, C) at ``epoch``.
        oracle_probabilities: (N, C) at ``oracle_epoch``.
        weights: SHA-256 of the recognizer that was kept.
    """

    fold: str
    seed: Count
    seconds: Seconds
    epoch: ChosenEpoch
    oracle_epoch: ChosenEpoch
    curve: tuple[Epoch, ...]
    clips: tuple[str, ...]
    probabilities: tuple[tuple[Share, ...], ...]
    oracle_probabilities: tuple[tuple[Share, ...], ...]
    weights: str | None = None

    def __post_init__(self) -> None:
        for name in ("probabilities", "oracle_probabilities"):
            if (rows := len(getattr(self, name))) != len(self.clips):
                raise ValueError(f"{name} has {rows} rows for {len(self.clips)} clips")
            for clip, row in zip(self.clips, getattr(self, name), strict=True):
                if len(row) != len(self.probabilities[0]) or abs(sum(row) - 1) > SUM_TOLERANCE:
                    raise ValueError(f"{name} of {clip} are not one per class that add up to 1")


class PretrainingRecord(Record, frozen=True):
    """The result of a pretraining and seed (``pretrained/*.json``).

    Attributes:
        group: number of the group of folds that start from it.
        seed: of the run.
        seconds: duration.
        curve: one entry per epoch.
        weights: SHA-256 of the weights beside it.
    """

    group: Count
    seed: Count
    seconds: Seconds
    curve: tuple[Epoch, ...]
    weights: str


class TriedWay(Record, frozen=True):
    """A way to use the clips to pretrain on, and its UF1 on people of the training part."""

    way: str
    uf1: Share


class Choice(Record, frozen=True):
    """How a fold uses the clips to pretrain on (``chosen/*.json``).

    Attributes:
        fold: its name.
        seed: of the run.
        seconds: duration of the trials.
        clips: number of its training clips on which UF1 was measured; 0: nothing could be tried.
        alone: UF1 of the real clips alone.
        tried: the ways.
        chosen: number of the chosen way; None: none of them.
    """

    fold: str
    seed: Count
    seconds: Seconds
    clips: Count
    alone: Share
    tried: tuple[TriedWay, ...]
    chosen: Count | None


class ModelIdentity(Record, frozen=True):
    """A model's registered name, and its options of ``create_model``."""

    name: str
    options: dict[str, Any]


class RunIdentity(Record, frozen=True):
    """What the figures of a run depend on, except seeds (``run.json``).

    Attributes:
        mersynth: version.
        split, protocol, seed, names, first_label: as requested
            (:class:`recognizers.experiment.request.Request`).
        model: its name and options.
        features, augment, training, pretraining, fine_tuning: settings of the config; None: there
            are none.
        data: role and checksum of each store and file.
        classes: their names.
        folds: their names.
        inner: by fold, the rows that its epoch is chosen on; None: the epoch is fixed.
        learned: by fold, the number of clips to train on.
        pretrained_on: by group, the number of clips.
        device: ``"cpu"`` or ``"cuda"``.
        one_pretraining: whether the first seed's pretraining serves all seeds.
        precision: of training.
        choice: how a fold's use of the clips to pretrain on is chosen; None: it is fixed.
        scale, framing: that maps of motion were brought to; None: to none.
        strength: strengths that pretraining goes through; None: it shows all clips in every epoch.
        mixed_until: share of the epochs in which clips mixed in take part; None: all.
        command: the command that continues the run; the figures do not depend on it.
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
    one_pretraining: bool = False
    precision: str = "32-true"
    choice: dict[str, Any] | None = None
    scale: Scale | None = None
    framing: Framing | None = None
    strength: tuple[float, ...] | None = None
    mixed_until: float | None = None
    command: str | None = None


class DataUsed(Record, frozen=True):
    """A store or a feature file that a run used.

    Attributes:
        path: folder of the store, or the ``.npz`` file.
        role: its use.
        checksum: of the store's files, or of the file.
        clips: number of clips.
        subjects: number of people.
        classes: number of clips by class.
        image_size: side of a store's frames, in pixels; None for a file.
        framing: how faces lie in the frames; None if unknown, as in runs made before framings were
            recorded.
        phantom: version of the phantom whose faces they show; None: other faces, or unknown.
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
        pretraining: number of the pretraining that it started from; None: no pretraining.
        leaks: the leaks that the guard allowed.
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
        clips: number of clips.
        classes: number of clips by class.
        folds: names of the group's folds.
        generators: SHA-256 of the generators that made the clips.
        unseen: number of people whom none of them ever saw; None: no clip is synthetic.
        length: epochs, as a share of those set.
    """

    stores: tuple[str, ...]
    clips: Count
    classes: dict[str, Count]
    folds: tuple[str, ...]
    generators: tuple[str, ...]
    unseen: Count | None
    length: Annotated[float, Meta(gt=0)] = 1.0


class ByStatistic(Record, Generic[T], frozen=True):
    """A value for each statistic."""

    accuracy: T
    uf1: T
    uar: T


class ScoredSeed(Record, frozen=True):
    """:class:`recognizers.evaluation.metrics.Scores` of a seed; None for a class without clips."""

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
    """Intervals over people by selection; None where only one person was tested."""

    strict: ByStatistic[Interval] | None
    oracle: ByStatistic[Interval] | None


class Results(Record, frozen=True):
    """What was run, on what, and its figures (``results.json``).

    Attributes:
        mersynth: version.
        split, protocol, groups, scheme, first_label, names, seeds: as requested
            (:class:`recognizers.experiment.request.Request`).
        marked: why none of the figures is a result; empty under the strict protocol.
        model: its config, size and reference.
        classes: their names.
        selection: how the number of epochs was chosen.
        data: stores and files.
        alike: names that look alike in them.
        folds: what each learned from.
        pretraining: what each group of folds was pretrained on.
        choices: how each fold and seed chose to use it; none where that was fixed.
        headline: the selection whose figures come first.
        strict, oracle: scores of all databases together (``"Full"``) and of each.
        intervals: over people.
        device: ``"cpu"`` or ``"cuda"``.
        seconds: duration of all folds and pretrainings, added up.
        clips_seen: number of clips that a fold's strict weights have learned from, each as often as
            it was seen, pretraining included: mean over folds and seeds. None in runs made before
            it was recorded.
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
    clips_seen: Annotated[float, Meta(ge=0)] | None = None
    choices: tuple[Choice, ...] = ()

    def __post_init__(self) -> None:
        if getattr(self, self.headline) is None:
            raise ValueError(f"headline is {self.headline}, but there are no such figures")
        if self.protocol == "strict" and (self.marked or self.headline == "oracle"):
            raise ValueError(
                f"the protocol is strict, yet its headline is {self.headline} and marked is "
                f"{list(self.marked)}; only protocol paper may have marks or an oracle headline"
            )
