"""Inputs that show a clip's movement frame by frame: sequences of optical flow.

A clip is interpolated to one frame more than the input has (:func:`mersynth.motion.tim.tim`, kept
in the store as a feature). Frame ``t`` of the input shows TV-L1 flow to interpolated frame
``t + 1``: from the onset (``flow_...``), so that displacements grow towards the apex, or from the
previous frame (``step_flow_...``), so that they show speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mersynth.motion.flow import optical_flow, optical_strain
from mersynth.motion.luma import luma
from mersynth.store.clip_store import StoredClip
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec

FLOW = ("u", "v")
FLOW_STRAIN_GREY = ("u", "v", "strain", "grey")


def _one_frame_more(spec: InputSpec) -> dict[str, dict[str, Any]]:
    assert spec.num_frames is not None
    return {"tim": {"num_frames": spec.num_frames + 1}}


@register_input("flow_clip", FLOW, True, _one_frame_more)
def flow_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow from the onset, in pixels of the store's frames, to the right and down."""
    return _from_onset(_grey(features))


@register_input("step_flow_clip", FLOW, True, _one_frame_more)
def step_flow_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow from the previous frame, in pixels of the store's frames, to the right and down."""
    return _from_previous(_grey(features))


@register_input("flow_strain_grey_clip", FLOW_STRAIN_GREY, True, _one_frame_more)
def flow_strain_grey_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow from the onset, its optical strain, and the grey frame that it points to."""
    grey = _grey(features)
    return _with_strain_and_grey(_from_onset(grey), grey)


@register_input("step_flow_strain_grey_clip", FLOW_STRAIN_GREY, True, _one_frame_more)
def step_flow_strain_grey_clip(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow from the previous frame, its optical strain, and the grey frame that it points to."""
    grey = _grey(features)
    return _with_strain_and_grey(_from_previous(grey), grey)


def _grey(features: Mapping[str, Tensor]) -> Tensor:
    """(B, T + 1, 1, H, W)."""
    return luma(features["tim"]).clamp(0, 1)  # the weights' sum may round to above 1


def _from_onset(grey: Tensor) -> Tensor:
    """(B, T + 1, 1, H, W) to (B, T, 2, H, W)."""
    return _flow(grey[:, :1].expand_as(grey[:, 1:]), grey[:, 1:])


def _from_previous(grey: Tensor) -> Tensor:
    """(B, T + 1, 1, H, W) to (B, T, 2, H, W)."""
    return _flow(grey[:, :-1], grey[:, 1:])


def _flow(first: Tensor, second: Tensor) -> Tensor:
    flow = optical_flow(first.flatten(0, 1), second.flatten(0, 1))
    return flow.unflatten(0, second.shape[:2])


def _with_strain_and_grey(flow: Tensor, grey: Tensor) -> Tensor:
    """(B, T, 2, H, W) and (B, T + 1, 1, H, W) to (B, T, 4, H, W)."""
    strain = optical_strain(flow.flatten(0, 1)).unflatten(0, flow.shape[:2])
    return torch.cat([flow, strain, grey[:, 1:]], dim=2)
