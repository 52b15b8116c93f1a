"""Expression magnification and reduction (Liu et al., FG 2019, II.D)."""

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
    """Bring micro- and macro-expressions to the same amount of motion (``docs/augment.md``).

    Args:
        target: wanted motion of the apex (:func:`apex_motion`), in pixels of these frames.
        reduction: which frame replaces a macro-expression's apex: ``"paper"``: half way from onset
            to apex; a number in (0, 1]: at this fraction of the way; ``"nearest"``: the frame whose
            motion is nearest to the target; None: the apex itself. Never the onset.
        magnifier: of micro-expressions: ``"magnet"``, with the package's weights; ``"eulerian"``
            (paper); a function of (onset, apex, alpha); None: do not magnify.
        alpha_max: largest alpha, 1 or more. The package's MagNet was trained on alphas up to 12,
            the Eulerian magnification's wavelength is chosen for 2 to 4.
        refinements: how often alpha is corrected by the motion obtained.
        flow: name of the flow method that measures motion.
        share: see :func:`apex_motion`.

    Inputs:
        A mapping with ``"strength"``, "micro" or "macro" for each sample, and either ``"clip"``
        (B, T, 3, H, W) in [0, 1], ``"apex_index"`` (B,) and optionally ``"onset_index"`` (B,),
        default 0; or ``"onset"`` and ``"apex"``, both (B, 3, H, W). Optionally ``"aus"``
        (B, T, 20) and ``"landmarks"`` (B, T, 68, 2), T being 2 for pairs.

    Returns:
        The mapping with ``"onset"`` and ``"apex"`` (B, 3, H, W) instead of the frames, and
        ``"aus"`` and ``"landmarks"`` (B, 2, ...) of both; at a magnified apex these are
        ``onset + alpha (apex - onset)``, AUs clipped to [0, 1].

    Attributes:
        params: ``"onset"`` and ``"frame"`` (B,) int64, the positions of the two frames; ``"alpha"``
            (B,), 1 where not magnified; ``"before"`` and ``"after"`` (B,), the apex's motion in
            pixels.

    Raises:
        ValueError: if an argument is out of range; in the call, if a shape, range or strength is
            wrong, or a macro-expression given as a pair is to be reduced.
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
        """Magnify and reduce; see the class."""
        batch, onset, apex, macro = read_inputs(inputs)
        if params is None:
            if "clip" not in inputs and self.reduction is not None and bool(macro.any()):
                raise ValueError(
                    f"EMR: sample {int(macro.nonzero()[0])} is a macro-expression, and a pair has "
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
        """:func:`apex_motion` with this transform's options."""
        return apex_motion(onset, apex, self.flow, self.share)

    def extra_repr(self) -> str:
        """The options."""
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
        """Position (B,) of the frame whose motion is nearest to the target, by bisection."""
        each = torch.arange(len(frames), device=frames.device)
        low, high = onset, apex
        at_low, at_high = torch.zeros_like(at_apex), at_apex
        # Motion grows towards the apex: the target lies between low and high, or above the apex.
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
            alpha = torch.where(alpha > 1, better, alpha)  # what moved enough is not changed
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

    The mean over the whole face would measure how much of it moves, the maximum the flow's noise.

    Args:
        onset: (B, 1 or 3, H, W) in [0, 1].
        apex: likewise.
        method: name of the flow method (``flow.METHODS``).
        share: share of the pixels over which the mean is taken, those that move most.

    Returns:
        (B,) in pixels.

    Raises:
        ValueError: see :func:`mersynth.motion.flow.optical_flow`.
    """
    length = magnitude(optical_flow(onset, apex, method)).flatten(1)
    count = max(1, round(share * length.shape[1]))
    return length.topk(count, dim=1).values.mean(1)


def _move(values: Tensor, alpha: Tensor, clip: bool = False) -> Tensor:
    """Onset and apex (B, 2, ...), the apex alpha times as far; unchanged where alpha is 1."""
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
