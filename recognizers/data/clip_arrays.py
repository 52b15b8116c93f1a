"""All clips of a run as arrays: those under test, and others that are mixed into the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from mersynth.clips import Clip
from recognizers.data.inputs import ModelData


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ClipArrays:
    """Clips as numpy arrays, shared between processes; row ``i`` of every array is one clip.

    Attributes:
        inputs: (N, ...) float32, by the name of the model's input.
        label: (N,) int64, index in ``classes``.
        au_set: (N, S, 2) float32, see :func:`mersynth.augment.au_sets`.
        domain: (N,) int64, 0 for a clip of the databases under test, 1 for one mixed in.
        clips: the N clips.
        classes: names of the classes.
        falling: like ``inputs``, of the clips' falling phase; empty if it is not used.
    """

    inputs: dict[str, np.ndarray]
    label: np.ndarray
    au_set: np.ndarray
    domain: np.ndarray
    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    falling: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The class of each clip."""
        return [self.classes[i] for i in self.label]


def join(
    parts: Sequence[ModelData], mixed: Sequence[ModelData] = (), classes: Sequence[str] = ()
) -> ClipArrays:
    """Concatenate the clips of several stores.

    Args:
        parts: clips of the databases under test.
        mixed: further clips, only to learn from.
        classes: names of the classes; none: those of the first of ``parts``.

    Raises:
        ValueError: if ``parts`` differ in their classes, or ``mixed`` (with given classes, also
            ``parts``) has a class that is not among the classes.
    """
    names = tuple(classes or parts[0].classes)
    every = [*parts, *mixed]
    for part in () if classes else parts:
        if set(part.classes) != set(names):
            raise ValueError(
                f"clips of {part.clips[0].source} have the classes {', '.join(part.classes)}, "
                f"those of {parts[0].clips[0].source} {', '.join(names)}: stores need a label "
                "scheme that they share (--classes three), files the same classes"
            )
    for part in mixed if not classes else every:
        if unknown := sorted(set(part.classes) - set(names)):
            raise ValueError(
                f"clips of {part.clips[0].source} to learn from show {', '.join(unknown)}, the "
                f"clips under test {', '.join(names)}: stores need a label scheme that reads both "
                "(generate --classes, --classes), files the same names of classes"
            )
    numbers = [np.array([names.index(name) for name in part.classes]) for part in every]
    domain = [len(part.clips) * [0] for part in parts] + [len(part.clips) * [1] for part in mixed]
    return ClipArrays(
        inputs=_joined([part.inputs for part in every]),
        falling=_joined([part.falling for part in every]),
        label=np.concatenate(
            [number[part.label.numpy()] for number, part in zip(numbers, every, strict=True)]
        ),
        au_set=np.concatenate([part.au_set.numpy() for part in every]),
        domain=np.array([number for part in domain for number in part]),
        clips=tuple(clip for part in every for clip in part.clips),
        classes=names,
    )


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
    """Concatenated by name; a single array is not copied, since inputs may be gigabytes."""
    found = {name: [part[name].numpy() for part in parts] for name in parts[0]}
    return {n: own[0] if len(own) == 1 else np.concatenate(own) for n, own in found.items()}
