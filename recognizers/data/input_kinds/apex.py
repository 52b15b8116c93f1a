"""Inputs that replace the apex frame in training: its neighbours, and its magnification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from recognizers.data.input_kinds.frames import RGB
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec


@register_input("apex_neighbours", RGB, of_frames=True, needs=("apex",))
def apex_neighbours(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The frames next to the apex, as many before as after it; past an end, the clip's end frame.

    ``num_frames`` is even: of 4 the first is two frames before the apex.
    """
    assert spec.num_frames is not None
    if spec.num_frames % 2:
        raise ValueError(
            f"apex_neighbours: num_frames must be even, as many before the apex as after it, got "
            f"{spec.num_frames}"
        )
    steps = np.arange(1, spec.num_frames // 2 + 1)
    around = np.concatenate([-steps[::-1], steps])
    chosen = []
    for item in items:
        assert item.clip.apex_index is not None
        at = (item.clip.apex_index + around).clip(0, len(item.frames) - 1)
        chosen.append(item.frames[at])
    return to_float(np.stack(chosen))


@register_input("magnified", RGB, features=lambda spec: {"magnified": {}})
def magnified(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The apex frame magnified since the onset (feature ``magnified``; MagNet, by 4)."""
    return features["magnified"]
