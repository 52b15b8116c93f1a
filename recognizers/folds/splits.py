"""Splits: which clips a model is trained on, and which it is tested on.

=============  =====================================================================================
:func:`loso`   leave one subject out: one fold per person
:func:`lovo`   leave one video out: one fold per clip; the subject's other clips are trained on
:func:`cde`    composite database evaluation of MEGC2019 (See et al. 2019): ``loso`` over several
               databases, with figures for all of it and for each part (:func:`cde_parts`)
:func:`cross`  train on one database, test on another
:func:`grouped`  K groups of people, a cheap stand-in for ``loso``
=============  =====================================================================================

A person is a ``Clip.subject_id``: the same in two stores of a database, different in two databases.
Folds hold positions in the list of clips that they were made for. Clips of a feature file without
frames work as well: only ids, labels and provenance are read here. For what a fold may learn from
besides its real clips, see :mod:`recognizers.folds.guard`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mersynth.checks import listed
from mersynth.clips import Clip

logger = logging.getLogger(__name__)

Split = Literal["loso", "lovo", "cde", "cross", "fit"]
"""How clips are divided; ``"fit"``: not at all, training uses all of them."""

HeldOut = Literal["subject", "clip"]


@dataclass(frozen=True, slots=True)
class Fold:
    """One division of a list of clips.

    Attributes:
        name: of the person, clip, group or databases that are tested.
        train: positions of the clips to train on, ascending.
        test: positions of the clips to test on, ascending.
        held_out: what must not occur on both sides: a person, or (leave one video out) a clip.

    Raises:
        ValueError: if a side is empty, or a position is on both.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    held_out: HeldOut = "subject"

    def __post_init__(self) -> None:
        for side in ("train", "test"):
            if not getattr(self, side):
                raise ValueError(f"fold {self.name} has no clip to {side} on")
        if both := set(self.train) & set(self.test):
            raise ValueError(
                f"fold {self.name} trains and tests on the clips at {listed(sorted(both))}"
            )

    def subjects(self, clips: Sequence[Clip]) -> frozenset[str]:
        """Ids of the people that are tested."""
        return frozenset(clips[i].subject_id for i in self.test)


def loso(clips: Sequence[Clip]) -> list[Fold]:
    """Leave one subject out: one fold per person, in the order of their ids.

    Raises:
        ValueError: if there are fewer than two people, a clip is synthetic, or an id comes twice.
    """
    people = _people(clips, "leave-one-subject-out")
    return [_fold(name, clips, {name}) for name in sorted(people)]


def lovo(clips: Sequence[Clip]) -> list[Fold]:
    """Leave one video out: one fold per clip, in the clips' order.

    A video is a clip, since databases do not say which clips were cut from one recording; do not
    use this split for a store that holds a movement twice, from two cameras. Training includes
    other clips of the tested person, so the figures say less about new people than those of
    :func:`loso`.

    Raises:
        ValueError: if there are fewer than two clips, a clip is synthetic, or an id comes twice.
    """
    _check_real(clips)
    if len(clips) < 2:
        raise ValueError(f"leave-one-video-out needs 2 or more clips, got {len(clips)}")
    everything = range(len(clips))
    return [
        Fold(clip.id, tuple(j for j in everything if j != i), (i,), held_out="clip")
        for i, clip in enumerate(clips)
    ]


def cde(clips: Sequence[Clip]) -> list[Fold]:
    """Composite database evaluation: :func:`loso` over clips of two or more databases.

    Raises:
        ValueError: as :func:`loso`, or if all clips are of one database.
    """
    if len(parts := {clip.source for clip in clips}) < 2:
        raise ValueError(
            "composite database evaluation needs clips of 2 or more databases, got "
            f"{', '.join(parts) or 'none'}; give several stores, or use leave-one-subject-out"
        )
    return loso(clips)


def cde_parts(clips: Sequence[Clip]) -> dict[str, tuple[int, ...]]:
    """Positions of the clips that each figure of :func:`cde` is computed on.

    Returns:
        All of them as ``Full``, then each database's by its name, in the order of first occurrence.
    """
    parts: dict[str, list[int]] = {"Full": list(range(len(clips)))}
    for i, clip in enumerate(clips):
        parts.setdefault(clip.source, []).append(i)
    return {name: tuple(chosen) for name, chosen in parts.items()}


def cross(train_clips: Sequence[Clip], test_clips: Sequence[Clip]) -> Fold:
    """Train on one database, test on another.

    People who occur in both are tested; their training clips are left out, and a warning names
    them.

    Returns:
        One fold over the list ``[*train_clips, *test_clips]``.

    Raises:
        ValueError: if nobody is left to train on or to test on, a clip is synthetic, or an id
            comes twice on one side.
    """
    _check_real(train_clips)
    _check_real(test_clips)
    tested = {clip.subject_id for clip in test_clips}
    train = tuple(i for i, clip in enumerate(train_clips) if clip.subject_id not in tested)
    shared = sorted({clip.subject_id for clip in train_clips} & tested)
    if shared and not train:
        raise ValueError(
            f"every person of the training clips is tested ({listed(shared)}): the stores hold the "
            "same people; use leave-one-subject-out"
        )
    if shared:
        logger.warning(
            "%d people are among the training and the test clips; they are tested, and their %d "
            "training clips are left out: %s",
            len(shared),
            len(train_clips) - len(train),
            listed(shared),
        )
    first = len(train_clips)
    name = f"{_sources(train_clips)}_to_{_sources(test_clips)}"
    return Fold(name, train, tuple(range(first, first + len(test_clips))))


def grouped(clips: Sequence[Clip], k: int, seed: int, synthetic: Iterable[Clip] = ()) -> list[Fold]:
    """K groups of people with about equally many clips, one fold per group.

    Args:
        clips: real clips.
        k: number of groups.
        seed: of the groups.
        synthetic: further clips to train on. If given, all people of a group were unseen by the
            same generators, so that the group can use every clip that one of its people can.

    Raises:
        ValueError: if ``k`` is less than 2, above the number of people, or below the number of
            groups given by the generators; or as :func:`loso`.
    """
    people = _people(clips, "grouped folds")
    if not 2 <= k <= len(people):
        raise ValueError(f"the number of groups must lie in 2..{len(people)} (the people), got {k}")
    cells = _generator_groups(people, synthetic)
    if k < len(cells):
        raise ValueError(
            f"the generators of the synthetic clips divide the people into {len(cells)} groups, "
            f"which {k} folds would have to mix; choose k of {len(cells)} or more, or do not align"
        )
    shares = _share_out(k, cells, people)
    rng = np.random.default_rng(seed)
    groups: list[list[str]] = []
    for cell, count in zip(cells, shares, strict=True):
        groups += _balanced(cell, people, count, rng)
    return [_fold(f"group_{i}", clips, group) for i, group in enumerate(groups)]


def missing_classes(folds: Sequence[Fold], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The classes that each fold cannot learn, lacking training clips; a warning names them.

    This is not an error: if only one person shows a rare class, leave-one-subject-out removes it
    from that person's training, and the pooled figures count its clips as missed.

    Args:
        folds: folds over clips.
        labels: class of each of these clips.

    Returns:
        Classes by the fold's name; folds that lack none are left out.

    Raises:
        ValueError: if a fold has a single class to train on.
    """
    missing: dict[str, tuple[str, ...]] = {}
    for fold in folds:
        known = {labels[i] for i in fold.train}
        if len(known) < 2:
            raise ValueError(
                f"fold {fold.name} trains on clips of one class only ({', '.join(known)}): there "
                "is nothing to learn; use clips of more people, or another label scheme"
            )
        if lost := tuple(sorted(set(labels) - known)):
            missing[fold.name] = lost
            hit = sorted({labels[i] for i in fold.test} - known)
            note = f"; it tests {', '.join(hit)}, which it can only miss" if hit else ""
            logger.warning(
                "fold %s has no training clip of class %s%s", fold.name, ", ".join(lost), note
            )
    return missing


def _fold(name: str, clips: Sequence[Clip], tested: Iterable[str]) -> Fold:
    tested = set(tested)
    sides: tuple[list[int], list[int]] = ([], [])
    for i, clip in enumerate(clips):
        sides[clip.subject_id in tested].append(i)
    return Fold(name, tuple(sides[0]), tuple(sides[1]))


def _people(clips: Sequence[Clip], what: str) -> Counter[str]:
    """Number of clips of each person."""
    _check_real(clips)
    people = Counter(clip.subject_id for clip in clips)
    if len(people) < 2:
        raise ValueError(
            f"{what} needs clips of 2 or more people, got {len(people)}"
            + (f" ({', '.join(people)})" if people else "")
        )
    return people


def _check_real(clips: Sequence[Clip]) -> None:
    """Refuse synthetic or repeated clips: predictions are joined by the clips' ids."""
    for clip in clips:
        if clip.is_synthetic:
            raise ValueError(
                f"{clip.id} is a synthetic clip; folds divide real clips, and synthetic ones are "
                "given to pretrain or to mix in"
            )
    twice = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if twice:
        raise ValueError(f"clips come more than once: {listed(twice)}; give each store once")


def _generator_groups(people: Mapping[str, int], synthetic: Iterable[Clip]) -> list[list[str]]:
    """People by the generators that never saw them, in the order of their ids."""
    unseen = sorted({(clip.generator or "", tuple(clip.unseen)) for clip in synthetic})
    hidden = [frozenset(ids) for _, ids in unseen]
    cells: dict[tuple[int, ...], list[str]] = {}
    for person in sorted(people):
        by = tuple(i for i, ids in enumerate(hidden) if person in ids)
        cells.setdefault(by, []).append(person)
    return list(cells.values())


def _share_out(k: int, cells: Sequence[Sequence[str]], people: Mapping[str, int]) -> list[int]:
    """How many groups each cell is divided into: k in all, one or more each, evenly by clips."""
    shares = [1] * len(cells)
    sizes = [sum(people[person] for person in cell) for cell in cells]
    while sum(shares) < k:
        open_cells = [i for i, cell in enumerate(cells) if shares[i] < len(cell)]
        shares[max(open_cells, key=lambda i: sizes[i] / shares[i])] += 1
    return shares


def _balanced(
    cell: Sequence[str], people: Mapping[str, int], count: int, rng: np.random.Generator
) -> list[list[str]]:
    """Groups of about equally many clips: the largest first, each into the smallest group."""
    groups: list[list[str]] = [[] for _ in range(count)]
    for person in sorted(rng.permutation(list(cell)).tolist(), key=lambda p: -people[p]):
        min(groups, key=lambda g: (sum(people[p] for p in g), len(g))).append(person)
    return groups


def _sources(clips: Sequence[Clip]) -> str:
    return "+".join(dict.fromkeys(clip.source for clip in clips))
