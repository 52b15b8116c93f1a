"""Mixup within a class: a blend of two clips of the same expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params


def partners(label: Tensor, score: Tensor) -> Tensor:
    """Another sample of the same class for each sample.

    Args:
        label: (B,) int64.
        score: (B, B); a sample gets the one of its class with the highest score.

    Returns:
        (B,) int64; a sample's own position if it is the only one of its class.
    """
    same = label[:, None] == label
    itself = torch.eye(len(label), dtype=torch.bool, device=label.device)
    # Rank the sample itself below others of its class, but above other classes.
    score = score.masked_fill(itself, score.min() - 1).masked_fill(~same, score.min() - 2)
    return score.argmax(1)


def mix(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """``share * values + (1 - share) * values[partner]``, shapes (B, ...), (B,) and (B,)."""
    wide = share.to(values).reshape(-1, *[1] * (values.dim() - 1))
    return values + (1 - wide) * (values[partner] - values)


class MixUp(Augmentation):
    """Mix each sample with another one of its class in the batch, so that its label stays true.

    Frames, AUs, AU sets and landmarks are mixed frame by frame (Zhang et al., "mixup", ICLR 2018),
    so clips should have the same time course, for instance by ``TemporalResample``. ``label``,
    ``subject`` and the indices do not change; a sample's own share is 0.5 or more. An AU that was
    not measured in one of the two is NaN. A sample without another of its class in the batch is not
    changed. Replayed parameters pair the same positions, whatever their labels.

    A mixed sample shows two people: mix only within training sets.

    Args:
        alpha: the share is max(x, 1 - x) with x from Beta(alpha, alpha), above 0.
        p: probability that a sample is mixed.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if ``alpha`` is not positive; in the call, if there is no ``label``.

    Example:
        >>> batch = {"image": torch.rand(4, 3, 32, 32), "label": torch.tensor([0, 0, 1, 1])}
        >>> mixed = MixUp(p=1)
        >>> mixed(batch)["image"].shape, mixed.params["partner"]
        (torch.Size([4, 3, 32, 32]), tensor([1, 0, 3, 2]))
    """

    def __init__(
        self, alpha: float = 0.4, p: float = 0.5, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(p, generator)
        if alpha <= 0:
            raise ValueError(f"MixUp: alpha must be above 0, got {alpha}")
        self.alpha = alpha

    def draw(self, batch: Batch) -> Params:
        """``partner`` (B,) int64, a position in the batch, and ``share`` (B,) in [0.5, 1]."""
        if batch.label is None:
            raise ValueError(
                "MixUp: give a mapping with 'label' (B,) beside 'image' or 'clip': partners are of "
                "one class"
            )
        score = self.uniform(batch, 0, 1, len(batch))
        # torch's Beta takes no generator.
        seed = torch.randint(2**62, (), generator=self.generator).item()
        drawn = np.random.default_rng(int(seed)).beta(self.alpha, self.alpha, len(batch))
        share = torch.from_numpy(np.maximum(drawn, 1 - drawn)).float().to(batch.device)
        partner = partners(batch.label, score)
        alone = partner == torch.arange(len(batch), device=batch.device)
        return {"partner": partner, "share": share, "on": ~alone}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        names = ("frames", "aus", "au_set", "landmarks")
        known = {name: getattr(batch, name) for name in names}
        mixed = {
            name: mix(value, params["partner"], params["share"])
            for name, value in known.items()
            if value is not None
        }
        return replace(batch, **mixed)

    def extra_repr(self) -> str:
        """What is drawn from."""
        return f"alpha={self.alpha}, {super().extra_repr()}"
