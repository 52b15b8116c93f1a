"""LBP-TOP with a support vector machine: the first baseline of the field."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mersynth.checks import check_choice
from mersynth.motion.luma import luma
from recognizers.models.base import InputSpec
from recognizers.models.lbp_top_svm.histograms import lbp_top, num_labels
from recognizers.models.one_vs_rest import DescriptorSVM, Kernel
from recognizers.models.registry import register_model

_AT_ONCE = 4  # clips whose patterns are counted at once


@register_model("lbp_top_svm")
class LBPTOPSVM(DescriptorSVM):
    """LBP-TOP of the grey clip from onset to offset, and a support vector machine a class.

    It does not learn by gradients, but from all training clips at once (``fit_directly``).
    Probabilities: see :class:`recognizers.models.one_vs_rest.OneVersusRest`.

    Args:
        num_classes: number of classes C.
        image_size: side of the frames in pixels.
        num_frames: T, to which clips are interpolated (TIM).
        blocks: blocks per side.
        radii: R_x, R_y in pixels, R_t in frames.
        neighbours: P, in all planes: 4 or 8.
        uniform: whether all non-uniform patterns share one label.
        kernel: ``"linear"`` or ``"poly"``.
        degree: of the polynomial kernel.
        c: weight of the training errors against the width of the margin.

    Shape:
        - tim: (B, T, 3, image_size, image_size) in [0, 1]
        - output: ``logits`` (B, C), ``features`` (B, 3 * blocks^2 * labels): 1200 for 5 blocks per
          side and the 16 patterns of 4 neighbours

    Raises:
        ValueError: if an argument does not fit.
    """

    paper = (
        "Zhao, Pietikainen: Dynamic Texture Recognition Using Local Binary Patterns with an "
        "Application to Facial Expressions. IEEE PAMI 29(6), 2007"
    )

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 128,
        num_frames: int = 16,
        blocks: int = 5,
        radii: Sequence[int] = (1, 1, 4),
        neighbours: int = 4,
        uniform: bool = False,
        kernel: Kernel = "linear",
        degree: int = 6,
        c: float = 10_000.0,
    ) -> None:
        if len(radii) != 3 or min(radii) < 1:
            raise ValueError(f"radii must be R_x, R_y and R_t of 1 or more, got {list(radii)}")
        check_choice("neighbours", neighbours, (4, 8))
        if blocks < 1:
            raise ValueError(f"blocks must be 1 or more, got {blocks}")
        least = blocks + 2 * max(radii[0], radii[1])
        if image_size < least:
            raise ValueError(
                f"image_size must be {least} or more for {blocks} blocks and radii {list(radii)}, "
                f"got {image_size}"
            )
        if num_frames <= 2 * radii[2]:
            raise ValueError(
                f"num_frames must be {2 * radii[2] + 1} or more for R_t = {radii[2]}, got "
                f"{num_frames}"
            )
        features = 3 * blocks**2 * num_labels(neighbours, uniform)
        super().__init__(num_classes, features, kernel, degree, c)
        self.blocks, self.neighbours, self.uniform = blocks, neighbours, uniform
        self.radii = (radii[0], radii[1], radii[2])
        size = (image_size, image_size)
        self.inputs = {"tim": InputSpec("tim", ("red", "green", "blue"), size, num_frames)}

    def descriptor(self, **inputs: Tensor) -> Tensor:
        """LBP-TOP (B, 3 * blocks^2 * labels), a few clips at a time."""
        clips = inputs["tim"]
        histograms = [
            lbp_top(luma(few)[:, :, 0], self.blocks, self.radii, self.neighbours, self.uniform)
            for few in clips.split(_AT_ONCE)
        ]
        return torch.cat(histograms).flatten(1)
