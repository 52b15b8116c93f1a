"""Inputs that are frames: single ones, their difference, sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec

RGB = ("red", "green", "blue")


@register_input("clip", RGB, of_frames=True)
def clip(items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec) -> Tensor:
    """The frames nearest to even steps from onset to offset, chosen as by ``ClipDataset``."""
    assert spec.num_frames is not None
    steps = [np.linspace(0, len(item.frames) - 1, spec.num_frames).round() for item in items]
    chosen = [item.frames[s.astype(int)] for item, s in zip(items, steps, strict=True)]
    return to_float(np.stack(chosen))


@register_input("tim", RGB, True, lambda spec: {"tim": {"num_frames": spec.num_frames}})
def tim(items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec) -> Tensor:
    """All frames from onset to offset, interpolated (:func:`mersynth.motion.tim.tim`)."""
    return features["tim"]


@register_input("onset", RGB)
def onset(items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec) -> Tensor:
    """The onset frame."""
    return to_float(np.stack([item.frames[0] for item in items]))


@register_input("apex", RGB, needs=("apex",))
def apex(items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec) -> Tensor:
    """The apex frame."""
    return to_float(np.stack([item.frames[item.clip.apex_index] for item in items]))


@register_input("apex_minus_onset", RGB, needs=("apex",))
def apex_minus_onset(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The apex frame minus the onset frame, in [-1, 1]."""
    return apex(items, features, spec) - onset(items, features, spec)
