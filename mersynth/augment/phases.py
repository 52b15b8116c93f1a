"""The two phases of an expression, onset to apex and apex to offset, as samples of their own."""

from __future__ import annotations

from dataclasses import replace

import torch

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.temporal import along, annotated


class PhasesApart(Augmentation):
    """One phase of each clip, drawn anew each time: the rise, or the fall reversed in time.

    A fall that runs backwards, from offset to apex, looks like a rise, so that a clip gives two
    samples of onset-like motion. Takes a mapping with ``clip`` (B, T, C, H, W) and ``apex_index``
    (B,), the apex's position in it; ``onset_index`` (B,) defaults to 0, and the offset is the last
    frame. The phase is stretched to T frames by linear interpolation, so that it begins at rest
    (``onset_index`` 0) and ends at the apex (``apex_index`` T - 1); AUs and landmarks follow. A
    clip that has only one phase shows that one.

    Khuong et al., "Improving Micro-Expression Recognition with Phase-Aware Temporal Augmentation",
    2025, arXiv 2510.15466, which makes a dynamic image of each phase and does not reverse the fall.

    Args:
        p: probability that a clip is reduced to one phase; either is as likely.
        generator: see :class:`Augmentation`. ``params["falling"]`` (B,) says which phase.

    Raises:
        ValueError: in the call, if there is no clip of two frames or more or no ``apex_index``, or
            an index lies outside the clip, or an apex before its onset.

    Example:
        >>> clips = {"clip": torch.rand(2, 30, 3, 32, 32), "apex_index": torch.tensor([12, 20])}
        >>> PhasesApart()(clips)["apex_index"]
        tensor([29, 29])
    """

    def __init__(self, p: float = 1.0, generator: torch.Generator | None = None) -> None:
        super().__init__(p, generator)

    def draw(self, batch: Batch) -> Params:
        """``falling`` (B,): whether the fall is shown, else the rise."""
        return {"falling": self.uniform(batch, 0, 1) < 0.5}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        onset, apex = annotated(self, batch)
        last = batch.frames.shape[1] - 1
        falling = torch.where(apex == last, False, params["falling"] | (apex == onset))
        start = torch.where(falling, last, onset)
        share = torch.linspace(0, 1, last + 1, device=batch.device)
        positions = start[:, None] + (apex - start)[:, None] * share
        onset_index = None if batch.onset_index is None else torch.zeros_like(onset)
        return replace(
            along(batch, positions), onset_index=onset_index, apex_index=torch.full_like(apex, last)
        )
