"""Bi-WOOF with a support vector machine (Liong et al. 2018): the classic on two frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from recognizers.models.base import InputSpec
from recognizers.models.one_vs_rest import DescriptorSVM, Kernel
from recognizers.models.registry import register_model


def bi_woof(flow_strain: Tensor, blocks: int = 5, bins: int = 8) -> Tensor:
    """Bi-weighted oriented optical flow.

    In every block, the flow's orientations are counted, weighted by magnitude (local weight). Each
    histogram is normalised to a sum of 1 and multiplied by the block's strain (global weight); all
    histograms together are normalised to length 1. The authors' published code
    (https://github.com/christy1206/biwoof) weights by the sum of the strain and lets blocks share
    a line of pixels; here it is the mean, and blocks do not overlap. With equal blocks the result
    is the same.

    Args:
        flow_strain: (B, 3, H, W): u, v and the magnitude of the optical strain.
        blocks: blocks per side.
        bins: orientation bins, the first starting at -180 degrees (left).

    Returns:
        (B, blocks^2 * bins); zeros in blocks that do not move.

    Raises:
        ValueError: if the shape does not fit, or there is no pixel for each block.
    """
    if flow_strain.dim() != 4 or flow_strain.shape[1] != 3 or min(flow_strain.shape[2:]) < blocks:
        raise ValueError(
            f"flow_strain must be (B, 3, H, W) with sides of {blocks} pixels or more, got "
            f"{tuple(flow_strain.shape)}"
        )
    u, v, strain = flow_strain.unbind(1)  # (B, H, W)
    share = (torch.atan2(v, u) + math.pi) / (2 * math.pi)
    place = (share * bins).floor().long() % bins  # 180 degrees are -180
    weighted = F.one_hot(place, bins).to(u.dtype) * torch.hypot(u, v)[..., None]
    rows, columns = (_membership(side, blocks).to(u) for side in u.shape[1:])
    histogram = torch.einsum("bhwk,hi,wj->bijk", weighted, rows, columns)
    pixels = rows.sum(0)[:, None] * columns.sum(0)
    weight = torch.einsum("bhw,hi,wj->bij", strain, rows, columns) / pixels
    histogram = F.normalize(histogram, p=1, dim=3) * weight[..., None]
    return F.normalize(histogram.flatten(1), dim=1)


def _membership(side: int, blocks: int) -> Tensor:
    """(side, blocks), 1 where a line of pixels belongs to a block."""
    sizes = torch.tensor([len(part) for part in torch.arange(side).tensor_split(blocks)])
    return torch.eye(blocks).repeat_interleave(sizes, dim=0)


@register_model("bi_woof_svm")
class BiWOOFSVM(DescriptorSVM):
    """Bi-WOOF of the flow from onset to apex, and one support vector machine per class.

    It does not learn by gradients, but from all training clips at once (``fit_directly``).
    Probabilities: see :class:`recognizers.models.one_vs_rest.OneVersusRest`.

    Args:
        num_classes: number of classes C.
        image_size: side of the input in pixels.
        blocks: blocks per side.
        bins: bins of the orientation.
        kernel: ``"linear"`` or ``"poly"``.
        degree: of the polynomial kernel.
        c: weight of the training errors against the width of the margin.

    Shape:
        - flow_strain: (B, 3, image_size, image_size): u and v, from onset to apex, to the right and
          down, and the magnitude of the optical strain; not to be standardised, since their
          directions and sums matter
        - output: ``logits`` (B, C), ``features`` (B, blocks^2 * bins)

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Liong, See, Wong, Phan: Less is More: Micro-expression Recognition from Video using Apex "
        "Frame. Signal Processing: Image Communication 62, 2018"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 128,
        blocks: int = 5,
        bins: int = 8,
        kernel: Kernel = "linear",
        degree: int = 6,
        c: float = 10_000.0,
    ) -> None:
        if blocks < 1 or bins < 1:
            raise ValueError(f"blocks and bins must be 1 or more, got {blocks} and {bins}")
        if image_size < blocks:
            raise ValueError(f"image_size must be {blocks} (blocks) or more, got {image_size}")
        super().__init__(num_classes, blocks**2 * bins, kernel, degree, c)
        self.blocks, self.bins = blocks, bins
        size = (image_size, image_size)
        self.inputs = {
            "flow_strain": InputSpec("flow_strain", ("u", "v", "strain"), size, range=None)
        }

    def descriptor(self, **inputs: Tensor) -> Tensor:
        """Bi-WOOF (B, blocks^2 * bins)."""
        return bi_woof(inputs["flow_strain"], self.blocks, self.bins)
