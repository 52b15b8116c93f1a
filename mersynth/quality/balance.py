"""How evenly the clips of a store are distributed over classes and subjects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from mersynth.clips import Clip


def evenness(counts: Iterable[int], kinds: int | None = None) -> float | None:
    """Entropy of the shares over its maximum: 1 is even, 0 is all in one.

    Args:
        counts: clips of each kind.
        kinds: number of possible kinds; None: the number of counts.

    Returns:
        None if there is only one kind, or nothing to count.
    """
    found = [count for count in counts if count > 0]
    total, most = sum(found), kinds if kinds is not None else len(found)
    if total == 0 or most < 2:
        return None
    return -sum(n / total * math.log(n / total) for n in found) / math.log(most)


def balance(clips: Iterable[Clip], classes: Iterable[str]) -> dict[str, Any]:
    """Counts and evenness of clips, each with its class, by class, by subject and by both."""
    pairs = [(clip.subject_id, name) for clip, name in zip(clips, classes, strict=True)]
    by_class = Counter(name for _, name in pairs)
    by_subject = Counter(subject for subject, _ in pairs)
    both = Counter(pairs)
    return {
        "clips": len(pairs),
        "classes": dict(sorted(by_class.items())),
        "class_evenness": evenness(by_class.values()),
        "subjects": len(by_subject),
        "fewest_of_a_subject": min(by_subject.values(), default=0),
        "most_of_a_subject": max(by_subject.values(), default=0),
        "subject_evenness": evenness(by_subject.values()),
        "both_evenness": evenness(both.values(), len(by_class) * len(by_subject)),
    }
