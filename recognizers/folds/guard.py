"""The leakage guard: checks what a fold learned from against the people that it tests.

The rule, for a fold that tests the people S:

- A real clip may be used if it shows nobody of S; in leave-one-video-out, if it is not a test
  clip. That holds for the fold's training clips, for the clips that epochs are chosen on, and for
  the clips behind any checkpoint that the fold starts from.
- A synthetic clip may be used if nobody of S is its face or its template's subject, and all of S
  are among the subjects that its generator never saw. This holds for leave-one-video-out, too: a
  generator that saw the person may have seen the test clip, and a clip does not record which clip
  its face was taken from.
- Normalisation statistics, class weights and the banks that augmentations borrow from are computed
  from the clips that the fold trains on, and from no others.
- Anything of unknown origin is refused: a synthetic clip without unseen subjects, a bank without
  ids, a checkpoint whose clips are unknown.

:func:`check_fold` raises an error; only the protocol ``paper`` allows leaks.
:func:`usable_clips` chooses clips by the same rule. Ids of people and clips are compared letter for
letter: :func:`mersynth.store.names.reconcile` finds ids that differ only in spelling (``006`` and
``6``). Every run calls it before planning its folds; whoever uses the guard directly must, too.
The guard cannot know that two databases filmed the same person, or that a bank comes from another
store with the same ids.
"""

from __future__ import annotations

import logging
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mersynth.checks import check_choice, listed, listed_lines
from mersynth.clips import Clip
from recognizers.folds.splits import Fold, HeldOut

logger = logging.getLogger(__name__)

Protocol = Literal["strict", "paper"]
"""Whether published habits, such as choosing the epoch on the tested person, are allowed."""

TRAINING = "training clips"
SYNTHETIC = "synthetic clips"
SELECTION = "clips that epochs are chosen on"
STATISTICS = "normalisation statistics"
WEIGHTS = "class weights"
BANK = "bank"  # "bank: its name" as the kind of a leak, and so for checkpoints
CHECKPOINT = "checkpoint"

_SHOWN = 10  # clips that an error names of each kind
_UNKNOWN = "names no generator: its origin is unknown"
_OWN = "compute them from the clips that this fold trains on"
_ADVICE = {
    TRAINING: "train on the fold's training part only",
    SYNTHETIC: (
        "choose them with usable_clips; `mersynth train --subject-groups K`, then `mersynth "
        "generate`, make clips whose generators never saw the people of a fold"
    ),
    SELECTION: "choose on people of the training part (selection=inner), or fix the epochs",
    STATISTICS: _OWN,
    WEIGHTS: _OWN,
    BANK: "make the bank of the clips that this fold trains on (ClipBank.from_store)",
    CHECKPOINT: "pretrain on clips that all folds of a group may use (pretraining_groups)",
}


class Bank(typing.Protocol):
    """The part of :class:`mersynth.augment.bank.ClipBank` that the guard reads."""

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of its clips; empty if unknown."""

    @property
    def subject_ids(self) -> tuple[str, ...]:
        """Ids of their subjects; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldInputs:
    """Everything that a fold's figures depend on.

    Attributes:
        name: the fold's name.
        test: the tested clips, all real.
        held_out: what the fold holds out, a person or (leave one video out) a clip.
        real: real clips that the fold trains on.
        synthetic: synthetic clips that it trains on, by pretraining or mixed in.
        selection: clips that epochs, or anything else, are chosen on.
        statistics: ids of the clips that normalisation was measured on; empty for constants.
        class_weights: ids of the clips whose classes were counted; empty for no weights.
        banks: banks of clips that augmentations borrow from, by name.
        checkpoints: for each weights file that training starts from, the clips that it was
            trained on, real and synthetic; empty for weights that never saw the databases' people
            (ImageNet's), None if unknown.

    Raises:
        ValueError: if there is no test clip, or one is synthetic.
    """

    name: str
    test: Sequence[Clip]
    held_out: HeldOut = "subject"
    real: Sequence[Clip] = ()
    synthetic: Sequence[Clip] = ()
    selection: Sequence[Clip] = ()
    statistics: Sequence[str] = ()
    class_weights: Sequence[str] = ()
    banks: Mapping[str, Bank] = field(default_factory=dict)
    checkpoints: Mapping[str, Sequence[Clip] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.test:
            raise ValueError(f"fold {self.name} has no test clip")
        for clip in self.test:
            if clip.is_synthetic:
                raise ValueError(
                    f"fold {self.name} tests the synthetic clip {clip.id}; test on real clips"
                )

    @classmethod
    def of(cls, fold: Fold, clips: Sequence[Clip], **learned: Any) -> FoldInputs:
        """The inputs of a fold over clips; ``real`` is its whole training part unless given."""
        test = [clips[i] for i in fold.test]
        learned.setdefault("real", [clips[i] for i in fold.train])
        return cls(name=fold.name, test=test, held_out=fold.held_out, **learned)


@dataclass(frozen=True, slots=True)
class Leak:
    """A way in which a fold could know what it is tested on.

    Attributes:
        kind: how the clip was used, for instance ``"synthetic clips"``.
        clip: id of the clip; empty where a whole bank or checkpoint is of unknown origin.
        reason: what is wrong with it.
    """

    kind: str
    clip: str
    reason: str


class LeakageError(Exception):
    """A fold used clips that it must not.

    Attributes:
        leaks: all of them; the message names the first ten of each kind.
    """

    def __init__(self, fold: str, leaks: Sequence[Leak]) -> None:
        self.leaks = tuple(leaks)
        super().__init__(_message(fold, self.leaks))


def check_fold(inputs: FoldInputs, protocol: Protocol = "strict") -> tuple[Leak, ...]:
    """Raise if a fold could know what it is tested on.

    Args:
        inputs: everything that its figures depend on.
        protocol: ``"paper"`` follows published practice and allows leaks with a warning, except
            real test clips (or people) among the fold's own training clips.

    Returns:
        The leaks that were allowed, so that the figures can be marked; none if strict.

    Raises:
        LeakageError: naming the clips, grouped by how they were used.
        ValueError: if the protocol is unknown.
    """
    check_choice("protocol", protocol, get_args(Protocol))
    leaks = find_leaks(inputs)
    forbidden = [leak for leak in leaks if protocol == "strict" or leak.kind == TRAINING]
    if forbidden:
        raise LeakageError(inputs.name, forbidden)
    if leaks:
        logger.warning("protocol paper allows this: %s", _message(inputs.name, leaks))
    return leaks


def find_leaks(inputs: FoldInputs) -> tuple[Leak, ...]:
    """All ways in which a fold could know what it is tested on, each clip once per kind."""
    return tuple(dict.fromkeys(_leaks(inputs)))


def usable_clips(clips: Sequence[Clip], test_subjects: Collection[str]) -> tuple[int, ...]:
    """Positions of the further clips that a fold testing some people may learn from.

    The rule depends on the clip: synthetic, or real, such as macro-expressions of other people.

    Args:
        clips: clips of any store to pretrain on or to mix in.
        test_subjects: ids of the people (``Clip.subject_id``), :meth:`Fold.subjects`.

    Raises:
        ValueError: if no person is given.
    """
    people = frozenset(test_subjects)
    if not people:
        raise ValueError("usable_clips needs the people that are tested, got none")
    return tuple(i for i, clip in enumerate(clips) if _fault(clip, frozenset(), people) is None)


def _leaks(inputs: FoldInputs) -> Iterator[Leak]:
    people = frozenset(clip.subject_id for clip in inputs.test)
    ids = frozenset(clip.id for clip in inputs.test)
    strangers = people if inputs.held_out == "subject" else frozenset()

    def leaks_of(kind: str, clips: Iterable[Clip]) -> Iterator[Leak]:
        for clip in clips:
            tested = people if _calls_itself_synthetic(clip) else strangers
            if (reason := _fault(clip, ids, tested)) is not None:
                yield Leak(kind, clip.id, reason)

    # Real or synthetic is read from the clip itself, not from the list that holds it.
    learned = (*inputs.real, *inputs.synthetic)
    yield from leaks_of(TRAINING, (clip for clip in learned if not _calls_itself_synthetic(clip)))
    yield from leaks_of(SYNTHETIC, filter(_calls_itself_synthetic, learned))
    for clip in inputs.synthetic:
        if not _calls_itself_synthetic(clip):
            yield Leak(SYNTHETIC, clip.id, _UNKNOWN)
    yield from leaks_of(SELECTION, inputs.selection)
    for name, clips in inputs.checkpoints.items():
        kind = f"{CHECKPOINT}: {name}"
        if clips is None:
            yield Leak(kind, "", "the clips that it was trained on are unknown")
        yield from leaks_of(kind, clips or ())
    yield from _measured(inputs, ids, strangers)


def _measured(
    inputs: FoldInputs, ids: AbstractSet[str], people: AbstractSet[str]
) -> Iterator[Leak]:
    """Leaks by statistics, class weights and banks of clips that the fold does not train on."""
    pretrained = (clip for clips in inputs.checkpoints.values() for clip in clips or ())
    learned = {clip.id for clip in (*inputs.real, *inputs.synthetic, *pretrained)}

    def leaks_of(kind: str, used: Iterable[str]) -> Iterator[Leak]:
        for name in used:
            if name in ids:
                yield Leak(kind, name, "is a test clip")
            elif name not in learned:
                yield Leak(kind, name, "is not among the clips that this fold trains on")

    yield from leaks_of(STATISTICS, inputs.statistics)
    yield from leaks_of(WEIGHTS, inputs.class_weights)
    for name, bank in inputs.banks.items():
        kind = f"{BANK}: {name}"
        if not bank.clip_ids:
            yield Leak(kind, "", "it does not name its clips")
        yield from leaks_of(kind, bank.clip_ids)
        for clip, person in zip(bank.clip_ids, bank.subject_ids, strict=False):
            if person in people and clip in learned and clip not in ids:
                yield Leak(kind, clip, f"shows {person}, who is tested")


def _calls_itself_synthetic(clip: Clip) -> bool:
    return clip.is_synthetic or clip.template is not None or bool(clip.unseen)


def _fault(clip: Clip, ids: AbstractSet[str], people: AbstractSet[str]) -> str | None:
    """Why a fold that tests these clips and people may not use a clip; None if it may."""
    if _calls_itself_synthetic(clip):
        return _synthetic_fault(clip, people)
    if clip.id in ids:
        return "is a test clip"
    if clip.subject_id in people:
        return f"shows {clip.subject_id}, who is tested"
    return None


def _synthetic_fault(clip: Clip, people: AbstractSet[str]) -> str | None:
    """Why a fold that tests some people may not use a synthetic clip; None if it may.

    This is the only place with that rule.
    """
    if not clip.is_synthetic:
        return _UNKNOWN
    if clip.subject_id in people:
        return f"shows the face of {clip.subject_id}, who is tested"
    template = clip.template or ""
    if followed := [name for name in people if template.startswith(f"{name}/")]:
        return f"follows {template}, a clip of {followed[0]}, who is tested"
    if not clip.unseen:
        return "the people that its generator never saw are unknown"
    if seen := sorted(person for person in people if person not in clip.unseen):
        return f"its generator is not known to have never seen {listed(seen, 1)}, who is tested"
    return None


def _message(fold: str, leaks: Sequence[Leak]) -> str:
    lines = [f"fold {fold} used clips that it must not:"]
    for kind in dict.fromkeys(leak.kind for leak in leaks):
        found = [leak for leak in leaks if leak.kind == kind]
        lines.append(f"  {kind} ({len(found)}):")
        reasons = [f"{leak.clip} {leak.reason}".lstrip() for leak in found]
        lines += listed_lines(reasons, _SHOWN, indent="    ")
        lines.append(f"    -> {_ADVICE[kind.partition(': ')[0]]}")
    return "\n".join(lines)
