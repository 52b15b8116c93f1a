"""ImageNet weights, loaded by torchvision's own code, with an error that says what to do."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights, resnet18

Weights = Literal["imagenet", "none"]
"""The initial weights of a network: ``"none"`` is random."""

MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's channels, subtracted from inputs in [0, 1] of such networks."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's channels, by which they are then divided."""


class ImageNetError(ValueError):
    """ImageNet weights are not on this machine and cannot be downloaded."""


def imagenet_weights(architecture: str) -> Mapping[str, Tensor]:
    """The state dict of a torchvision network trained on ImageNet (``IMAGENET1K_V1``).

    torchvision keeps the file in its cache and downloads it if it is missing.

    Args:
        architecture: torchvision's name of the network, for instance ``"resnet18"``.

    Returns:
        Tensors by torchvision's names, on the CPU.

    Raises:
        ImageNetError: naming the file that torchvision looks for, if that is missing and cannot be
            downloaded, or is damaged.
    """
    weights = get_model_weights(architecture)["IMAGENET1K_V1"]
    file = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
    try:
        return weights.get_state_dict(progress=False, check_hash=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        what = "is damaged" if file.is_file() else "is missing and could not be downloaded"
        raise ImageNetError(
            f"ImageNet weights of {architecture}: {file} {what} ({error}). Put the file of "
            f"{weights.url} there, or set TORCH_HOME to a folder that holds it as "
            f"hub/checkpoints/{file.name}, or start from random weights: weights=none, in a run "
            "model.options.weights=none"
        ) from error


def resnet18_layers(weights: Weights, *layers: str) -> nn.Sequential:
    """Some layers of torchvision's ResNet18 in sequence, by torchvision's names.

    Args:
        weights: ``"imagenet"`` or ``"none"``, random.
        layers: their names, for instance ``"conv1", "bn1", "relu"``.

    Raises:
        ImageNetError: as :func:`imagenet_weights`.
    """
    network = resnet18()
    if weights == "imagenet":
        network.load_state_dict(imagenet_weights("resnet18"))
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in layers))
