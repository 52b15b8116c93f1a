"""Weights of CapsuleNet in the layout of its authors' code.

Read off https://github.com/davidnvq/me_recognition (its ``capsule/modules``), which also has the
file ``trained/model_state.pt``; C is the number of classes.

=====================================  =============================================
``conv.model.{conv1,bn1}.*``           ResNet18's first layers, as torchvision's
``conv.model.layer{1,2,3}.{0,1}.*``    its layers 1 to 3, as torchvision's
``conv1.{weight,bias}``                the convolution, (256, 256, 9, 9) and (256,)
``primarycaps.conv2d.{weight,bias}``   of the primary capsules, (256, 256, 9, 9), (256,)
``digitcaps.weight``                   W of the routing, (C, 1152, 16, 8)
=====================================  =============================================
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recognizers.models.capsulenet.model import CapsuleNet
from recognizers.models.published import load_renamed
from recognizers.models.registry import register_published

_THEIRS = {
    "trunk.": "conv.model.",
    "convolution.": "conv1.",
    "primary.convolution.": "primarycaps.conv2d.",
    "capsules.": "digitcaps.",
}


@register_published("capsulenet")
def _load_published(published: Mapping[str, Tensor], num_classes: int) -> CapsuleNet:
    """The model of the authors' state dict, which reads apex frames as images.

    Raises:
        PublishedError: if names or shapes differ.
    """
    model = CapsuleNet(num_classes, training_frames=1)
    load_renamed(model, published, {ours: _their_name(ours) for ours in model.state_dict()})
    return model


def _their_name(ours: str) -> str:
    own = next(prefix for prefix in _THEIRS if ours.startswith(prefix))
    return _THEIRS[own] + ours.removeprefix(own)
