"""AlexNet up to its second convolution: the trunk of SSSN and of each stream of DSSN."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, get_args

import torchvision
from torch import Tensor, nn

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.imagenet import Weights, imagenet_weights
from recognizers.models.options import check_dropout

Trunk = Literal["original", "torchvision"]
Image = Literal["flow_magnitude", "flow_strain"]

FILTERS: dict[Trunk, int] = {"original": 256, "torchvision": 192}
"""Filters of the second convolution."""

_CHANNELS: dict[Image, tuple[str, str, str]] = {
    "flow_magnitude": ("u", "v", "magnitude"),
    "flow_strain": ("u", "v", "strain"),
}
_MIN_SIZE = 35  # pixels, of which the second pooling leaves one


def flow_image(image: Image, image_size: int) -> InputSpec:
    """A stream's input: flow, and its magnitude or strain as third channel.

    Args:
        image: what the input is made of.
        image_size: its side in pixels.

    Raises:
        ValueError: if there is no such image, or it is too small for the trunk.
    """
    check_choice("image", image, _CHANNELS)
    if image_size < _MIN_SIZE:
        raise ValueError(f"image_size must be {_MIN_SIZE} or more, got {image_size}")
    return InputSpec(image, _CHANNELS[image], (image_size, image_size), range=None)


def alexnet_trunk(trunk: Trunk, weights: Weights) -> nn.Sequential:
    """Two convolutions of AlexNet, and a border of zeros.

    ``"original"`` is the authors' (``alexnet`` and ``train_shallow_alexnet_imagenet`` of
    https://github.com/IcedDoggie/DSSN-MER): pooling before normalisation, the second convolution in
    two groups, and the padding of the removed third one. Their ImageNet weights are in an old Keras
    format. ``"torchvision"`` is the AlexNet whose weights torchvision has (Krizhevsky 2014): 64 and
    192 filters, one group, no normalisation.

    Args:
        trunk: which AlexNet.
        weights: ``"imagenet"``, torchvision's, or ``"none"``: random (:func:`draw_weights`).

    Shape:
        - input: (B, 3, S, S)
        - output: (B, FILTERS[trunk], s, s), s = :func:`trunk_side`

    Raises:
        ValueError: if there is no such trunk, or it has no such weights.
    """
    check_choice("trunk", trunk, get_args(Trunk))
    check_choice("weights", weights, get_args(Weights))
    if (trunk, weights) == ("original", "imagenet"):
        raise ValueError(
            "weights=imagenet: torch has none for the original AlexNet; choose trunk=torchvision, "
            "or weights=none"
        )
    layers = _original() if trunk == "original" else _of_torchvision(weights)
    layers["frame"] = nn.ZeroPad2d(1)
    network = nn.Sequential(layers)
    if weights == "none":
        draw_weights(network)
    return network


def trunk_side(trunk: Trunk, image_size: int) -> int:
    """Side of a trunk's output in pixels: 15 for an input of 227."""
    padding = {"original": 0, "torchvision": 2}[trunk]
    side = (image_size + 2 * padding - 11) // 4 + 1  # conv1: 55 (or 56)
    side = (side - 3) // 2 + 1  # pool1: 27; conv2 keeps it
    return (side - 3) // 2 + 1 + 2  # pool2: 13; frame: 15


class ShallowAlexNet(Recognizer):
    """Base of SSSN and DSSN: maps of one or two trunks, dropout and one linear layer.

    A subclass sets up its trunks, calls ``add_classifier`` with the number of maps that they give,
    and ends its ``forward`` with ``classify``.

    Args:
        num_classes: number of classes C.
        images: the images to read, one per input.
        image_size: their side in pixels, 35 or more.
        dropout: before the linear layer.

    Raises:
        ValueError: if an option is out of its range.
    """

    paper = (
        "Khor, See, Liong, Phan, Lin: Dual-stream Shallow Networks for Facial Micro-expression "
        "Recognition. ICIP 2019"
    )

    def __init__(
        self, num_classes: int, images: tuple[Image, ...], image_size: int, dropout: float
    ) -> None:
        super().__init__(num_classes)
        check_dropout(dropout)
        self.inputs = {image: flow_image(image, image_size) for image in images}
        self.image_size = image_size
        self.dropout = nn.Dropout(dropout)

    def add_classifier(self, trunk: Trunk, times: int = 1) -> None:
        """Add the linear layer for ``times`` as many maps as one trunk gives."""
        side = trunk_side(trunk, self.image_size)
        self.classifier = nn.Linear(times * FILTERS[trunk] * side**2, self.num_classes)
        draw_weights(self.classifier)

    def classify(self, maps: Tensor) -> Output:
        """The output of maps (B, K, s, s)."""
        features = maps.flatten(1)  # (B, 57600)
        return Output(logits=self.classifier(self.dropout(features)), features=features)


def draw_weights(network: nn.Module) -> None:
    """Draw convolutions and linear layers as in the authors' code (He et al. 2015), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def _original() -> OrderedDict[str, nn.Module]:
    """Layers of the AlexNet of Krizhevsky et al. 2012, as Caffe orders them."""
    return OrderedDict(
        conv1=nn.Conv2d(3, 96, 11, stride=4),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2),
        norm1=_local_response_norm(),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(3, stride=2),
        norm2=_local_response_norm(),
    )


def _local_response_norm() -> nn.Module:
    """Divides by (2 + 1e-4 sum of x^2 over 5 channels)^0.75; torch's alpha is of their mean."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def _of_torchvision(weights: Weights) -> OrderedDict[str, nn.Module]:
    network = torchvision.models.alexnet()
    if weights == "imagenet":
        network.load_state_dict(imagenet_weights("alexnet"))
    names = ("conv1", "relu1", "pool1", "conv2", "relu2", "pool2")
    return OrderedDict(zip(names, network.features, strict=False))
