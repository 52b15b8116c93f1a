"""AU-CAM (paper 000, 4.6.2): which parts of the face produce the dual branch's AU features.

Ruan, Lo, Shuai and Cheng, "Mimicking the Annotation Process for Recognizing the Micro Expressions",
ACM Multimedia 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mersynth.facs.regions import half_rows
from recognizers.explain.layer_maps import outputs_of, resize
from recognizers.models.dual_branch import DualBranch

BRANCH_LAYER = "layer4"
"""Last layer of a branch whose output is a map: A_b of eq. 13."""


def au_cam(model: DualBranch, image: Tensor) -> Tensor:
    """C_au-cam of eq. 12 and 13.

    ::

        C_au-cam = VerticalConcat(C_eyes, C_mouth)                                          (12)
        C_b = ReLU(sum_k alpha_b^k A_b^k),  alpha_b^k = d max(X_b_w) / d A_b^k              (13)

    A_b^k is channel k of the output of branch b, X_b_w the region's weighted AU feature (eq. 3).
    Chosen here, since the paper leaves it open:

    - *A_b*: the output of ResNet18's layer 4, the last one before the branch averages over
      positions.
    - *alpha_b^k*: one number per channel, the gradient's mean over positions: the paper finds "the
      weights in Grad-CAM" by another backward pass. Since the branch averages, the gradient is the
      same at all positions, and the mean changes only the unit.
    - *VerticalConcat*: each C_b is resized to its half (bilinearly), then joined, so that each
      image row belongs to one branch. The halves keep their relative scale.
    - *A single branch* (``branches="single"``): C of the whole face, whose AU feature is the
      backbone's output (the paper's note 3).

    X_b has length 1 (the published code) and AWM's weights pass no gradient, so the sum in eq. 13
    has mean 0 over a half: a map shows where a half's feature stands out from the rest of the
    half, and a half without any movement lights up, too.

    Args:
        model: in evaluation mode, its parameters with a gradient or not.
        image: (B, 3, H, W) in [0, 1], the model's input.

    Returns:
        (B, H, W), 0 or more, without a unit.

    Raises:
        ValueError: if the model is in training mode, or the image does not fit.
    """
    if model.training:
        raise ValueError("au_cam: the model is in training mode; call model.eval() first")
    height, width = image.shape[-2:]
    names = [f"branches.{region}.{BRANCH_LAYER}" for region in model.regions]
    with torch.enable_grad(), outputs_of(model, names) as found:
        # The image requires a gradient, so that there is one even if all parameters are frozen.
        output = model(image=image.detach().requires_grad_())
        parts = []
        for region, name in zip(model.regions, names, strict=True):
            a = found[name]  # A_b, (B, 512, h, w)
            # Samples are independent in evaluation mode: the sum's gradient is that of each.
            largest = output.extras[f"{region}_weighted"].amax(1).sum()
            (gradient,) = torch.autograd.grad(largest, a, retain_graph=True)
            # eq. 13: alpha_b^k = d max(X_b_w) / d A_b^k
            alpha = gradient.mean((2, 3), keepdim=True)
            # eq. 13: C_b = ReLU(sum_k alpha_b^k A_b^k)
            c = (alpha * a).sum(1).relu().detach()
            rows = slice(0, height) if region == "face" else half_rows(region, height)
            parts.append(resize(c, (rows.stop - rows.start, width)))
    # eq. 12: C_au-cam = VerticalConcat(C_eyes, C_mouth)
    return torch.cat(parts, dim=1)
