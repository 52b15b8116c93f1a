"""OFF-ApexNet (Gan et al. 2019): a stream for each direction of the optical flow."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.options import check_dropout
from recognizers.models.registry import register_model

KERNELS = (6, 16)
"""Filters of a stream's two convolutions."""


def _stream() -> nn.Sequential:
    """(B, 1, H, W) to (B, 16 * H / 4 * W / 4)."""
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(1, KERNELS[0], 5, padding=2)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(KERNELS[0], KERNELS[1], 5, padding=2)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
    ]
    return nn.Sequential(OrderedDict(layers))


@register_model("off_apexnet")
class OFFApexNet(Recognizer):
    """OFF-ApexNet: two streams of two convolutions on u and v, joined, and three linear layers.

    The authors published no code. Input, depth (five layers) and about 2.77 million parameters are
    in Table V of their STSTNet paper; widths and 5 x 5 kernels are those of the reimplementation in
    PRICAI 2021's Off-TANet (https://github.com/ECNU-Cross-Innovation-Lab/PRICAI2021-Off-TANet),
    which has 2.66 million parameters. Here a ReLU follows every convolution; that code has none, so
    that its convolutions are linear except for the pooling.

    Args:
        num_classes: number of classes C.
        image_size: side of the input in pixels, a multiple of 4.
        hidden: width of the two hidden linear layers.
        dropout: after each of these.

    Shape:
        - flow: (B, 2, image_size, image_size): u and v, from onset to apex, to the right and down;
          any unit, since training brings them to one scale
        - output: ``logits`` (B, C), ``features`` (B, hidden), the last linear layer's input

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Gan, Liong, Yau, Huang, Tan: OFF-ApexNet on Micro-expression Recognition System. "
        "Signal Processing: Image Communication 74, 2019"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 28,
        hidden: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        if image_size < 4 or image_size % 4:
            raise ValueError(f"image_size must be a positive multiple of 4, got {image_size}")
        if hidden < 1:
            raise ValueError(f"hidden must be 1 or more, got {hidden}")
        check_dropout(dropout)
        size = (image_size, image_size)
        self.inputs = {"flow": InputSpec("flow", ("u", "v"), size, range=None)}
        self.streams = nn.ModuleDict({"u": _stream(), "v": _stream()})
        width = 2 * KERNELS[1] * (image_size // 4) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, *, flow: Tensor) -> Output:
        """Recognise flow; see the class for the shapes."""
        self.check_inputs(flow=flow)
        u, v = flow.split(1, dim=1)  # (B, 1, 28, 28) each
        x = torch.cat([self.streams["u"](u), self.streams["v"](v)], dim=1)  # (B, 2 * 16 * 7 * 7)
        features = self.hidden(x)  # (B, 1024)
        return Output(logits=self.classifier(features), features=features)
