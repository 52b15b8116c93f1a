"""Inputs that show the movement from onset to apex: optical flow and images made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mersynth.motion.luma import luma
from mersynth.store.clip_store import StoredClip
from recognizers.data.input_kinds.registry import register_input
from recognizers.models.base import InputSpec


@register_input("flow", ("u", "v"), features=lambda spec: {"flow": {}})
def flow(items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec) -> Tensor:
    """Optical flow in pixels of the store's frames, to the right and down."""
    return features["flow"]


@register_input(
    "flow_strain", ("u", "v", "strain"), features=lambda spec: {"flow": {}, "strain": {}}
)
def flow_strain(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Optical flow in pixels of the store's frames, and optical strain."""
    return torch.cat([features["flow"], features["strain"]], dim=1)


@register_input("flow_hsv", ("hue", "saturation", "value"), features=lambda spec: {"flow_hsv": {}})
def flow_hsv(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """Flow as a colour image (:func:`mersynth.motion.flow_images.flow_to_hsv`)."""
    return features["flow_hsv"]


@register_input(
    "dynamic_image", ("red", "green", "blue"), features=lambda spec: {"dynamic_image": {}}
)
def dynamic_image(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The clip's dynamic image (:func:`mersynth.motion.dynamic_image.dynamic_image`)."""
    return features["dynamic_image"]


@register_input(
    "magnified_on_off",
    ("magnified_grey", "on_apex", "off_apex"),
    # the paper's 3.1.1 amplifies by 6; of 4.3's two ways to On-A and Off-A, prepare.yaml's default
    features=lambda spec: {"magnified": {"alpha": 6.0}, "on_off": {}},
)
def magnified_on_off(
    items: Sequence[StoredClip], features: Mapping[str, Tensor], spec: InputSpec
) -> Tensor:
    """The dual branch's image (paper 000, 3.1.1), in [0, 1].

    The amplified apex frame in grey, then the magnitudes of the flow from onset to apex and from
    offset to apex (:func:`mersynth.motion.flow_images.on_apex_off_magnitudes`).
    """
    return torch.cat([luma(features["magnified"]), features["on_off"]], dim=1).clamp(0, 1)
