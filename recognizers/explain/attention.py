"""Attention maps: where a model looks, by its own weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from recognizers.models.base import Output

_BLOCK = re.compile(r"attention_\d+")
_FACE = "face_weights"


def attention_maps(output: Output) -> Mapping[str, Tensor]:
    """The maps among a model's extras.

    MMNet's are ``attention_1`` ... ``attention_4``, Attn^i of each CA block (paper 001, eq. 1), in
    [0, 1]. FRL-DGT's is ``face_weights``, the weight of each patch in the full-face fusion layer
    (paper 003, eq. 6): the mean over its heads, and for FRL-DGT-S over the pairs of frames; it adds
    up to 1.

    Args:
        output: output of a model in evaluation mode.

    Returns:
        (B, h, w) each, by name, at the model's own resolution; empty if a model has no map.
    """
    maps = {
        name: value.detach()[:, 0]
        for name, value in sorted(output.extras.items())
        if _BLOCK.fullmatch(name)
    }
    if _FACE in output.extras:
        weights = output.extras[_FACE].detach()  # (B, [T - 1,] heads, patches)
        side = math.isqrt(weights.shape[-1])
        maps[_FACE] = weights.flatten(1, -2).mean(1).unflatten(1, (side, side))
    return maps
