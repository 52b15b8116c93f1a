"""CapsuleNet for micro-expressions: capsules that route to classes (Quang et al., FG 2019).

Equations are numbered as in its reference, Sabour, Frosst and Hinton, "Dynamic routing between
capsules", NIPS 2017. What the paper leaves open is as in the authors' published code.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.checks import check_choice
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.frames import draw_frame
from recognizers.models.imagenet import Weights, resnet18_layers
from recognizers.models.options import check_counts
from recognizers.models.registry import register_model

_TRUNK = ("conv1", "bn1", "relu", "layer1", "layer2", "layer3")  # no max-pooling
_TRUNK_WIDTH = 256  # of ResNet18's layer 3
_TINY = 1e-8  # keeps a capsule of length 0 from dividing 0 by 0


def squash(s: Tensor) -> Tensor:
    """Scale capsules (..., D) to a length in [0, 1), keeping their direction (eq. 1)."""
    length = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
    # (1)
    return length.square() / (1 + length.square()) * s / (length + _TINY)


class PrimaryCapsules(nn.Module):
    """A convolution whose channels are capsules: (B, C, H, W) to (B, N, D).

    Args:
        inputs: channels C.
        types: capsules at each position.
        size: D, length of a capsule's vector.
        kernel_size: of the convolution, whose stride is 2.
    """

    def __init__(self, inputs: int, types: int, size: int, kernel_size: int) -> None:
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(inputs, types * size, kernel_size, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Capsules of one position are adjacent, N = types * positions."""
        places = self.convolution(x).permute(0, 2, 3, 1)  # (B, H', W', types * D)
        return squash(places.reshape(len(x), -1, self.size))


class ClassCapsules(nn.Module):
    """Dynamic routing of N capsules to one capsule per class: (B, N, d) to (B, C, D).

    Args:
        inputs: N.
        input_size: d.
        num_classes: C.
        size: D.
        routings: iterations of the routing.
    """

    def __init__(
        self, inputs: int, input_size: int, num_classes: int, size: int, routings: int
    ) -> None:
        super().__init__()
        self.routings = routings
        self.weight = nn.Parameter(0.01 * torch.randn(num_classes, inputs, size, input_size))

    def forward(self, u: Tensor) -> Tensor:
        """Route; only the last iteration passes a gradient, as in the published code."""
        # (2): u_hat_j|i = W_ij u_i
        u_hat = torch.einsum("jide,bie->bjid", self.weight, u)  # (B, C, N, D)
        fixed = u_hat.detach()
        b = fixed.new_zeros(fixed.shape[:3])
        for _ in range(self.routings - 1):
            v = _vote(b, fixed)
            b = b + torch.einsum("bjid,bjd->bji", fixed, v)  # agreement
        return _vote(b, u_hat)


def _vote(b: Tensor, u_hat: Tensor) -> Tensor:
    # (3): c_ij = exp(b_ij) / sum_k exp(b_ik)
    c = b.softmax(1)
    # (2): s_j = sum_i c_ij u_hat_j|i
    s = torch.einsum("bji,bjid->bjd", c, u_hat)
    return squash(s)


@register_model("capsulenet")
class CapsuleNet(Recognizer):
    """ResNet18 up to layer 3 on the apex frame, a convolution, and two layers of capsules.

    The trunk lacks ResNet18's max-pooling. The length of a class's capsule says how present the
    class is; the softmax of ``logits`` is proportional to those lengths. As in the authors' code,
    the ImageNet trunk reads frames in [0, 1] without further normalisation.

    The authors train on the apex frame and its four neighbours, two on either side. In training
    mode, one of the five is drawn anew for each sample.

    Args:
        num_classes: number of classes C.
        training_frames: number of frames nearest to the apex, itself included, of which one is
            drawn (:func:`recognizers.data.input_kinds.near_frames.near_apex`); 1: always the apex
            frame, and the input is an image.
        image_size: side of the apex frame in pixels; 224 leaves 6 x 6 positions of primary
            capsules.
        width: channels of the convolution after the trunk.
        kernel_size: of this convolution and the primary capsules'.
        primary_types: primary capsules at each position.
        primary_size: length of a primary capsule's vector.
        class_size: D, length of a class capsule's vector.
        routings: iterations of the routing, 1 or more.
        weights: of the trunk, ``"imagenet"`` or ``"none"``, random.
        subtract_onset: whether the trunk reads the change since the onset frame, in [-1, 1],
            instead of the frame.

    Shape:
        - onset: (B, 3, image_size, image_size) RGB in [0, 1]; only with ``subtract_onset``
        - apex: (B, training_frames, 3, image_size, image_size) RGB in [0, 1], the apex frame first;
          (B, 3, image_size, image_size) of one frame
        - output: ``logits`` (B, C), ``features`` (B, C * D), the class capsules; extras ``lengths``
          (B, C) in [0, 1).

    Raises:
        ValueError: if an argument does not fit, or ImageNet weights are unavailable.
    """

    paper = (
        "Quang, Chun, Tokuyama: CapsuleNet for Micro-Expression Recognition. "
        "IEEE Automatic Face and Gesture Recognition 2019"
    )
    draws_one_frame_of = ("apex",)

    def __init__(
        self,
        num_classes: int,
        *,
        training_frames: int = 5,
        image_size: int = 224,
        width: int = 256,
        kernel_size: int = 9,
        primary_types: int = 32,
        primary_size: int = 8,
        class_size: int = 16,
        routings: int = 3,
        weights: Weights = "none",
        subtract_onset: bool = False,
    ) -> None:
        super().__init__(num_classes)
        check_counts(
            training_frames=training_frames,
            width=width,
            kernel_size=kernel_size,
            primary_types=primary_types,
            primary_size=primary_size,
            class_size=class_size,
            routings=routings,
        )
        check_choice("weights", weights, get_args(Weights))
        map_size = -(-image_size // 8)  # three strides of 2, each rounded up
        places = (map_size - 2 * kernel_size + 1) // 2 + 1
        if image_size < 1 or places < 1:
            raise ValueError(
                f"CapsuleNet: image_size must be {8 * (2 * kernel_size - 2) + 1} or more with "
                f"kernel_size={kernel_size}, that a place is left for capsules; got {image_size}"
            )
        size, rgb = (image_size, image_size), ("red", "green", "blue")
        self.inputs = {"onset": InputSpec("onset", rgb, size)} if subtract_onset else {}
        self.inputs["apex"] = (
            InputSpec("apex", rgb, size)
            if training_frames == 1
            else InputSpec("near_apex", rgb, size, training_frames)
        )
        self.trunk = resnet18_layers(weights, *_TRUNK)
        self.convolution = nn.Conv2d(_TRUNK_WIDTH, width, kernel_size)
        self.primary = PrimaryCapsules(width, primary_types, primary_size, kernel_size)
        self.capsules = ClassCapsules(
            primary_types * places**2, primary_size, num_classes, class_size, routings
        )

    def forward(self, *, apex: Tensor, onset: Tensor | None = None) -> Output:
        """Recognise apex frames; see the class for the shapes."""
        self.check_inputs(apex=apex, **({} if onset is None else {"onset": onset}))
        frame = draw_frame(apex, self.training)
        x = self.trunk(frame if onset is None else frame - onset)  # (B, 256, 28, 28)
        x = self.convolution(x).relu()  # (B, 256, 20, 20)
        u = self.primary(x)  # (B, 1152, 8), of 6 x 6 places
        v = self.capsules(u)  # (B, C, 16)
        lengths = torch.linalg.vector_norm(v, dim=2)
        logits = lengths.clamp(min=_TINY).log()
        return Output(logits=logits, features=v.flatten(1), extras={"lengths": lengths})

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """The margin loss (eq. 4), summed over the classes and averaged over the clips.

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64, class indices.
            targets: none.

        Returns:
            A scalar.

        Raises:
            ValueError: if there are targets.
        """
        self.check_targets(targets)
        v = output.extras["lengths"]
        t = F.one_hot(labels, self.num_classes).to(v)
        m_plus, m_minus, downweight = 0.99, 0.01, 0.5
        # (4): L_k = T_k max(0, m+ - |v_k|)^2 + lambda (1 - T_k) max(0, |v_k| - m-)^2
        l_k = (
            t * (m_plus - v).relu().square() + downweight * (1 - t) * (v - m_minus).relu().square()
        )
        return l_k.sum(1).mean()
