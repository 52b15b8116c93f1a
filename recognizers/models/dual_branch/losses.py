"""The losses of the dual-branch model (Ruan et al., ACM MM 2022, eq. 4 to 8)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Literal["paper", "published"]


def au_similarity(aus: Tensor) -> Tensor:
    """Similarity of the AUs of every two samples (eq. 4), ``w_ij = |AU_i & AU_j| / |AU_i | AU_j|``.

    Args:
        aus: (B, S, 2) AU sets as ``mersynth.augment.au_sets`` makes them, or (B, A), one column an
            AU. Values above 0 count as shown, on one side of the face or both. NaN, not measured,
            does not.

    Returns:
        (B, B) float32 in [0, 1], symmetric. Two samples without any AU, for which the equation is
        undefined, get 0.

    Raises:
        ValueError: if the shape does not fit.

    Example:
        >>> au_similarity(torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]]))[0].tolist()
        [1.0, 0.3333333432674408, 0.0]
    """
    if aus.dim() not in (2, 3):
        raise ValueError(
            f"au_similarity: AUs must be (B, A) or AU sets (B, S, 2), got {tuple(aus.shape)}"
        )
    shown = aus > 0
    shown = (shown.any(2) if aus.dim() == 3 else shown).float()
    both = shown @ shown.T
    count = shown.sum(1)
    either = count[:, None] + count[None, :] - both
    return both / either.clamp(min=1)


def wscl(features: Tensor, w: Tensor, temperature: float = 0.1, form: Form = "paper") -> Tensor:
    """L_wscl, weighted supervised contrastive loss (eq. 5).

    Args:
        features: X_F, (B, D), of length 1.
        w: w_ij, (B, B), see :func:`au_similarity`.
        temperature: tau.
        form: ``"paper"``: eq. 5 as printed: the sum over samples i, its inner denominator over all
            k. ``"published"``: as in the authors' code: the mean over i; a sample is left out of
            its own denominator, but counts among its own positives (j = i).

    Returns:
        a scalar. A sample without AUs adds nothing to it; a batch of one gives 0.
    """
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    # Divided by tau, similarities reach 10, where half precision has few digits left.
    with torch.autocast(features.device.type, enabled=False):
        similarity = features @ features.T / temperature
    # 1 / sum_k w_ik, and 0 where no sample is similar, not even i itself: it has no AUs
    scale = torch.where(w.sum(1) > 0, 1 / w.sum(1), 0.0)
    if form == "published":
        if len(features) == 1:
            return similarity.sum() * 0
        others = similarity.masked_fill(itself, -torch.inf)
        log_share = similarity - others.logsumexp(1, keepdim=True)
        return -(scale * (w * log_share).sum(1)).mean()
    # log exp(X_i X_j / tau) / sum_k exp(X_i X_k / tau)
    log_share = similarity.log_softmax(1)
    # - sum_i scale_i sum_j 1{i != j} w_ij log_share_ij
    return -(scale * (w * log_share).masked_fill(itself, 0).sum(1)).sum()


def classification_loss(
    heads: list[Tensor],
    labels: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.1,
    form: Form = "paper",
) -> Tensor:
    """L_cls, the sum of all heads' class-weighted cross-entropies (eq. 7).

    Args:
        heads: the logits (B, C) of each head (eyes, mouth).
        labels: y, (B,) int64.
        class_weights: w_c, (C,), from the training clips (``mersynth.augment.class_weights``,
            eq. 6); None: all 1.
        label_smoothing: 0 is eq. 7 as printed.
        form: ``"paper"``: the sum over samples; ``"published"``: torch's weighted mean, which
            divides by the weights of the batch's samples.

    Returns:
        a scalar.
    """
    reduction = "sum" if form == "paper" else "mean"
    losses = [
        F.cross_entropy(
            logits,
            labels,
            weight=None if class_weights is None else class_weights.to(logits),
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        for logits in heads
    ]
    return torch.stack(losses).sum()
