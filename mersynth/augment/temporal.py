"""Choice of frames: onset and apex with jitter, and temporal resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.checks import span
from mersynth.checks import check_choice

Jitter = Literal["mmnet", "mmnet-published", "frl-dgt"]


def take_frames(values: Tensor, index: Tensor) -> Tensor:
    """``values[b, index[b]]`` for every sample: (B, T, ...) by (B, N) int64 to (B, N, ...)."""
    return values[torch.arange(len(values), device=values.device)[:, None], index]


def interpolate_frames(values: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation between frames; a whole position gives the frame itself.

    Args:
        values: (B, T, ...).
        position: (B, N) float in [0, T - 1].

    Returns:
        (B, N, ...); NaN where a frame used is NaN.
    """
    before, after = take_frames(values, position.floor().long()), position.ceil().long()
    share = (
        (position - position.floor()).to(values).reshape(*position.shape, *[1] * (values.dim() - 2))
    )
    return before + share * (take_frames(values, after) - before)


def along(batch: Batch, positions: Tensor) -> Batch:
    """Frames, AUs and landmarks at positions (B, N) in time, whole numbers or between."""
    pick = interpolate_frames if positions.is_floating_point() else take_frames
    aus, marks = batch.aus, batch.landmarks
    return replace(
        batch,
        frames=pick(batch.frames, positions),
        aus=None if aus is None else pick(aus, positions),
        landmarks=None if marks is None else pick(marks, positions),
    )


def _check_index(owner: object, name: str, index: Tensor, length: int, low: int = 0) -> None:
    if torch.compiler.is_compiling():
        return
    if index.is_floating_point() or bool(((index < low) | (index >= length)).any()):
        raise ValueError(
            f"{type(owner).__name__}: {name} must be int64 within {low}..{length - 1}, the frames "
            f"of the clip; got {index.tolist()}; leave out clips whose apex is not known (-1)"
        )


def annotated(owner: object, batch: Batch) -> tuple[Tensor, Tensor]:
    """Positions of onset and apex, (B,) each.

    Raises:
        ValueError: with the name of the augmentation ``owner``, if the clips have fewer than two
            frames or no apex, an index lies outside the clip, or an apex before its onset.
    """
    length, apex, name = batch.frames.shape[1], batch.apex_index, type(owner).__name__
    if apex is None or length < 2:
        raise ValueError(
            f"{name}: give a mapping with 'clip' (B, T, C, H, W) of two frames or more and "
            f"'apex_index' (B,); got {length} frame(s) and apex_index={apex}"
        )
    onset = torch.zeros_like(apex) if batch.onset_index is None else batch.onset_index
    _check_index(owner, "apex_index", apex, length)
    _check_index(owner, "onset_index", onset, length)
    if not torch.compiler.is_compiling() and (apex < onset).any():
        raise ValueError(
            f"{name}: an apex lies before its onset: apex_index {apex.tolist()}, onset_index "
            f"{onset.tolist()}"
        )
    return onset, apex


class OnsetApexPair(Augmentation):
    """The onset and apex frame of each clip, drawn from frames around the annotated ones.

    Takes a mapping with ``clip`` (B, T, C, H, W) and ``apex_index`` (B,), the apex's position in
    it; ``onset_index`` (B,) defaults to 0, since a stored clip begins at its onset. Gives a clip
    (B, 2, C, H, W), onset then apex, with the AUs and landmarks of these frames; samples that are
    off get the annotated ones. The rules count the database's frames, so give clips that were not
    resampled:

    - ``"mmnet"`` (MMNet, section 3): onset and apex are each one of four frames around the
      annotated one. The paper does not say which; here one before it to two after it.
    - ``"mmnet-published"``: as the published code: the onset up to floor(0.15 (apex - onset) / 4)
      frames later, the apex up to as many earlier.
    - ``"frl-dgt"`` (FRL-DGT, section 3.3): the apex is a frame before or after the annotated one;
      the paper does not say how far, here it is the adjacent one.

    The frames stay within the clip, and the onset before the apex.

    Args:
        jitter: the rule.
        p: probability that a sample is jittered.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if the rule is unknown; in the call, if there is no clip of two frames or more
            or no ``apex_index``, or an index lies outside the clip, or an apex before its onset.

    Example:
        >>> clips = {"clip": torch.rand(2, 30, 3, 32, 32), "apex_index": torch.tensor([12, 20])}
        >>> OnsetApexPair("mmnet")(clips)["clip"].shape
        torch.Size([2, 2, 3, 32, 32])
    """

    resizes = True

    def __init__(
        self,
        jitter: Jitter = "mmnet",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        check_choice("OnsetApexPair: jitter", jitter, get_args(Jitter))
        self.jitter = jitter

    def draw(self, batch: Batch) -> Params:
        """``onset`` and ``apex`` (B,) in [0, 1), which select among the rule's frames."""
        return {"onset": self.uniform(batch, 0, 1), "apex": self.uniform(batch, 0, 1)}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        onset, apex = annotated(self, batch)
        later, further = self._shifts(params, apex - onset)
        last = batch.frames.shape[1] - 1
        # The movement keeps a length of at least one frame.
        new_apex = (apex + further).maximum(onset + (apex - onset).clamp(max=1)).clamp(max=last)
        new_onset = (onset + later).clamp(min=0).minimum(new_apex - (apex - onset).clamp(max=1))
        chosen = torch.stack(
            [
                torch.where(params["on"], new_onset, onset),
                torch.where(params["on"], new_apex, apex),
            ],
            dim=1,
        )
        return replace(
            along(batch, chosen), onset_index=onset * 0, apex_index=torch.ones_like(apex)
        )

    def _shifts(self, params: Params, length: Tensor) -> tuple[Tensor, Tensor]:
        """Frames from the annotated onset, and from the annotated apex, each (B,)."""
        onset, apex = params["onset"], params["apex"]
        if self.jitter == "mmnet":
            return (4 * onset).long() - 1, (4 * apex).long() - 1
        if self.jitter == "mmnet-published":
            reach = (0.15 * length / 4).floor()
            return ((reach + 1) * onset).long(), -((reach + 1) * apex).long()
        return torch.zeros_like(length), 2 * (2 * apex).long() - 1

    def extra_repr(self) -> str:
        """The rule."""
        return f"jitter={self.jitter!r}, {super().extra_repr()}"


class TemporalResample(Augmentation):
    """Cut a random section out of each clip, and resample it to a number of frames.

    Steps are even, so a clip that keeps half of its length runs at half the speed. The section
    contains the apex if ``apex_index`` is known. AUs and landmarks are interpolated too;
    ``onset_index`` and ``apex_index`` become those of the nearest new frames. Samples that are off
    keep their whole length. For TIM instead of linear interpolation see ``mersynth.motion.tim``.

    Args:
        num_frames: frames of the result, 2 or more; None: as many as the clip has.
        keep: (least, largest) share of the clip's length that is kept, within (0, 1].
        interpolation: ``"linear"``, or ``"nearest"`` frame, which does not blend frames.
        p: probability that a sample is cut.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if an argument is out of range; in the call, if there is no clip of two frames
            or more, or an index lies outside the clip.

    Example:
        >>> TemporalResample(16, keep=(0.7, 1.0))(torch.rand(2, 33, 3, 32, 32)).shape
        torch.Size([2, 16, 3, 32, 32])
    """

    resizes = True

    def __init__(
        self,
        num_frames: int | None = None,
        keep: float | Sequence[float] = (0.7, 1.0),
        interpolation: Literal["linear", "nearest"] = "linear",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        if num_frames is not None and num_frames < 2:
            raise ValueError(f"TemporalResample: num_frames must be 2 or more, got {num_frames}")
        check_choice("TemporalResample: interpolation", interpolation, ("linear", "nearest"))
        self.num_frames, self.interpolation = num_frames, interpolation
        self.keep = span(self, "keep", keep, 1e-3, 1)

    def draw(self, batch: Batch) -> Params:
        """``keep`` (B,), the share kept, and ``start`` (B,) in [0, 1) of the possible range."""
        return {"keep": self.uniform(batch, *self.keep), "start": self.uniform(batch, 0, 1)}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        length = batch.frames.shape[1]
        if length < 2:
            raise ValueError(
                "TemporalResample: give clips (B, T, C, H, W) of two frames or more, got images or "
                "clips of one frame"
            )
        stretch = torch.where(params["on"], params["keep"], 1.0) * (length - 1)
        first, last = torch.zeros_like(stretch), length - 1 - stretch
        if batch.onset_index is not None:
            _check_index(self, "onset_index", batch.onset_index, length)
        if batch.apex_index is not None:
            _check_index(self, "apex_index", batch.apex_index, length, low=-1)
            known = batch.apex_index >= 0
            first = torch.where(known, (batch.apex_index - stretch).clamp(min=0), first)
            last = torch.where(known, last.minimum(batch.apex_index.to(stretch)), last)
        number = self.num_frames or length
        steps = torch.arange(number, device=batch.device)
        start = first + params["start"] * (last - first)
        position = start[:, None] + stretch[:, None] * steps / (number - 1)
        position = position.clamp(0, length - 1)  # against rounding
        if self.interpolation == "nearest":
            return self._with_indices(along(batch, position.round().long()), position)
        return self._with_indices(along(batch, position), position)

    def _with_indices(self, batch: Batch, position: Tensor) -> Batch:
        def nearest(index: Tensor | None) -> Tensor | None:
            if index is None:
                return None
            return torch.where(index < 0, index, (position - index[:, None]).abs().argmin(1))

        return replace(
            batch, onset_index=nearest(batch.onset_index), apex_index=nearest(batch.apex_index)
        )

    def extra_repr(self) -> str:
        """What may be drawn."""
        return (
            f"num_frames={self.num_frames}, keep={self.keep}, "
            f"interpolation={self.interpolation!r}, {super().extra_repr()}"
        )
