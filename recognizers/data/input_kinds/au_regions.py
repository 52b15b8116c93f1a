"""Inputs that show where the face's AU regions lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mersynth.store.clip_store import StoredClip
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec
from recognizers.models.frl_dgt.regions import REGIONS, au_boxes, region_maps


@register_input("au_regions", tuple(REGIONS), needs=("landmarks",))
def au_regions(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """One map per region, 1 within its box, from the first frame that has landmarks."""
    boxes = []
    for item in items:
        known = np.isfinite(item.landmarks).all((1, 2))
        height, width = item.frames.shape[1:3]
        scale = np.array([spec.size[1] / width, spec.size[0] / height])
        landmarks = (item.landmarks[int(known.argmax())] + 0.5) * scale - 0.5
        boxes.append(au_boxes(landmarks))
    return region_maps(np.stack(boxes), spec.size)
