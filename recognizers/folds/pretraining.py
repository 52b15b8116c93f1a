"""Which folds may share one pretraining, on synthetic clips or on those of other people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mersynth.checks import listed
from mersynth.clips import Clip
from recognizers.folds.guard import usable_clips
from recognizers.folds.splits import Fold

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PretrainingGroup:
    """Folds that start from the same pretrained weights.

    Attributes:
        folds: positions of the folds.
        clips: positions of the clips to pretrain on, which each of these folds may use; empty if
            there are none, and the folds start without pretraining.
        length: epochs, as a share of those set.
    """

    folds: tuple[int, ...]
    clips: tuple[int, ...]
    length: float = 1.0


def pretraining_groups(
    folds: Sequence[Fold], clips: Sequence[Clip], pool: Sequence[Clip], keep: float = 1.0
) -> list[PretrainingGroup]:
    """Group the folds that may share one pretraining, by the guard's rule.

    A group may use a clip if each of its folds may. With K generators, each trained without one of
    K groups of people and used on the faces and curves of all others (``mersynth train
    --subject-groups K``, ``mersynth generate``), leave-one-subject-out falls into K groups. A
    generator that never saw anybody, such as the AU warp, is used on all faces: each fold may then
    use different clips, and folds share a group only if ``keep`` lets them give some up.

    Folds are taken in order; each joins the first group in which neither it nor a member would
    fall below ``keep``.

    Args:
        folds: folds over ``clips``.
        clips: what they divide.
        pool: clips to pretrain on: a synthetic store's, or macro-expressions.
        keep: share of the clips usable by a fold alone that must remain in its group, above 0 and
            up to 1.

    Returns:
        The groups, in the order of their first folds; every fold is in one of them.

    Raises:
        ValueError: if no fold may use any clip of the pool, or ``keep`` is out of range.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep must lie above 0 and up to 1, got {keep}")
    usable = _usable(folds, clips, pool)
    if idle := [fold.name for fold, own in zip(folds, usable, strict=True) if not own]:
        _report_idle(idle, len(folds), len(pool))
    groups: list[tuple[list[int], frozenset[int]]] = []
    for i, own in enumerate(usable):
        for place, (members, common) in enumerate(groups):
            both = common & own
            if all(len(both) >= keep * len(usable[j]) for j in (*members, i)):
                groups[place] = ([*members, i], both)
                break
        else:
            groups.append(([i], own))
    return [PretrainingGroup(tuple(members), tuple(sorted(own))) for members, own in groups]


def _usable(
    folds: Sequence[Fold], clips: Sequence[Clip], pool: Sequence[Clip]
) -> list[frozenset[int]]:
    """What each fold may use alone; computed once for folds that test the same people."""
    known: dict[frozenset[str], frozenset[int]] = {}
    for fold in folds:
        people = fold.subjects(clips)
        if people not in known:
            known[people] = frozenset(usable_clips(pool, people))
    return [known[fold.subjects(clips)] for fold in folds]


def _report_idle(idle: Sequence[str], folds: int, clips: int) -> None:
    advice = (
        "train generators without groups of these people (`mersynth train --subject-groups K`) and "
        "generate again"
    )
    if len(idle) == folds:
        raise ValueError(
            f"none of the {clips} clips to pretrain on may be used by any of the {folds} folds: "
            "they show or follow tested people, or their generators may have seen them; "
            f"{advice}"
        )
    logger.warning(
        "%d of %d folds may use no clip to pretrain on and start without pretraining: %s; %s",
        len(idle),
        folds,
        listed(idle),
        advice,
    )
