"""Trials: by which a fold chooses how it uses the clips to pretrain on, or not at all.

Clips to pretrain on can harm. With ``fine_tuning.lr_factor=inner`` each fold tries every way on
people of its training part, whom the tried trainings never saw, and never on those it tests.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from mersynth.clips import Clip
from recognizers.data.clip_arrays import ClipArrays
from recognizers.folds.guard import FoldInputs, Protocol, check_fold, usable_clips
from recognizers.folds.plan import FoldPlan, real_and_synthetic
from recognizers.folds.pretraining import PretrainingGroup
from recognizers.folds.splits import grouped
from recognizers.folds.way import Way

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """A part of a fold's training clips, held out to try ways on.

    Attributes:
        learned: rows of the run's clips to train on.
        tried_on: rows to predict, of other people.
        pool: rows of the clips to pretrain on that neither show these people nor follow them.
    """

    learned: tuple[int, ...]
    tried_on: tuple[int, ...]
    pool: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trials:
    """What the folds of a run try.

    Attributes:
        ways: the ways.
        margin: in UF1, by which a way must beat the real clips alone.
        of: by the fold's number, its trials: of the parts for which there are clips to pretrain on.
    """

    ways: tuple[Way, ...]
    margin: float
    of: Mapping[int, tuple[Trial, ...]]


def plan_trials(
    plans: Sequence[FoldPlan],
    clips: ClipArrays,
    pool: ClipArrays,
    groups: Sequence[PretrainingGroup],
    parts: int,
    seed: int,
    protocol: Protocol,
) -> dict[int, tuple[Trial, ...]]:
    """The trials of each fold that may pretrain, by its number.

    Args:
        plans: of all folds.
        clips: all clips of the run.
        pool: clips to pretrain on.
        groups: the pretrainings.
        parts: into how many parts the people of a training part are divided, each held out once.
        seed: of the division.
        protocol: of the guard.

    Raises:
        LeakageError: if a trial could know what the fold is tested on.
    """
    found = {}
    for plan in plans:
        if plan.pretraining is None:
            continue
        own = groups[plan.pretraining].clips
        trials = _trials(plan, clips, pool, own, parts, seed)
        for trial in trials:
            shown = FoldInputs.of(
                plan.fold,
                clips.clips,
                **real_and_synthetic(clips, trial.learned),
                selection=[clips.clips[i] for i in trial.tried_on],
                checkpoints={"pretraining": [pool.clips[i] for i in trial.pool]},
            )
            check_fold(shown, protocol)
        found[plan.index] = trials
    if idle := sum(not trials for trials in found.values()):
        logger.warning(
            "%d of %d folds start without pretraining: there is nobody in their training parts on "
            "whom it could be tried without clips that show or follow them",
            idle,
            len(found),
        )
    return found


def _trials(
    plan: FoldPlan,
    clips: ClipArrays,
    pool: ClipArrays,
    own: Sequence[int],
    parts: int,
    seed: int,
) -> tuple[Trial, ...]:
    train = plan.fold.train
    people = {clips.clips[i].subject_id for i in train}
    if len(people) < 2:
        return ()
    mixed = plan.learned[len(train) :]
    trials = []
    for part in grouped([clips.clips[i] for i in train], min(parts, len(people)), seed):
        held = {clips.clips[train[i]].subject_id for i in part.test}
        rows = _without(held, [pool.clips[i] for i in own])
        further = _without(held, [clips.clips[i] for i in mixed])
        if not rows:
            continue  # pretraining on nothing tells nothing
        learned = (*(train[i] for i in part.train), *(mixed[i] for i in further))
        tried_on = tuple(train[i] for i in part.test)
        trials.append(Trial(learned, tried_on, tuple(own[i] for i in rows)))
    return tuple(trials)


def _without(people: AbstractSet[str], clips: Sequence[Clip]) -> tuple[int, ...]:
    """Positions of the clips that neither show nor follow people.

    Generators may have seen them: only the tested people, for whom the guard has chosen the clips
    already, must be unknown to them, or a few generators could never be tried.
    """
    free = [
        replace(clip, unseen=(*clip.unseen, *people)) if clip.is_synthetic else clip
        for clip in clips
    ]
    return usable_clips(free, people)


def carried_out(
    plan: FoldPlan,
    way: Way | None,
    clips: ClipArrays,
    pool: ClipArrays,
    groups: Sequence[PretrainingGroup],
) -> FoldPlan:
    """A fold's plan in the way that it chose.

    Args:
        plan: from :func:`recognizers.folds.plan.plan_folds`, of a fold that may pretrain.
        way: the way; None: on its own clips alone.
        clips: all clips of the run. Rows of clips mixed in count on from theirs
            (:func:`recognizers.data.clip_arrays.mixed_in`).
        pool: clips to pretrain on.
        groups: the pretrainings, of all lengths.
    """
    assert plan.pretraining is not None
    group, offset = groups[plan.pretraining], len(clips.clips)
    if way is None:
        return replace(plan, pretraining=None)
    if not way.mix:
        number = groups.index(replace(group, length=way.length))
        return replace(plan, pretraining=number, way=way)
    inner = plan.inner
    if inner is not None:
        held = {clips.clips[i].subject_id for i in inner.chosen_on}
        rows = _without(held, [pool.clips[i] for i in group.clips])
        further = (offset + group.clips[i] for i in rows)
        inner = replace(inner, learned=(*inner.learned, *further))
    learned = (*plan.learned, *(offset + i for i in group.clips))
    return replace(plan, pretraining=None, learned=learned, inner=inner, way=way)


def of_every_length(
    groups: Sequence[PretrainingGroup], ways: Sequence[Way]
) -> list[PretrainingGroup]:
    """The pretrainings in every length that a way has; the first ones are those given."""
    lengths = dict.fromkeys(way.length for way in ways if not way.mix)
    more = [replace(group, length=n) for n in lengths if n != 1 for group in groups]
    return [*groups, *more]
