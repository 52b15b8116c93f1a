"""Plans what each fold learns from, and has the guard check it before any training.

A worker trains on the rows of its plan and on nothing else; before its first step, the guard also
checks what the training really measured, counted and put in banks
(:func:`recognizers.training.fold_work.train_folds`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mersynth.clips import Clip
from recognizers.data.clip_arrays import ClipArrays
from recognizers.folds.guard import FoldInputs, Leak, Protocol, check_fold, usable_clips
from recognizers.folds.inner import inner_split
from recognizers.folds.pretraining import PretrainingGroup, pretraining_groups
from recognizers.folds.splits import Fold
from recognizers.folds.way import Way

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InnerPlan:
    """The rows by which the number of epochs is chosen.

    The fold's initial weights may have seen the people it is chosen on, never the tested ones.

    Attributes:
        learned: rows to train on meanwhile; they show nobody of ``chosen_on``.
        chosen_on: rows whose predictions decide.
    """

    learned: tuple[int, ...]
    chosen_on: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """What a fold learns from and is tested on, as rows of the run's :class:`ClipArrays`.

    Attributes:
        index: the fold's number in the run.
        fold: the division of the real clips.
        learned: rows to train on: the fold's training part, then what is mixed in.
        inner: how the number of epochs is chosen; None if it is fixed beforehand.
        pretraining: number of the pretraining whose weights it starts from; None for fresh ones.
        way: how it uses the clips to pretrain on, if it chose that; None: as the config says.
    """

    index: int
    fold: Fold
    learned: tuple[int, ...]
    inner: InnerPlan | None
    pretraining: int | None
    way: Way | None = None


def plan_pretraining(
    folds: Sequence[Fold],
    clips: ClipArrays,
    pool: ClipArrays | None,
    protocol: Protocol,
    keep: float,
) -> list[PretrainingGroup]:
    """The pretrainings and the folds that share each; protocol paper has one for all folds."""
    if pool is None:
        return []
    if protocol == "paper":
        everything = tuple(range(len(pool.clips)))
        return [PretrainingGroup(tuple(range(len(folds))), everything)]
    return pretraining_groups(folds, clips.clips, pool.clips, keep)


def plan_folds(
    folds: Sequence[Fold],
    clips: ClipArrays,
    groups: Sequence[PretrainingGroup],
    protocol: Protocol,
    inner_share: float | None,
    seed: int,
) -> list[FoldPlan]:
    """Plan what every fold learns from.

    Args:
        folds: over the real clips, which come first in ``clips``.
        clips: all clips; those of domain 1 are mixed into every fold that may use them.
        groups: from :func:`plan_pretraining`.
        protocol: ``"paper"`` mixes in all.
        inner_share: share of the training clips that epochs are chosen on; None fixes them.
        seed: of the inner splits.

    Raises:
        ValueError: as ``inner_split``.
    """
    start = {
        fold: number for number, group in enumerate(groups) if group.clips for fold in group.folds
    }
    mixed = tuple(i for i, domain in enumerate(clips.domain) if domain == 1)
    plans = []
    for index, fold in enumerate(folds):
        people = fold.subjects(clips.clips)
        usable = mixed if protocol == "paper" else _usable(mixed, clips, people)
        inner = None
        if inner_share is not None:
            split = inner_split(fold, clips.clips, inner_share, seed, clips.labels)
            # Clips that show the people chosen on would teach the model their faces.
            further = _usable(usable, clips, split.subjects(clips.clips))
            inner = InnerPlan((*split.train, *further), split.test)
        plans.append(FoldPlan(index, fold, (*fold.train, *usable), inner, start.get(index)))
    if mixed and (without := sum(len(p.learned) == len(p.fold.train) for p in plans)):
        logger.warning("%d of %d folds may use none of the mixed-in clips", without, len(plans))
    return plans


def check_plans(
    plans: Sequence[FoldPlan],
    clips: ClipArrays,
    pool: ClipArrays | None,
    groups: Sequence[PretrainingGroup],
    protocol: Protocol,
) -> list[tuple[Leak, ...]]:
    """Have the guard check every fold, and the choice of its epochs as a separate fold.

    Args:
        plans: from :func:`plan_folds`.
        clips: all clips of the run.
        pool: clips to pretrain on.
        groups: from :func:`plan_pretraining`.
        protocol: ``"paper"`` allows leaks.

    Returns:
        The leaks of each fold that were allowed.

    Raises:
        LeakageError: for the first fold that could know what it is tested on.
    """
    found = []
    for plan in plans:
        checkpoints: dict[str, Sequence[Clip]] = {}
        if plan.pretraining is not None and pool is not None:
            rows = groups[plan.pretraining].clips
            checkpoints["pretraining"] = [pool.clips[i] for i in rows]
        validation = [clips.clips[i] for i in plan.inner.chosen_on] if plan.inner else []
        learned = real_and_synthetic(clips, plan.learned)
        shown = [
            FoldInputs.of(
                plan.fold, clips.clips, **learned, selection=validation, checkpoints=checkpoints
            )
        ]
        if plan.inner is not None:
            learned = real_and_synthetic(clips, plan.inner.learned)
            name = f"{plan.fold.name} (choice of epochs)"
            shown.append(FoldInputs(name=name, test=validation, **learned))
            shown.append(FoldInputs.of(plan.fold, clips.clips, **learned))
        found.append(tuple(leak for inputs in shown for leak in check_fold(inputs, protocol)))
    logger.info("guard: %d folds checked, %d leaks allowed", len(plans), sum(map(len, found)))
    return found


def real_and_synthetic(clips: ClipArrays, rows: Sequence[int]) -> dict[str, Any]:
    """Clips to train on, as the guard takes them."""
    chosen = [clips.clips[i] for i in rows]
    return {
        "real": [clip for clip in chosen if not clip.is_synthetic],
        "synthetic": [clip for clip in chosen if clip.is_synthetic],
    }


def _usable(rows: Sequence[int], clips: ClipArrays, people: frozenset[str]) -> tuple[int, ...]:
    chosen = usable_clips([clips.clips[i] for i in rows], people)
    return tuple(rows[i] for i in chosen)
