"""Inputs that are frames near the onset or the apex, from which MMNet draws one in training.

Frame 0 is the annotated onset or apex itself. If a clip has fewer frames than the spec asks for,
they are repeated from the first on, so that each is drawn about equally often.
Every frame near the onset lies before every frame near the apex, unless a clip's apex is its onset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from recognizers.data.input_kinds.frames import RGB
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec

_SHARE = 0.15  # of a quarter of the way from onset to apex: MMNet's published code


@register_input("near_onset", RGB, of_frames=True, needs=("apex",))
def near_onset(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The stored frames nearest to the onset, up to half of the way to the apex (MMNet, 3.2)."""
    return _take(items, spec, [_nearest(0, 0, _half(_apex(item))) for item in items])


@register_input("near_apex", RGB, of_frames=True, needs=("apex",))
def near_apex(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The stored frames nearest to the apex, before and after it (MMNet, 3.2)."""
    places = []
    for item in items:
        apex = _apex(item)
        places.append(_nearest(apex, apex - _half(apex), len(item.frames) - 1))
    return _take(items, spec, places)


@register_input("near_onset_published", RGB, of_frames=True, needs=("apex",))
def near_onset_published(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Frames onset .. onset + 0.15 (apex - onset) / 4, as in MMNet's published code."""
    return _take(items, spec, [_spread(0, _reach(item), spec) for item in items])


@register_input("near_apex_published", RGB, of_frames=True, needs=("apex",))
def near_apex_published(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Frames apex - 0.15 (apex - onset) / 4 .. apex, as in MMNet's published code."""
    return _take(items, spec, [_spread(_apex(item), -_reach(item), spec) for item in items])


def _apex(item: StoredClip) -> int:
    assert item.clip.apex_index is not None  # needs=("apex",)
    return item.clip.apex_index


def _half(apex: int) -> int:
    """How far from onset and apex frames may be taken without overlap."""
    return max(0, (apex - 1) // 2)


def _reach(item: StoredClip) -> int:
    return int(_SHARE * _apex(item) / 4)


def _nearest(place: int, first: int, last: int) -> list[int]:
    """The positions first..last, the nearest first; of two equally near the earlier one."""
    return sorted(range(first, last + 1), key=lambda other: (abs(other - place), other))


def _spread(place: int, reach: int, spec: InputSpec) -> list[int]:
    """The positions from ``place`` to ``reach`` further; evenly spaced if the spec takes fewer."""
    assert spec.num_frames is not None
    count = min(spec.num_frames, abs(reach) + 1)
    return [place + round(float(step)) for step in np.linspace(0, reach, count)]


def _take(items: Sequence[StoredClip], spec: InputSpec, places: Sequence[Sequence[int]]) -> Tensor:
    """(B, T, 3, H, W) of the first T positions of each clip, repeated if there are too few."""
    assert spec.num_frames is not None
    chosen = [np.resize(own[: spec.num_frames], spec.num_frames) for own in places]
    return to_float(np.stack([item.frames[rows] for item, rows in zip(items, chosen, strict=True)]))
