"""Weights of MMNet in the layout of its authors' code.

Read off https://github.com/muse1998/MMNet: the class ``MMNet`` of ``CASME2_5.py``, which is built
of ``CA_block.py`` and ``PC_module.py``. (``CASME2_3.py`` describes another PC module, of 3 layers
and narrower MLPs, behind a convolution that torch refuses: 3 channels do not divide into 2 groups.)

=================================================  =============================================
``conv_act.0.weight``                              first convolution, (180, 3, 3, 3)
``conv_act.1.*``                                   its BatchNorm, (180,)
``main_branch.conv1.weight``                       second convolution, (128, 180, 3, 3)
``main_branch.bn1.*``                              its BatchNorm, (128,)
``main_branch.layer{1,2,3,4}.0.conv1.weight``      f_3x3 of a CA block, (C', C, 3, 3), where C is
                                                   128, 128, 128, 256 and C' 128, 128, 256, 512
``main_branch.layer{1,2,3,4}.0.conv2.weight``      f_1x1, (C', C', 1, 1)
``main_branch.layer{1,2,3,4}.0.{bn1,bn2}.*``       their BatchNorms, (C',)
``main_branch.layer{1,2,3,4}.0.attn.0.weight``     f_1x1 of the map, (1, 2, 1, 1), of mean and max
``main_branch.layer{1,2,3,4}.0.attn.1.*``          its BatchNorm, (1,)
``main_branch.layer{2,3,4}.0.downsample.0.weight`` f_1x1 of the shortcut, (C', C, 1, 1)
``main_branch.layer{2,3,4}.0.downsample.1.*``      its BatchNorm, (C',)
``main_branch.fc.{weight,bias}``                   classifier, (num_classes, 100352), (num_classes,)
``vit_pos.patch_embed.proj.{weight,bias}``         patches, (512, 3, 1, 1) and (512,)
``vit_pos.pos_embed``                              position embeddings, (1, 196, 512)
``vit_pos.blocks.{0,1}.{norm1,norm2}.*``           LayerNorms, (512,)
``vit_pos.blocks.{0,1}.attn.qkv.{weight,bias}``    queries, keys, values, (1536, 512) and (1536,)
``vit_pos.blocks.{0,1}.attn.proj.{weight,bias}``   (512, 512) and (512,)
``vit_pos.blocks.{0,1}.mlp.fc1.{weight,bias}``     (2048, 512) and (2048,)
``vit_pos.blocks.{0,1}.mlp.fc2.{weight,bias}``     (512, 2048) and (512,)
``vit_pos.norm.*``                                 LayerNorm, (512,)
=================================================  =============================================

Ignored, since their forward pass does not use them: ``pos.*``, ``head.1.weight``, ``timeembed``,
``vit_pos.cls_token``, ``vit_pos.head.*``, ``vit_pos.to_Mask.0.*``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from recognizers.models.mmnet.model import MMNet
from recognizers.models.published import load_renamed
from recognizers.models.registry import register_published

_UNUSED = (
    "pos.0.weight",
    *(f"pos.1.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
    "pos.1.num_batches_tracked",
    "head.1.weight",
    "timeembed",
    "vit_pos.cls_token",
    "vit_pos.head.weight",
    "vit_pos.head.bias",
    "vit_pos.to_Mask.0.weight",
    "vit_pos.to_Mask.0.bias",
)
_THEIRS = (
    (r"^stem\.0\.", "conv_act.0."),
    (r"^stem\.1\.", "conv_act.1."),
    (r"^stem\.3\.", "main_branch.conv1."),
    (r"^stem\.4\.", "main_branch.bn1."),
    (r"^classifier\.", "main_branch.fc."),
    (r"^blocks\.0\.", "main_branch.layer1.0."),
    (r"^blocks\.1\.", "main_branch.layer2.0."),
    (r"^blocks\.2\.", "main_branch.layer3.0."),
    (r"^blocks\.3\.", "main_branch.layer4.0."),
    (r"^(main_branch\.layer.*)\.norm([12])\.", r"\1.bn\2."),
    (r"\.attention\.", ".attn."),
    (r"\.shortcut\.", ".downsample."),
    (r"^pc_module\.", "vit_pos."),
    (r"\.patch_embedding\.", ".patch_embed.proj."),
    (r"\.position_embedding$", ".pos_embed"),
    (r"\.encoders\.", ".blocks."),
    (r"(\.blocks\.\d)\.(qkv|proj)\.", r"\1.attn.\2."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.2\.", ".mlp.fc2."),
)


@register_published("mmnet")
def _load_published(published: Mapping[str, Tensor], num_classes: int) -> MMNet:
    """The model of the authors' state dict, which trains on the frames that their code draws.

    Raises:
        PublishedError: if names or shapes differ.
    """
    model = MMNet(num_classes, training_frames="published")
    names = {ours: _their_name(ours) for ours in model.state_dict()}
    load_renamed(model, published, names, _UNUSED)
    return model


def _their_name(ours: str) -> str:
    for own, their in _THEIRS:
        ours = re.sub(own, their, ours)
    return ours
