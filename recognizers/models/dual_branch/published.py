"""Weights of the dual-branch model in the layout of its authors' code.

Read off https://github.com/Justin900429/mimicking-annotation-micro-expression-recognition (its
``model/samer.py`` and ``model/resnet.py``); C is the number of channels of a block.

==========================================  ==========================================
``base_layers.layers.0.weight``             first convolution, (64, 3, 7, 7)
``base_layers.layers.1.*``                  its BatchNorm, (64,)
``base_layers.layers.{4,6}.{0,1}.*``        ResNet18's layers 1 and 2, two blocks each
``{eyes,mouth}_branch.layers.{0,2}.{0,1}``  its layers 3 and 4, of each region
``...{conv1,bn1,conv2,bn2,downsample}.*``   in each block, as torchvision names and shapes them
``...sa.{c,s}{weight,bias}``                in each block, (1, 4, C / 8, 1, 1)
``...sa.gn.{weight,bias}``                  in each block, (C / 8,)
``area_weight.{0,4}.{weight,bias}``         AWM's linear layers, (1024, 1024) and (1024,)
``area_weight.{1,5}.{weight,bias}``         AWM's LayerNorms, (1024,)
``{eyes,mouth}.0.{weight,bias}``            a head's first layer, (512, 512) and (512,)
``{eyes,mouth}.1.{weight,bias}``            its LayerNorm, (512,)
``{eyes,mouth}.4.{weight,bias}``            its last layer, (num_classes, 512), (num_classes,)
==========================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recognizers.models.dual_branch.model import DualBranch
from recognizers.models.published import load_renamed
from recognizers.models.registry import register_published

_THEIRS = (
    ("base.conv1.", "base_layers.layers.0."),
    ("base.bn1.", "base_layers.layers.1."),
    ("base.layer1.", "base_layers.layers.4."),
    ("base.layer2.", "base_layers.layers.6."),
    ("branches.eyes.layer3.", "eyes_branch.layers.0."),
    ("branches.eyes.layer4.", "eyes_branch.layers.2."),
    ("branches.mouth.layer3.", "mouth_branch.layers.0."),
    ("branches.mouth.layer4.", "mouth_branch.layers.2."),
    ("awm.layers.", "area_weight."),
    ("heads.", ""),
    (".attention.channel_", ".sa.c"),
    (".attention.spatial_", ".sa.s"),
    (".attention.norm.", ".sa.gn."),
)


@register_published("dual_branch")
def _load_published(published: Mapping[str, Tensor], num_classes: int) -> DualBranch:
    """The model of the authors' state dict, with their losses and their inference rule.

    Raises:
        PublishedError: if names or shapes differ.
    """
    model = DualBranch(num_classes, loss_form="published", inference="published")
    load_renamed(model, published, {ours: _their_name(ours) for ours in model.state_dict()})
    return model


def _their_name(ours: str) -> str:
    for own, their in _THEIRS:
        ours = ours.replace(own, their)
    return ours
