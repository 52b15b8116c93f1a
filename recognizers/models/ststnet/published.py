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
OpenCV, which gives blue first: the convolutions' channels are strain, v, u. The loader puts them in
the order u, v, strain of the model's inputs. How the authors scaled flow to their images' 0..255 is
unknown: these weights expect such images, 28 x 28, not displacements in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recognizers.models.published import load_renamed
from recognizers.models.registry import register_published
from recognizers.models.ststnet.model import KERNELS, STSTNet

_CHANNELS = [2, 1, 0]  # u, v, strain among theirs


@register_published("ststnet")
def _load_published(published: Mapping[str, Tensor], num_classes: int) -> STSTNet:
    """The model of the authors' state dict, padded by 2 and with channels in the declared order.

    Raises:
        PublishedError: if names or shapes differ.
    """
    model = STSTNet(num_classes, padding=2)
    theirs = nn.ModuleDict({"fc": model.classifier})
    for i, filters in enumerate(KERNELS, start=1):
        theirs[f"conv{i}"] = nn.Conv2d(3, filters, 3)
        theirs[f"bn{i}"] = nn.BatchNorm2d(filters)
    load_renamed(theirs, published, {name: name for name in theirs.state_dict()})
    for ours, name in (("conv", "conv"), ("norm", "bn")):
        parts = [theirs[f"{name}{i}"].state_dict() for i in range(1, len(KERNELS) + 1)]
        joined = {
            key: torch.cat([part[key] for part in parts]) if value.dim() else value
            for key, value in parts[0].items()
        }
        model.streams.get_submodule(ours).load_state_dict(joined)
    weight = model.streams.get_parameter("conv.weight").data
    weight.copy_(weight[:, _CHANNELS])
    return model
