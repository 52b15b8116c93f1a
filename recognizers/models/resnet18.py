"""ResNet18: the plain baseline, a standard network on one image of the expression."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torchvision
from torch import Tensor, nn

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.imagenet import MEAN, STD, Weights, imagenet_weights
from recognizers.models.registry import register_model

_RANGES = {"apex_minus_onset": (-1.0, 1.0), "apex": (0.0, 1.0)}


@register_model("resnet18")
class ResNet18(Recognizer):
    """torchvision's ResNet18 with a linear layer for the classes, and nothing else.

    It reads the apex frame minus the onset frame, as MMNet and others do: both show the same face,
    so the difference keeps the movement and drops identity and lighting, by which a plain network
    would memorise the training subjects. ``image="apex"`` is the other common baseline, the apex
    frame alone.

    Inputs are normalised by ImageNet's statistics, channel by channel. The mean cancels in a
    difference, which is therefore only divided by the standard deviation.

    Args:
        num_classes: number of classes C.
        image: ``"apex_minus_onset"`` or ``"apex"``; it names the input, too.
        weights: ``"imagenet"`` or ``"none"``, random.
        image_size: height and width of the input, 32 or more.

    Shape:
        - apex_minus_onset: (B, 3, image_size, image_size) in [-1, 1]; or apex, in [0, 1]
        - output: ``logits`` (B, C), ``features`` (B, 512)

    Raises:
        ValueError: if an option is out of its range, or ImageNet weights are unavailable.
    """

    paper = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        image: Literal["apex_minus_onset", "apex"] = "apex_minus_onset",
        weights: Weights = "none",
        image_size: int = 224,
    ) -> None:
        super().__init__(num_classes)
        check_choice("image", image, _RANGES)
        check_choice("weights", weights, get_args(Weights))
        if image_size < 32:
            raise ValueError(f"ResNet18: image_size must be 32 or more, got {image_size}")
        self.image = image
        spec = InputSpec(
            image, ("red", "green", "blue"), (image_size, image_size), range=_RANGES[image]
        )
        self.inputs = {image: spec}
        self.trunk = torchvision.models.resnet18()
        if weights == "imagenet":
            self.trunk.load_state_dict(imagenet_weights("resnet18"))
        self.classifier = nn.Linear(self.trunk.fc.in_features, num_classes)
        self.trunk.fc = nn.Identity()
        mean = MEAN if image == "apex" else (0.0, 0.0, 0.0)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, **images: Tensor) -> Output:
        """Recognise the image that ``inputs`` names; see the class for the shapes."""
        self.check_inputs(**images)
        features = self.trunk((images[self.image] - self.mean) / self.std)  # (B, 512)
        return Output(logits=self.classifier(features), features=features)
