"""All clips of a run as arrays: those under test, and others that are mixed into the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mersynth.clips import Clip
from recognizers.data.inputs import ModelData


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ClipArrays:
    """Clips as numpy arrays, shared between processes; row ``i`` of every array is one clip.

    Attributes:
        inputs: (N, ...) by the name of the model's input: float32, or uint8 where all values are
            bytes divided by 255, as those of frames in their stored size; :func:`as_float` reads
            both.
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


def as_float(values: Tensor) -> Tensor:
    """Rows of an input as float32; bytes are divided by 255."""
    return values.float() / 255 if values.dtype == torch.uint8 else values


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
        inputs=_joined([_compact(part.inputs) for part in every]),
        falling=_joined([_compact(part.falling) for part in every]),
        label=np.concatenate(
            [number[part.label.numpy()] for number, part in zip(numbers, every, strict=True)]
        ),
        au_set=np.concatenate([part.au_set.numpy() for part in every]),
        domain=np.array([number for part in domain for number in part]),
        clips=tuple(clip for part in every for clip in part.clips),
        classes=names,
    )


def mixed_in(clips: ClipArrays, further: ClipArrays) -> ClipArrays:
    """Clips with further ones of the same classes after them, which are only to learn from."""
    return ClipArrays(
        inputs=_joined([_tensors(clips.inputs), _tensors(further.inputs)]),
        falling=_joined([_tensors(clips.falling), _tensors(further.falling)]),
        label=np.concatenate([clips.label, further.label]),
        au_set=np.concatenate([clips.au_set, further.au_set]),
        domain=np.concatenate([clips.domain, np.ones_like(further.domain)]),
        clips=(*clips.clips, *further.clips),
        classes=clips.classes,
    )


def _compact(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _bytes(values) for name, values in tensors.items()}


def _bytes(values: Tensor) -> Tensor:
    """As bytes, a quarter of the memory, if nothing is lost; else the same values."""
    compact = torch.empty(values.shape, dtype=torch.uint8)
    for part, wanted in zip(compact, values, strict=True):
        part.copy_((wanted * 255).round().clamp(0, 255))
        if not torch.equal(as_float(part), wanted):
            return values
    return compact


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
    """Concatenated by name; a single array is not copied, since inputs may be gigabytes."""
    found = {name: [part[name] for part in parts] for name in parts[0]}
    return {name: _concatenated(own).numpy() for name, own in found.items()}


def _concatenated(tensors: Sequence[Tensor]) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    alike = len({tensor.dtype for tensor in tensors}) == 1
    return torch.cat([tensor if alike else as_float(tensor) for tensor in tensors])
