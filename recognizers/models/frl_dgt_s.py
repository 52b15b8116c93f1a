"""FRL-DGT-S (paper 003, 4.4): FRL-DGT on whole sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recognizers.models.base import InputSpec, Output
from recognizers.models.frl_dgt.base import Regions, SelfSupervised, boxes_in, displace
from recognizers.models.frl_dgt.dgm import DisplacementGenerator, ScaleGradient, normalise
from recognizers.models.frl_dgt.fusion import (
    Fusion,
    FusionModule,
    Sizes,
    TransformerFusion,
    classifier,
)
from recognizers.models.frl_dgt.regions import REGIONS
from recognizers.models.registry import register_model


@register_model("frl_dgt_s")
class FRLDGTS(SelfSupervised):
    """FRL-DGT-S: the onset is paired with every other frame, each pair fused, then all over time.

    "The output displacement concatenated with its corresponding frame" makes 5 channels where
    FRL-DGT has 8. "A further fusion step", not described, is here a fusion module like the others,
    over the T - 1 vectors of global and full-face features. A sequence's displacements are
    normalised together, which keeps its changes over time. In training, DGM also learns from random
    pairs of the sequence's frames, drawn from torch's generator.

    Args:
        num_classes: number of classes C.
        num_frames: T, the onset included; TIM interpolates clips to it.
        regions, fusion, random_pairs, image_size, crop_size, patch_size, width, heads, depth,
            mlp_ratio, dropout, dgm_widths, alpha, rec_weight, nm_weight, sm_weight, gradient_scale:
            as of :class:`recognizers.models.frl_dgt.FRLDGT`.

    Shape:
        - sequence: (B, T, 3, H, W) in [0, 1]; regions: (B, 9, H, W), 1 within a region
        - output: ``logits`` (B, C); ``features`` (B, 2 width); extras: ``displacement``, D of eq. 1
          (B, T - 1, 2, H, W), ``rec``, ``nm`` and ``sm`` (B,) of eq. 1-3, means over a clip's
          pairs, the weights of the fusion layers (``TransformerFusion``), (B, T - 1, ...), and
          ``time_weights`` (B, h, T - 1)

    Raises:
        ValueError: if an option does not fit.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        num_frames: int = 10,
        regions: Regions = "au",
        fusion: Fusion = "before",
        random_pairs: int = 2,
        image_size: int = 270,
        crop_size: int = 90,
        patch_size: int = 18,
        width: int = 256,
        heads: int = 8,
        depth: int = 2,
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        dgm_widths: Sequence[int] = (32, 64, 128, 256),
        alpha: float = 0.2,
        rec_weight: float = 10.0,
        nm_weight: float = 1.0,
        sm_weight: float = 0.2,
        gradient_scale: float = 1e-6,
    ) -> None:
        super().__init__(
            num_classes, regions, random_pairs, rec_weight, nm_weight, sm_weight, gradient_scale
        )
        if num_frames < 3:
            raise ValueError(f"FRL-DGT-S: num_frames must be 3 or more, got {num_frames}")
        size = (image_size, image_size)
        self.inputs = {"sequence": InputSpec("tim", ("red", "green", "blue"), size, num_frames)}
        if regions == "au":
            self.inputs["regions"] = InputSpec("au_regions", tuple(REGIONS), size)
        sizes = Sizes(width, heads, depth, mlp_ratio, dropout, fusion)
        self.dgm = DisplacementGenerator(dgm_widths, alpha)
        self.fusion = TransformerFusion(
            3 + 2, len(REGIONS), image_size, crop_size, patch_size, sizes
        )
        self.time = FusionModule(num_frames - 1, self.fusion.width, sizes)
        self.classifier = classifier(self.fusion.width, num_classes, sizes)

    def forward(self, *, sequence: Tensor, **others: Tensor) -> Output:
        """Recognise; see the class for the inputs and the shapes."""
        self.check_inputs(sequence=sequence, **others)
        later = sequence[:, 1:]  # (B, T - 1, 3, H, W)
        onset = sequence[:, :1].expand_as(later)
        pairs = self.random_pairs if self.training else 0
        d, terms = displace(self.dgm, onset.flatten(0, 1), later.flatten(0, 1), sequence, pairs)
        d = d.unflatten(0, later.shape[:2])
        shown = ScaleGradient.apply(normalise(d), self.gradient_scale)
        maps = torch.cat([2 * later - 1, shown], dim=2)  # (B, T - 1, 5, H, W)
        boxes = boxes_in(maps[:, 0], others.get("regions"))
        boxes = boxes.repeat_interleave(later.shape[1], dim=0)  # of each frame
        fused, weights = self.fusion(maps.flatten(0, 1), boxes)
        features, over_time = self.time(fused.unflatten(0, later.shape[:2]))
        known = {name: weight.unflatten(0, later.shape[:2]) for name, weight in weights.items()}
        if over_time is not None:
            known["time_weights"] = over_time
        extras = {"displacement": d, **terms, **known}
        return Output(self.classifier(features), features, extras)
