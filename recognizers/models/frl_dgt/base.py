"""The base of FRL-DGT and FRL-DGT-S: the settings of DGM's self-supervision, and its loss."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mersynth.checks import check_choice
from recognizers.models.base import Output, Recognizer
from recognizers.models.frl_dgt.dgm import DisplacementGenerator, dgm_losses, draw_pairs
from recognizers.models.frl_dgt.regions import boxes_of, even_boxes

Regions = Literal["au", "patches"]


class SelfSupervised(Recognizer):
    """Base of the systems in which DGM learns together with the classifier.

    Args:
        num_classes: number of classes C.
        regions: ``"au"`` or ``"patches"``; only checked here.
        random_pairs: pairs per clip and step for DGM's self-supervision.
        rec_weight, nm_weight, sm_weight: lambda_rec, lambda_nm and lambda_sm of eq. 4.
        gradient_scale: factor of the classifier's gradient into DGM.

    Raises:
        ValueError: if an option does not fit.
    """

    paper = (
        "Zhai et al., Feature Representation Learning with Adaptive Displacement Generation and "
        "Transformer Fusion for Micro-Expression Recognition, CVPR 2023"
    )

    def __init__(
        self,
        num_classes: int,
        regions: Regions,
        random_pairs: int,
        rec_weight: float,
        nm_weight: float,
        sm_weight: float,
        gradient_scale: float,
    ) -> None:
        super().__init__(num_classes)
        check_choice("regions", regions, get_args(Regions))
        self.random_pairs, self.gradient_scale = random_pairs, gradient_scale
        self.dgm_weights = {"rec": rec_weight, "nm": nm_weight, "sm": sm_weight}
        if min(random_pairs, gradient_scale, *self.dgm_weights.values()) < 0:
            raise ValueError(
                "random_pairs, gradient_scale and the weights of eq. 4 must be 0 or more, got "
                f"{random_pairs}, {gradient_scale} and {rec_weight}, {nm_weight}, {sm_weight}"
            )

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        """L_cls + L_DGM, a scalar: mean cross-entropy, and eq. 4 where there is a DGM.

        Args:
            output: what ``forward`` returned.
            labels: (B,) int64.
            targets: none.
        """
        l_cls = super().loss(output, labels, **targets)
        terms = output.extras
        # (4)
        l_dgm = [w * terms[name].mean() for name, w in self.dgm_weights.items() if name in terms]
        return torch.stack([l_cls, *l_dgm]).sum()


def displace(
    dgm: DisplacementGenerator,
    onset: Tensor,
    apex: Tensor,
    frames: Tensor | None,
    pairs: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The displacement of pairs, and the terms of eq. 4 for these and for random pairs.

    Args:
        dgm: the module; its batch normalisation sees all pairs at once.
        onset: (N, 3, H, W), N / B pairs of each of B clips, pairs of a clip adjacent.
        apex: likewise.
        frames: (B, T, 3, H, W), from which random pairs are drawn.
        pairs: number of random pairs per clip.

    Returns:
        D (N, 2, H, W); ``rec``, ``nm`` and ``sm`` (B,), means over a clip's pairs (without
        ``frames`` every pair counts as a clip).
    """
    number = len(onset)
    clips = number if frames is None else len(frames)
    if frames is not None and pairs:
        first, second = draw_pairs(frames, pairs)
        onset, apex = torch.cat([onset, first]), torch.cat([apex, second])
    d = dgm(onset, apex)
    terms = {
        name: torch.cat([v[:number].view(clips, -1), v[number:].view(clips, -1)], 1).mean(1)
        for name, v in dgm_losses(onset, apex, d).items()
    }
    return d[:number], terms


def boxes_in(maps: Tensor, regions: Tensor | None) -> Tensor:
    """The regions' boxes (B, 9, 4); without regions, those of 3 x 3 equal patches."""
    if regions is not None:
        return boxes_of(regions)
    return even_boxes((maps.shape[2], maps.shape[3])).to(maps).expand(len(maps), -1, -1)
