"""Half-face mirroring: one half of the face is replaced by the mirror image of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from mersynth.augment.au_sets import ORDER, SIDEWAYS_ROWS
from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.vectors import FlowChannels, check_flow_channels
from mersynth.checks import check_choice
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import MIRROR, NUM_LANDMARKS

Side = Literal["random", "left", "right"]
Axis = Literal["image", "landmarks"]

MIDLINE: tuple[int, ...] = tuple(i for i, twin in enumerate(MIRROR) if i == twin)
"""The landmarks on the face's midline."""

SUBJECT_RIGHT: tuple[int, ...] = (
    *range(0, 8),  # jaw
    *range(17, 22),  # brow
    *(31, 32),  # nostril
    *range(36, 42),  # eye
    *(48, 49, 50, 58, 59),  # outer lips
    *(60, 61, 67),  # inner lips
)
"""The landmarks on the subject's right, the image's left."""


def mirror_half(
    frames: Tensor, axis: Tensor, left: Tensor, flow_channels: FlowChannels = None
) -> Tensor:
    """Replace one half of each frame by the mirror image of the other.

    Args:
        frames: (B, T, C, H, W), any range.
        axis: (B,), x of the mirror in pixels; between pixels the picture is interpolated.
        left: (B,) bool, whether the subject's left half, the image's right one, is kept.
        flow_channels: see :mod:`mersynth.augment.vectors`.

    Returns:
        (B, T, C, H, W); beyond the kept half its border is repeated.
    """
    width = frames.shape[-1]
    x = torch.arange(width, device=frames.device)
    aside = x - axis[:, None]  # (B, W)
    outward = torch.where(left, 1.0, -1.0)[:, None]
    source = (axis[:, None] + outward * aside.abs()).clamp(0, width - 1)

    def column(index: Tensor) -> Tensor:
        wide = index.long()[:, None, None, None].expand(frames.shape)
        return frames.gather(-1, wide)

    before = column(source.floor())
    share = (source - source.floor()).to(frames)[:, None, None, None]
    mirrored = before + share * (column(source.ceil()) - before)
    if flow_channels is None:
        return mirrored
    check_flow_channels(frames, flow_channels)
    sign = torch.where(outward * aside < 0, -1.0, 1.0).to(frames)[:, None, None, None]
    of_x = torch.arange(frames.shape[2], device=frames.device) == flow_channels[0]
    return mirrored * torch.where(of_x[:, None, None], sign, 1.0)


def mirror_half_landmarks(landmarks: Tensor, axis: Tensor, left: Tensor) -> Tensor:
    """Landmarks (B, T, 68, 2) of a face one half of which is mirrored; see :func:`mirror_half`.

    Landmarks of the midline are moved onto the axis; NaN stays NaN.
    """
    order = torch.tensor(MIRROR, device=landmarks.device)
    axis = axis.to(landmarks)[:, None, None]
    x, y = landmarks.unbind(-1)
    mirrored = torch.stack([2 * axis - x[..., order], y[..., order]], -1)
    of_right = _members(SUBJECT_RIGHT, landmarks.device)
    midline = _members(MIDLINE, landmarks.device)
    kept = (of_right != left[:, None])[:, None, :, None]  # (B, 1, 68, 1)
    on_axis = torch.stack([axis + 0 * x, y], -1)
    return torch.where(midline[:, None], on_axis, torch.where(kept, landmarks, mirrored))


def mirror_half_au_set(au_set: Tensor, left: Tensor) -> Tensor:
    """AU sets (B, S, 2) of faces one half of which is mirrored: both sides show the kept one's AUs.

    Gaze and head turned to one side are removed: a mirrored face turns to neither.
    """
    kept = torch.where(left[:, None], au_set[..., 0], au_set[..., 1])
    kept = kept.masked_fill(_members(SIDEWAYS_ROWS, au_set.device, len(ORDER)), 0)
    return kept[..., None].expand_as(au_set)


def forget_one_sided(aus: Tensor, au_set: Tensor) -> Tensor:
    """AU intensities (B, T, 20), NaN where an AU of ``au_set`` is not the same on both sides."""
    rows = torch.tensor([ORDER.index(number) for number in CONDITION_AUS], device=aus.device)
    uneven = (au_set[..., 0] != au_set[..., 1])[:, rows]
    return aus.masked_fill(uneven[:, None], float("nan"))


def _members(indices: Sequence[int], device: torch.device, size: int = NUM_LANDMARKS) -> Tensor:
    """(size,) bool, true at the indices."""
    return torch.tensor([i in indices for i in range(size)], device=device)


class HalfFaceMirror(Augmentation):
    """Keep one half of the face and mirror it onto the other.

    Both sides then show the AUs of the kept half. If ``au_set`` is given and only one half has AUs,
    that half is kept, so that a one-sided expression (a smirk) remains. ``aus``, which have no
    sides, become NaN for the AUs that ``au_set`` has on one side only. The axis and the side are
    the same for all frames of a clip.

    Args:
        side: the half that is kept: the subject's ``"left"`` or ``"right"``, or ``"random"``.
        axis: ``"image"``, the middle of the image, for aligned faces; or ``"landmarks"``, the mean
            of the landmarks on the face's midline over the clip; a sample without any is not
            changed.
        p: probability that a sample is mirrored.
        flow_channels: see :mod:`mersynth.augment.vectors`; the x displacement of the mirrored half
            changes its sign.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if ``side`` or ``axis`` is unknown; in the call, if the axis needs landmarks and
            the mapping has none.

    Example:
        >>> HalfFaceMirror("left", p=1)(torch.arange(4.0).reshape(1, 1, 1, 4))
        tensor([[[[3., 2., 2., 3.]]]])
    """

    def __init__(
        self,
        side: Side = "random",
        axis: Axis = "image",
        p: float = 0.5,
        flow_channels: FlowChannels = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        check_choice("HalfFaceMirror: side", side, get_args(Side))
        check_choice("HalfFaceMirror: axis", axis, get_args(Axis))
        self.side, self.axis, self.flow_channels = side, axis, flow_channels

    def draw(self, batch: Batch) -> Params:
        """``left`` (B,) bool, the side that is kept; ``axis`` (B,), 0 to 1 over the width."""
        left = self.uniform(batch, 0, 1) < {"left": 1.0, "right": 0.0, "random": 0.5}[self.side]
        if self.side == "random" and batch.au_set is not None:
            # Gaze and head AUs belong to neither half: they are lost in any case.
            halves = batch.au_set * ~_members(SIDEWAYS_ROWS, batch.device, len(ORDER))[:, None]
            number = halves.sum(1)  # (B, 2)
            left = (left | (number[:, 1] == 0)) & ~((number[:, 0] == 0) & (number[:, 1] > 0))
        axis = self._axis_of(batch)
        return {"left": left, "axis": axis.nan_to_num(0.5), "on": axis.isfinite()}

    def _axis_of(self, batch: Batch) -> Tensor:
        if self.axis == "image":
            return torch.full((len(batch),), 0.5, device=batch.device)
        if batch.landmarks is None:
            raise ValueError("HalfFaceMirror: axis='landmarks' needs 'landmarks' in the mapping")
        x = batch.landmarks[:, :, list(MIDLINE), 0].flatten(1).nanmean(1)
        return x / (batch.frames.shape[-1] - 1)

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        left, axis = params["left"], params["axis"] * (batch.frames.shape[-1] - 1)
        aus, au_set, marks = batch.aus, batch.au_set, batch.landmarks
        return replace(
            batch,
            frames=mirror_half(batch.frames, axis, left, self.flow_channels),
            aus=aus if aus is None or au_set is None else forget_one_sided(aus, au_set),
            au_set=None if au_set is None else mirror_half_au_set(au_set, left),
            landmarks=None if marks is None else mirror_half_landmarks(marks, axis, left),
        )

    def extra_repr(self) -> str:
        """What is kept."""
        return f"side={self.side!r}, axis={self.axis!r}, {super().extra_repr()}"
