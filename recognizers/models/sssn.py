"""SSSN (Khor et al., ICIP 2019): a shallow AlexNet on one image of the optical flow."""

from __future__ import annotations

from torch import Tensor

from recognizers.models.base import Output
from recognizers.models.imagenet import Weights
from recognizers.models.registry import register_model
from recognizers.models.shallow_alexnet import Image, ShallowAlexNet, Trunk, alexnet_trunk


@register_model("sssn")
class SSSN(ShallowAlexNet):
    """SSSN, the single-stream shallow network: two convolutions of AlexNet, and one linear layer.

    From the authors' published code (https://github.com/IcedDoggie/DSSN-MER).

    Args:
        num_classes: number of classes C.
        image: ``"flow_magnitude"`` or ``"flow_strain"``; it names the input, too.
        trunk: ``"original"`` or ``"torchvision"``, see :func:`alexnet_trunk`.
        weights: ``"imagenet"``, only for the trunk ``"torchvision"``, or ``"none"``, random.
        image_size: side of the input in pixels, 35 or more.
        dropout: before the linear layer.

    Shape:
        - flow_magnitude: (B, 3, image_size, image_size): u and v, from onset to apex, and their
          length; or flow_strain, with the optical strain; any unit, since training brings them to
          one scale
        - output: ``logits`` (B, C), ``features`` (B, 57600 of the original trunk at 227 pixels)

    Raises:
        ValueError: if an option is out of its range, or ImageNet weights are unavailable.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image: Image = "flow_magnitude",
        trunk: Trunk = "original",
        weights: Weights = "none",
        image_size: int = 227,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes, (image,), image_size, dropout)
        self.image = image
        self.trunk = alexnet_trunk(trunk, weights)
        self.add_classifier(trunk)

    def forward(self, **images: Tensor) -> Output:
        """Recognise the image that ``inputs`` names; see the class for the shapes."""
        self.check_inputs(**images)
        return self.classify(self.trunk(images[self.image]))  # of (B, 256, 15, 15)
