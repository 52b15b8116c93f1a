"""Inputs that show optical flow as a picture in RGB, as NMER's network sees it.

Hue is an angle: halfway between 0.95 and 0.05 lies 0, not 0.5. A flow image to be resized, rotated
or jittered must therefore be in RGB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mersynth.augment import EMR
from mersynth.motion.flow import farneback
from mersynth.motion.flow_images import flow_to_hsv, hsv_to_rgb
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from recognizers.data.input_kinds.frames import RGB
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec

TARGET_MOTION = 0.01
"""Motion to which EMR magnifies micro-expressions, as a share of the frames' side.

NMER's paper names none. Halfway to their apex, phantoms' macro-expressions move by 0.010 of the
side at 128 pixels (median of 24), by 0.009 at 64 (:func:`mersynth.augment.apex_motion`).
"""

_ALPHA_MAX = 4.0  # for which the Eulerian magnification's wavelength is chosen


@register_input("flow_rgb", RGB, features=lambda spec: {"flow_hsv": {}})
def flow_rgb(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow as a picture (:func:`mersynth.motion.flow_images.flow_to_hsv`), in RGB."""
    return hsv_to_rgb(features["flow_hsv"])


@register_input("emr_flow_rgb", RGB, needs=("apex",))
def emr_flow_rgb(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """``flow_rgb`` after expression magnification and reduction (NMER, II.D).

    A macro-expression (``Clip.strength``) gets the frame halfway from onset to apex as its apex;
    the apex of a micro-expression that moves less than :data:`TARGET_MOTION` is magnified by the
    Eulerian method. A clip whose apex is its onset is not changed.
    """
    onset, apex = _emr(items)
    return hsv_to_rgb(flow_to_hsv(farneback(onset, apex), apex))


def _emr(items: Sequence[StoredClip]) -> tuple[Tensor, Tensor]:
    """Onset and apex, (B, 3, H, W) each, the apex reduced or magnified."""
    trios = []
    for item in items:
        last = item.clip.apex_index
        assert last is not None  # needs=("apex",)
        middle = max(round(last / 2), min(last, 1))
        trios.append(item.frames[[0, middle, last]])
    clips = to_float(np.stack(trios))  # (B, 3 frames, 3, H, W)
    onset, apex = clips[:, 0], clips[:, 2].clone()
    moving = [i for i, item in enumerate(items) if item.clip.apex_index]
    if moving:
        emr = EMR(
            target=TARGET_MOTION * clips.shape[-1],
            reduction="paper",
            magnifier="eulerian",
            alpha_max=_ALPHA_MAX,
        )
        mixed = emr(
            {
                "clip": clips[moving],
                "apex_index": torch.full((len(moving),), 2),
                "strength": [items[i].clip.strength for i in moving],
            }
        )
        apex[moving] = mixed["apex"]
    return onset, apex
