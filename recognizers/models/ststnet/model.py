"""STSTNet (Liong et al., FG 2019): three shallow streams on optical flow and strain."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.options import check_dropout
from recognizers.models.registry import register_model

KERNELS = (3, 5, 8)
"""Filters of the three streams, in the order of Table I."""


class QuickDropout(nn.Dropout):
    """``nn.Dropout`` with single-precision random numbers.

    On a CPU torch's own draws doubles, which takes a fifth of this network's training time.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Set a portion of the values to 0 and scale the others up, in training alone."""
        if not self.training:
            return input
        kept = torch.rand_like(input) >= self.p
        return input * (kept / (1 - self.p))


def _streams(padding: int, dropout: float) -> nn.Sequential:
    """C1 and P1 of Table I of all streams, and what the authors' code has between them.

    The streams differ only in their number of filters, and nothing mixes filters before they are
    joined: together they are one convolution, which trains in half the time.

    Args:
        padding: of the convolution, in pixels per side.
        dropout: share of the values that training sets to 0.

    Shape:
        - input: (B, 3, H, W)
        - output: (B, 16, h, w), each side a third of the convolution's, rounded up
    """
    filters = sum(KERNELS)
    layers: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(3, filters, 3, padding=padding)),
        ("relu", nn.ReLU(inplace=True)),
        ("norm", nn.BatchNorm2d(filters)),
        ("pool", nn.MaxPool2d(3, stride=3, padding=1)),
        ("dropout", QuickDropout(dropout)),
    ]
    return nn.Sequential(OrderedDict(layers))


@register_model("ststnet")
class STSTNet(Recognizer):
    """STSTNet: three streams of one convolution each, joined, averaged, and one linear layer.

    The order ReLU, batch normalisation, max-pooling, dropout is that of both of the authors'
    published implementations (https://github.com/christy1206/STSTNet); Table I names neither
    normalisation nor dropout.
    Their MATLAB code pads convolutions by 1, as Table I ("same"); their PyTorch code pads by 2,
    which leaves the sizes of Table I from the first pooling on unchanged.

    Args:
        num_classes: number of classes C.
        image_size: side of the input in pixels.
        padding: of the convolutions in pixels: 1, the paper's, or 2, the published weights'.
        dropout: after each max-pooling.

    Shape:
        - flow_strain: (B, 3, image_size, image_size): u and v, the flow from onset to apex to the
          right and down, and the magnitude of the optical strain; any unit, since training brings
          them to one scale
        - output: ``logits`` (B, C), ``features`` (B, 400 at 28 pixels), what the linear layer reads

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Liong, Gan, See, Khor, Huang: Shallow Triple Stream Three-dimensional CNN (STSTNet) for "
        "Micro-expression Recognition. FG 2019"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 28,
        padding: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        if padding not in (1, 2):
            raise ValueError(
                f"padding must be 1 (the paper's) or 2 (the published weights'), got {padding}"
            )
        if image_size < 4:
            raise ValueError(f"image_size must be 4 or more, got {image_size}")
        check_dropout(dropout)
        size = (image_size, image_size)
        self.inputs = {
            "flow_strain": InputSpec("flow_strain", ("u", "v", "strain"), size, range=None)
        }
        self.streams = _streams(padding, dropout)
        self.pool = nn.AvgPool2d(2)  # P2
        convolved = image_size + 2 * padding - 2
        pooled = -(-convolved // 3) // 2  # P1 rounds up, P2 down
        self.classifier = nn.Linear(sum(KERNELS) * pooled**2, num_classes)

    def forward(self, *, flow_strain: Tensor) -> Output:
        """Recognise flow and strain; see the class for the shapes."""
        self.check_inputs(flow_strain=flow_strain)
        # On a CPU, pooling with channels last takes a fraction of the time.
        x = flow_strain.contiguous(memory_format=torch.channels_last)
        x = self.streams(x)  # (B, 16, 10, 10)
        features = self.pool(x).flatten(1)  # (B, 16 * 5 * 5)
        return Output(logits=self.classifier(features), features=features)
