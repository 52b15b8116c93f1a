"""MicroExpSTCNN: one 3D convolution over the whole clip (Reddy et al., IJCNN 2019)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.registry import register_model

_KERNEL = (15, 3, 3)  # frames, rows, columns
_POOL = 3


@register_model("stcnn")
class STCNN(Recognizer):
    """A 3D convolution that sees 15 frames at once, pooled, and two dense layers.

    The authors' published code shifts and scales frames by the mean and the largest value of all
    clips, including the test clips. Here grey values in [0, 1] are mapped to [-1, 1] for any data,
    or the first frame is subtracted. Initial weights are as in that code: the convolution's Glorot
    and Bengio's, the dense layers' normal with a standard deviation of 0.05, biases 0.

    Args:
        num_classes: number of classes C.
        image_size: side of the frames in pixels, 5 or more.
        num_frames: T, 17 or more; 18 for SMIC and 96 for CAS(ME)^2 in the paper.
        filters: F, of the convolution.
        hidden: units of the dense layer before the classifier.
        dropout: probability after the pooling and after the dense layer.
        subtract_onset: whether it reads each frame's change since the first; else frames.

    Shape:
        - clip: (B, T, 1, image_size, image_size) in [0, 1], grey
        - output: ``logits`` (B, C), ``features`` (B, hidden)

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Reddy, Karri, Dubey, Mukherjee: Spontaneous Facial Micro-Expression Recognition using 3D "
        "Spatiotemporal Convolutional Neural Networks. IJCNN 2019"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 64,
        num_frames: int = 18,
        filters: int = 32,
        hidden: int = 128,
        dropout: float = 0.5,
        subtract_onset: bool = True,
    ) -> None:
        super().__init__(num_classes)
        least = (_KERNEL[1] + _POOL - 1, _KERNEL[0] + _POOL - 1)
        if image_size < least[0] or num_frames < least[1]:
            raise ValueError(
                f"STCNN: image_size must be {least[0]} or more and num_frames {least[1]} or more, "
                f"so that convolution and pooling leave something; got {image_size} and "
                f"{num_frames}"
            )
        if filters < 1 or hidden < 1 or not 0 <= dropout < 1:
            raise ValueError(
                "STCNN: filters and hidden must be 1 or more and dropout in [0, 1), got "
                f"{filters}, {hidden} and {dropout}"
            )
        size = (image_size, image_size)
        self.inputs = {"clip": InputSpec("grey_clip", ("grey",), size, num_frames)}
        left = [
            (side - kernel + 1) // _POOL
            for side, kernel in zip((num_frames, *size), _KERNEL, strict=True)
        ]
        self.subtract_onset = subtract_onset
        self.convolution = nn.Conv3d(1, filters, _KERNEL)
        self.pool = nn.MaxPool3d(_POOL)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(filters * math.prod(left), hidden)
        self.classifier = nn.Linear(hidden, num_classes)
        nn.init.xavier_uniform_(self.convolution.weight)
        for dense in (self.dense, self.classifier):
            nn.init.normal_(dense.weight, std=0.05)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, *, clip: Tensor) -> Output:
        """Recognise clips; see the class for the shapes."""
        self.check_inputs(clip=clip)
        shown = clip - clip[:, :1] if self.subtract_onset else 2 * clip - 1
        x = shown.transpose(1, 2)  # (B, 1, T, H, W); sizes below are of 18 frames of 64 x 64
        x = self.convolution(x).relu()  # (B, 32, 4, 62, 62)
        x = self.dropout(self.pool(x))  # (B, 32, 1, 20, 20)
        features = self.dense(x.flatten(1)).relu()  # (B, 128), of 12800
        return Output(self.classifier(self.dropout(features)), features)
