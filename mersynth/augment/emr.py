"""Expression magnification and reduction (Liu et al., FG 2019, II.D): micro and macro alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mersynth.augment.base import Batch, Params
from mersynth.augment.emr_inputs import CLIP_KEYS, INDEX_KEYS, pair_of, read_inputs
from mersynth.checks import check_choice
from mersynth.motion.flow import METHODS, magnitude, optical_flow
from mersynth.motion.magnify import eulerian_pair, load_magnet

#: (onset, apex, alpha) to the magnified apex; frames (B, 3, H, W) in [0, 1], alpha (B,).
Magnifier = Callable[[Tensor, Tensor, Tensor], Tensor]
Reduction = Literal["paper", "nearest"]

_PAPER_FRACTION = 0.5
_STILL = 1e-6  # pixels; a shorter motion counts as none


class EMR(nn.Module):
    """Bring micro- and macro-expressions to one strength of motion.

    Of a macro-expression an earlier frame stands for the apex (reduction); a micro-expression's
    apex is magnified. Motion is that of :func:`apex_motion`.

    A micro-expression's alpha is ``target / motion``; the motion that this obtains is measured, and
    alpha corrected by ``target / obtained``, ``refinements`` times. Alpha stays within
    [1, ``alpha_max``], so that what moves more than wanted is left as it is, and what does not move
    gets ``alpha_max``: ``params`` say what came out.

    Args:
        target: wanted motion of the apex, in pixels. It depends on the size of the frames. Take one
            that most macro-expressions reach, since they are never magnified: the median motion
            half way to their apex is what the paper's reduction gives.
        reduction: which frame stands for a macro-expression's apex. ``"paper"``: the middle one
            between onset and apex; a number in (0, 1]: the one at this fraction of the way, so that
            0.5 is ``"paper"``; ``"nearest"``: the one whose motion is nearest to the target, found
            by bisection, since motion grows towards the apex; None: the apex itself. It is never
            the onset.
        magnifier: ``"magnet"``, with the package's weights; ``"eulerian"`` (paper: Eulerian video
            magnification); any function of (onset, apex, alpha), for instance a
            :class:`mersynth.motion.magnify.MagNet` of one's own; None leaves micro-expressions
            alone.
        alpha_max: largest alpha, 1 or more. The package's MagNet was trained on alphas up to 12,
            the Eulerian magnification's wavelength is chosen for 2 to 4.
        refinements: how often alpha is corrected.
        flow: name of the flow method that measures motion. Of 12 micro- and 12 macro-expressions of
            phantoms with camera noise, at 128 pixels, the default's motion correlates with the true
            one by 0.98 and 0.96, DIS's by 0.82 and 0.97, TV-L1's by 0.66 and 0.59.
        share: see :func:`apex_motion`.

    Inputs:
        A mapping with ``"strength"``, "micro" or "macro" for each sample, and either

        - ``"clip"`` (B, T, 3, H, W) in [0, 1] and ``"apex_index"`` (B,), the apex's place in the
          clip; ``"onset_index"`` (B,) is 0 where it is not given; or
        - ``"onset"`` and ``"apex"``, both (B, 3, H, W), which holds no frame to reduce a
          macro-expression with.

        ``"aus"`` (B, T, 20) and ``"landmarks"`` (B, T, 68, 2), of pairs T is 2, come along; other
        keys pass through.

    Returns:
        A mapping with ``"onset"`` and ``"apex"`` (B, 3, H, W) in place of the frames, and
        ``"aus"`` and ``"landmarks"`` of these two frames (B, 2, ...). At a magnified apex both are
        ``onset + alpha (apex - onset)``, AUs clipped to [0, 1]; NaN stays NaN.

    Attributes:
        params: ``"onset"`` (B,) int64, the onset's place; ``"frame"`` (B,) int64, the place of the
            frame that stands for the apex; ``"alpha"`` (B,), 1 where nothing was magnified;
            ``"before"`` and ``"after"`` (B,), the apex's motion in pixels.
            ``emr(other, params=emr.params)`` takes the same frames and alphas of other pictures,
            measuring nothing.

    Raises:
        ValueError: if an argument is out of its range; or, when called, if a shape, range or
            strength is wrong, or macro-expressions that are pairs are to be reduced.
        MagNetError: if the package's weights of MagNet are missing.

    Example:
        >>> emr = EMR(target=1.5, reduction="nearest", magnifier="eulerian", alpha_max=4)
        >>> clip = torch.rand(2, 5, 3, 32, 32)
        >>> apex_index, strength = torch.tensor([3, 4]), ["micro", "macro"]
        >>> mixed = emr({"clip": clip, "apex_index": apex_index, "strength": strength})
        >>> mixed["apex"].shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        target: float,
        reduction: Reduction | float | None = "paper",
        magnifier: Literal["magnet", "eulerian"] | Magnifier | None = "magnet",
        alpha_max: float = 10.0,
        refinements: int = 1,
        flow: str = "farneback",
        share: float = 0.1,
    ) -> None:
        super().__init__()
        _check_options(target, reduction, alpha_max, refinements, flow, share)
        self.target, self.reduction, self.alpha_max = target, reduction, alpha_max
        self.refinements, self.flow, self.share = refinements, flow, share
        self.magnifier = _magnifier(magnifier)
        self.params: Params = {}

    @torch.no_grad()
    def forward(self, inputs: Mapping[str, Any], params: Params | None = None) -> dict[str, Any]:
        """Magnify and reduce; see the class's text."""
        batch, onset, apex, macro = read_inputs(inputs)
        if params is None:
            if "clip" not in inputs and self.reduction is not None and bool(macro.any()):
                raise ValueError(
                    f"EMR: sample {int(macro.nonzero()[0])} is a macro-expression and a pair holds "
                    "no frame between onset and apex: give clips, or reduction=None"
                )
            params = self._fit(batch, onset, apex, macro)
        else:
            params = _fitting(params, batch)
        pair = pair_of(batch, params["onset"], params["frame"])
        made = self._magnify(pair.frames, params["alpha"])
        if "after" not in params:
            params["after"] = self.motion(pair.frames[:, 0], made)
        self.params = params
        result = {name: inputs[name] for name in inputs if name not in (*CLIP_KEYS, *INDEX_KEYS)}
        result |= {"onset": pair.frames[:, 0], "apex": made}
        if pair.aus is not None:
            result["aus"] = _move(pair.aus, params["alpha"], clip=True)
        if pair.landmarks is not None:
            result["landmarks"] = _move(pair.landmarks, params["alpha"])
        return result

    def motion(self, onset: Tensor, apex: Tensor) -> Tensor:
        """:func:`apex_motion` as this transform measures it."""
        return apex_motion(onset, apex, self.flow, self.share)

    def extra_repr(self) -> str:
        """The options that say what it does."""
        return (
            f"target={self.target}, reduction={self.reduction!r}, alpha_max={self.alpha_max}, "
            f"refinements={self.refinements}, flow={self.flow}, share={self.share}"
        )

    def _fit(self, batch: Batch, onset: Tensor, apex: Tensor, macro: Tensor) -> Params:
        """Which frame, and how much to magnify."""
        pair = pair_of(batch, onset, apex).frames
        before = self.motion(pair[:, 0], pair[:, 1])
        frame, alpha = apex.clone(), torch.ones_like(before)
        rows = macro.nonzero()[:, 0]
        if len(rows) and self.reduction == "nearest":
            frame[rows] = self._nearest(batch.frames[rows], onset[rows], apex[rows], before[rows])
        elif len(rows) and self.reduction is not None:
            fraction = _PAPER_FRACTION if self.reduction == "paper" else float(self.reduction)
            way = (fraction * (apex - onset)).round().long().clamp(min=1)
            frame[rows] = (onset + way)[rows]
        rows = (~macro).nonzero()[:, 0]
        if len(rows) and self.magnifier is not None:
            alpha[rows] = self._alpha(pair[rows], before[rows])
        return {"onset": onset, "frame": frame, "alpha": alpha, "before": before}

    def _nearest(self, frames: Tensor, onset: Tensor, apex: Tensor, at_apex: Tensor) -> Tensor:
        """Place (B,) of the frame whose motion is nearest to the target."""
        each = torch.arange(len(frames), device=frames.device)
        low, high = onset, apex
        at_low, at_high = torch.zeros_like(at_apex), at_apex
        # The target lies between low and high, or above high, then the apex.
        for _ in range(math.ceil(math.log2(int((apex - onset).max())))):
            middle = (low + high) // 2  # low itself where both are neighbours
            moved = self.motion(frames[each, onset], frames[each, middle])
            rise = (moved < self.target) & (middle > low)
            fall = (moved >= self.target) & (middle > low)
            low, at_low = torch.where(rise, middle, low), torch.where(rise, moved, at_low)
            high, at_high = torch.where(fall, middle, high), torch.where(fall, moved, at_high)
        low_is_nearer = (self.target - at_low).abs() < (at_high - self.target).abs()
        return torch.where(low_is_nearer & (low > onset), low, high)

    def _alpha(self, pair: Tensor, before: Tensor) -> Tensor:
        alpha = self._clip(self.target / before.clamp(min=_STILL))
        for _ in range(self.refinements):
            obtained = self.motion(pair[:, 0], self._magnify(pair, alpha))
            better = self._clip(alpha * self.target / obtained.clamp(min=_STILL))
            alpha = torch.where(alpha > 1, better, alpha)  # what moved enough is left alone
        return alpha

    def _clip(self, alpha: Tensor) -> Tensor:
        return alpha.clamp(1.0, self.alpha_max)

    def _magnify(self, pair: Tensor, alpha: Tensor) -> Tensor:
        """Apex (B, 3, H, W) of pairs (B, 2, 3, H, W); where alpha is 1, the apex itself."""
        apex = pair[:, 1].clone()
        rows = (alpha > 1).nonzero()[:, 0]
        if len(rows) and self.magnifier is not None:
            made = self.magnifier(pair[rows, 0], pair[rows, 1], alpha[rows])
            apex[rows] = made.to(apex.dtype)
        return apex


def apex_motion(
    onset: Tensor, apex: Tensor, method: str = "farneback", share: float = 0.1
) -> Tensor:
    """How far the moving part of a face has moved: mean flow magnitude over the top decile.

    The mean over the whole face would tell how much of it moves, the maximum how noisy the flow is.

    Args:
        onset: (B, 1 or 3, H, W) in [0, 1].
        apex: likewise.
        method: name of the flow method (``flow.METHODS``).
        share: share of the pixels, those that move most, over which the mean is taken.

    Returns:
        (B,) in pixels.

    Raises:
        ValueError: see :func:`mersynth.motion.flow.optical_flow`.
    """
    length = magnitude(optical_flow(onset, apex, method)).flatten(1)
    count = max(1, round(share * length.shape[1]))
    return length.topk(count, dim=1).values.mean(1)


def _move(values: Tensor, alpha: Tensor, clip: bool = False) -> Tensor:
    """Onset and apex (B, 2, ...), the apex alpha times as far; untouched where alpha is 1."""
    onset, apex = values.unbind(1)
    factor = alpha.to(values.dtype).reshape(-1, *[1] * (apex.dim() - 1))
    further = onset + factor * (apex - onset)
    further = further.clamp(0, 1) if clip else further
    return torch.stack([onset, torch.where(factor > 1, further, apex)], 1)


def _fitting(params: Params, batch: Batch) -> Params:
    """Replayed parameters on the batch's device."""
    frame = params.get("frame", torch.empty(0))
    last = batch.frames.shape[1] - 1
    if len(frame) != len(batch) or int(frame.max()) > last:
        raise ValueError(
            f"EMR: the params take frames {frame.tolist()}, the batch has {len(batch)} clips of "
            f"frames 0..{last}; replay params of a batch of the same size"
        )
    return {name: value.to(batch.device) for name, value in params.items()}


def _magnifier(magnifier: str | Magnifier | None) -> Magnifier | None:
    if magnifier == "magnet":
        return load_magnet().requires_grad_(False)
    if magnifier == "eulerian":
        return eulerian_pair
    if magnifier is None or callable(magnifier):
        return magnifier
    raise ValueError(
        f"EMR: magnifier must be 'magnet', 'eulerian', a function or None, got {magnifier!r}"
    )


def _check_options(
    target: float,
    reduction: Reduction | float | None,
    alpha_max: float,
    refinements: int,
    flow: str,
    share: float,
) -> None:
    if not (target > 0 and math.isfinite(target)):
        raise ValueError(f"EMR: target must be a motion above 0 pixels, got {target}")
    named = reduction is None or reduction in get_args(Reduction)
    if not (named or (isinstance(reduction, int | float) and 0 < reduction <= 1)):
        raise ValueError(
            "EMR: reduction must be 'paper', 'nearest', a fraction in (0, 1] or None, got "
            f"{reduction!r}"
        )
    if not (alpha_max >= 1 and math.isfinite(alpha_max)):
        raise ValueError(f"EMR: alpha_max must be 1 or more, got {alpha_max}")
    if refinements < 0:
        raise ValueError(f"EMR: refinements must be 0 or more, got {refinements}")
    check_choice("EMR: flow", flow, METHODS)
    if not 0 < share <= 1:
        raise ValueError(f"EMR: share must lie in (0, 1], got {share}")
