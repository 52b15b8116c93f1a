"""Weights of STSTNet in the layout of its authors' PyTorch code.

Read off ``main.py`` and ``STSTNet_Weights/*.pth`` (a file a held-out subject) of
https://github.com/christy1206/STSTNet; i is 1, 2, 3, with N = 3, 5, 8 filters.

======================================  =============================================
``conv{i}.weight``, ``conv{i}.bias``    a stream's convolution, (N, 3, 3, 3) and (N,)
``bn{i}.{weight,bias}``                 its BatchNorm, (N,)
``bn{i}.running_{mean,var}``            likewise
``bn{i}.num_batches_tracked``           ()
``fc.weight``, ``fc.bias``              the linear layer, (num_classes, 400), (num_classes,)
======================================  =============================================

Their three classes are negative, positive, surprise, in this order.

Their code reads images of u, v and strain (red, green and blue of the folder ``norm_u_v_os``) with
OpenCV, which gives blue first: the convolutions' channels are strain, v, u. The loader turns them
to the u, v, strain that the model's inputs declare. It cannot know how the authors brought flow to
their images' 0..255: these weights want such images, 28 x 28, not displacements in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recognizers.models.published import load_renamed
from recognizers.models.registry import register_published
from recognizers.models.ststnet import STSTNet

_CHANNELS = [2, 1, 0]  # u, v, strain among theirs


@register_published("ststnet")
def _load_published(published: Mapping[str, Tensor], num_classes: int) -> STSTNet:
    """The model of the authors' state dict, padded by 2 and with channels in the declared order.

    Raises:
        PublishedError: if names or shapes are others.
    """
    model = STSTNet(num_classes, padding=2)
    load_renamed(model, published, {ours: _their_name(ours) for ours in model.state_dict()})
    for stream in model.streams:
        weight = stream.get_parameter("conv.weight").data
        weight.copy_(weight[:, _CHANNELS])
    return model


def _their_name(ours: str) -> str:
    if ours.startswith("classifier."):
        return ours.replace("classifier.", "fc.")
    _, index, layer, part = ours.split(".")
    name = {"conv": "conv", "norm": "bn"}[layer]
    return f"{name}{int(index) + 1}.{part}"
