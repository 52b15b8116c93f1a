"""Inputs that are sequences of grey frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mersynth.motion.luma import luma
from mersynth.store.clip_store import StoredClip
from recognizers.data.input_kinds.frames import clip
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec


@register_input("grey_clip", ("grey",), of_frames=True)
def grey_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The frames of ``clip`` in grey."""
    return luma(clip(items, features, spec))
