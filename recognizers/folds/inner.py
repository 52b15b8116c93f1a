"""Inner validation: people of a fold's training part on whom epochs are chosen.

With ``selection=inner`` the number of epochs is chosen without the test clips, on the people that
:func:`inner_split` sets apart. Published work often takes the epoch that scores best on the tested
person; this project reports that as ``oracle`` and never ranks by it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mersynth.clips import Clip
from recognizers.folds.splits import Fold

logger = logging.getLogger(__name__)

#: At most this share of the training clips is set apart.
_LARGEST_SHARE = 0.5


def inner_split(
    fold: Fold,
    clips: Sequence[Clip],
    share: float,
    seed: int,
    labels: Sequence[str] | None = None,
) -> Fold:
    """Set people of a fold's training part apart, to choose epochs on.

    The people set apart show every class as far as possible: nobody is taken without whom the
    training would lose a class, and at most half of the clips are taken to cover a class. Further
    people are added up to the share. The split is by people for
    :func:`recognizers.folds.splits.lovo`, too.

    Args:
        fold: a fold over ``clips``.
        clips: what the fold divides.
        share: share of the training clips to set apart, above 0 and up to 0.5. The true share
            differs, since people are not split and classes come first.
        seed: of the choice.
        labels: class of each clip; None: the clips' own emotions.

    Returns:
        A fold over the same clips: ``train`` are the clips left to train on, ``test`` those to
        choose on. Neither holds a test clip of the given fold.

    Raises:
        ValueError: if the training part has one person only, or the share is out of range.
    """
    if not 0 < share <= _LARGEST_SHARE:
        raise ValueError(f"share must lie above 0 and up to {_LARGEST_SHARE}, got {share}")
    classes = [clip.emotion for clip in clips] if labels is None else labels
    shown: dict[str, Counter[str]] = {}
    for i in fold.train:
        shown.setdefault(clips[i].subject_id, Counter())[classes[i]] += 1
    if len(shown) < 2:
        raise ValueError(
            f"fold {fold.name} trains on one person only ({', '.join(shown)}): nobody can be set "
            "apart to choose epochs on; fix the number of epochs beforehand instead"
        )
    order = np.random.default_rng(seed).permutation(sorted(shown)).tolist()
    chosen = _choose({person: shown[person] for person in order}, share * len(fold.train))
    if not chosen:
        chosen = {min(order, key=lambda person: shown[person].total())}
        lost = sorted(set().union(*shown.values()) - _left(shown, chosen).keys())
        logger.warning(
            "inner split of fold %s: every person is the only one to show some class; %s is set "
            "apart, so %s is not learned while epochs are chosen",
            fold.name,
            *chosen,
            ", ".join(lost),
        )
    apart = tuple(i for i in fold.train if clips[i].subject_id in chosen)
    rest = tuple(i for i in fold.train if clips[i].subject_id not in chosen)
    return Fold(f"{fold.name}/inner", rest, apart)


def _choose(shown: dict[str, Counter[str]], wanted: float) -> set[str]:
    """People to set apart; none if each is the only one to show some class.

    Args:
        shown: for each person, in the order of preference, the number of clips of each class.
        wanted: number of clips.
    """
    everything = sum(person.total() for person in shown.values())
    chosen: set[str] = set()
    covered: set[str] = set()

    def size() -> int:
        return sum(shown[person].total() for person in chosen)

    def spare(limit: float) -> list[str]:
        left = _left(shown, chosen)
        return [
            person
            for person, clips in shown.items()
            if person not in chosen
            and size() + clips.total() <= limit
            and all(left[name] > count for name, count in clips.items())
        ]

    # max and min take the first of equals, so that the order decides
    while helpful := [p for p in spare(_LARGEST_SHARE * everything) if shown[p].keys() - covered]:
        best = max(helpful, key=lambda p: (len(shown[p].keys() - covered), -shown[p].total()))
        chosen.add(best)
        covered |= shown[best].keys()
    while fitting := spare(wanted):
        chosen.add(fitting[0])
    if not chosen and (anybody := spare(everything - 1)):
        chosen.add(min(anybody, key=lambda p: shown[p].total()))
    return chosen


def _left(shown: dict[str, Counter[str]], chosen: set[str]) -> Counter[str]:
    """Number of clips of each class that stay in the training."""
    left: Counter[str] = Counter()
    for person, clips in shown.items():
        if person not in chosen:
            left += clips
    return left
