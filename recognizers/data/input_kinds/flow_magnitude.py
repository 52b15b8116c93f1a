"""Flow and its length as an image of three channels, as the shallow AlexNets read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mersynth.motion.flow import magnitude
from mersynth.store.clip_store import StoredClip
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec


@register_input("flow_magnitude", ("u", "v", "magnitude"), features=lambda spec: {"flow": {}})
def flow_magnitude(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Optical flow in pixels of the store's frames, and its length."""
    flow = features["flow"]
    return torch.cat([flow, magnitude(flow)], dim=1)
