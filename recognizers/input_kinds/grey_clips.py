"""Inputs that are sequences of grey frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mersynth.motion.flow import LUMA
from mersynth.store import StoredClip
from recognizers.input_kinds.frames import clip
from recognizers.input_kinds.registry import register_input
from recognizers.models.base import InputSpec


def luma(frames: Tensor) -> Tensor:
    """RGB frames (..., 3, H, W) in grey, (..., 1, H, W); :data:`mersynth.motion.flow.LUMA`."""
    weights = frames.new_tensor(LUMA)[:, None, None]
    return (frames * weights).sum(-3, keepdim=True)


@register_input("grey_clip", ("grey",), of_frames=True)
def grey_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The frames of ``clip`` in grey."""
    return luma(clip(items, features, spec))
