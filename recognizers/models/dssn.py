"""DSSN (Khor et al., ICIP 2019): two shallow AlexNets whose maps are merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from mersynth.checks import check_choice
from recognizers.models.base import Output
from recognizers.models.imagenet import Weights
from recognizers.models.registry import register_model
from recognizers.models.shallow_alexnet import ShallowAlexNet, Trunk, alexnet_trunk

_MERGERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": torch.mul,
    "add": torch.add,
    "concatenate": lambda first, second: torch.cat([first, second], dim=1),
}


@register_model("dssn")
class DSSN(ShallowAlexNet):
    """DSSN, the dual-stream shallow network: SSSN's trunk twice, merged, and one linear layer.

    The streams read flow with its magnitude and flow with its strain, as ``input_mag`` and
    ``input_strain`` in the authors' published code (https://github.com/IcedDoggie/DSSN-MER), which
    multiplies their maps and also has the other two mergers.

    Args:
        num_classes: number of classes C.
        merger: ``"multiply"``, ``"add"`` or ``"concatenate"``.
        trunk: ``"original"`` or ``"torchvision"``, see :func:`alexnet_trunk`.
        weights: ``"imagenet"``, only for the trunk ``"torchvision"``, or ``"none"``, random.
        image_size: side of the inputs in pixels, 35 or more.
        dropout: before the linear layer.

    Shape:
        - flow_magnitude: (B, 3, image_size, image_size): u and v, from onset to apex, and their
          length; any unit, since training brings them to one scale
        - flow_strain: likewise, with the optical strain instead of the length
        - output: ``logits`` (B, C), ``features`` (B, 57600 of the original trunk at 227 pixels;
          twice as many if concatenated)

    Raises:
        ValueError: if an option is out of its range, or ImageNet weights are unavailable.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        merger: Literal["multiply", "add", "concatenate"] = "multiply",
        trunk: Trunk = "original",
        weights: Weights = "none",
        image_size: int = 227,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes, ("flow_magnitude", "flow_strain"), image_size, dropout)
        check_choice("merger", merger, _MERGERS)
        self.merger = merger
        self.streams = nn.ModuleDict({name: alexnet_trunk(trunk, weights) for name in self.inputs})
        self.add_classifier(trunk, times=2 if merger == "concatenate" else 1)

    def forward(self, *, flow_magnitude: Tensor, flow_strain: Tensor) -> Output:
        """Recognise flow; see the class for the shapes."""
        self.check_inputs(flow_magnitude=flow_magnitude, flow_strain=flow_strain)
        first = self.streams["flow_magnitude"](flow_magnitude)  # (B, 256, 15, 15)
        second = self.streams["flow_strain"](flow_strain)  # likewise
        return self.classify(_MERGERS[self.merger](first, second))
