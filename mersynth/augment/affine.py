"""Small rotations, shifts and zooms of a whole clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.checks import around, span
from mersynth.augment.vectors import FlowChannels, turn_vectors
from mersynth.checks import check_choice

Padding = Literal["zeros", "border", "reflection"]


def affine_matrix(
    angle: Tensor, scale: Tensor, translation: Tensor, size: tuple[int, int]
) -> Tensor:
    """The map x -> A (x - c) + c + t of pixel positions, c being the centre of the image.

    Args:
        angle: (B,) in degrees; positive is clockwise.
        scale: (B,), above 1 enlarges.
        translation: (B, 2), to the right and down, in pixels.
        size: height and width, in pixels.

    Returns:
        (B, 2, 3): A, then the constant.
    """
    radians = torch.deg2rad(angle)
    cos, sin = scale * torch.cos(radians), scale * torch.sin(radians)
    linear = torch.stack([cos, -sin, sin, cos], -1).reshape(-1, 2, 2)  # y points down
    centre = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], device=angle.device)
    constant = centre + translation - linear @ centre
    return torch.cat([linear, constant[..., None]], -1)


def warp_affine(frames: Tensor, matrix: Tensor, padding_mode: Padding = "zeros") -> Tensor:
    """Warp images by an affine map.

    Args:
        frames: (B, T, C, H, W), any range; all frames of a clip move alike.
        matrix: (B, 2, 3), where a pixel goes (:func:`affine_matrix`).
        padding_mode: filling from outside the image: zeros, the border, or a reflection.

    Returns:
        (B, T, C, H, W), bilinear.
    """
    height, width = frames.shape[-2:]
    linear, constant = matrix[..., :2], matrix[..., 2]
    x = torch.arange(width, dtype=matrix.dtype, device=matrix.device)
    y = torch.arange(height, dtype=matrix.dtype, device=matrix.device)
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (H, W, 2)
    # Each pixel of the result samples the place that it comes from: A^-1 (x - constant).
    sources = (pixels - constant[:, None, None]) @ torch.linalg.inv(linear).mT[:, None]
    span_of_grid = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=matrix.device)
    grid = sources * 2 / span_of_grid - 1
    stacked = frames.flatten(1, 2)  # frames as channels: one grid serves a whole clip
    warped = F.grid_sample(stacked, grid.to(frames), "bilinear", padding_mode, align_corners=True)
    return warped.reshape(frames.shape)


def move_landmarks(landmarks: Tensor, matrix: Tensor) -> Tensor:
    """Landmarks (B, T, 68, 2) in pixels along the maps (B, 2, 3) of their pictures."""
    matrix = matrix.to(landmarks)
    return landmarks @ matrix[:, None, :, :2].mT + matrix[:, None, None, :, 2]


class RandomAffine(Augmentation):
    """Rotate, shift and zoom a clip as a whole; landmarks move along, AUs stay.

    Landmarks may leave the image; their positions outside it are kept.

    Args:
        degrees: the angle is drawn from (-degrees, degrees), or from (lowest, highest); positive is
            clockwise. MMNet's published code rotates by up to 3.
        translate: largest shift to either side, as shares of width and height, within [0, 1]; or
            one number for both.
        scale: (lowest, highest) zoom, above 0.
        padding_mode: ``"zeros"``, ``"border"`` or ``"reflection"``.
        p: probability that a sample is changed.
        flow_channels: see :mod:`mersynth.augment.vectors`; displacements turn and scale along.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if a range exceeds its limits, or the padding is unknown.

    Example:
        >>> RandomAffine(degrees=3, translate=0.02)(torch.rand(4, 16, 3, 64, 64)).shape
        torch.Size([4, 16, 3, 64, 64])
    """

    def __init__(
        self,
        degrees: float | Sequence[float] = 3.0,
        translate: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        padding_mode: Padding = "zeros",
        p: float = 1.0,
        flow_channels: FlowChannels = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        self.degrees = around(self, "degrees", degrees, 0, 180)
        shift = [translate, translate] if isinstance(translate, int | float) else list(translate)
        if len(shift) != 2 or not all(0 <= share <= 1 for share in shift):
            raise ValueError(
                f"RandomAffine: translate must be shares of width and height in [0, 1], got "
                f"{translate}"
            )
        self.translate = (shift[0], shift[1])
        self.scale = span(self, "scale", scale, 1e-3, math.inf)
        check_choice("RandomAffine: padding_mode", padding_mode, get_args(Padding))
        self.padding_mode = padding_mode
        self.flow_channels = flow_channels

    def draw(self, batch: Batch) -> Params:
        """``angle`` (B,) in degrees, ``scale`` (B,), ``shift`` (B, 2) as shares of the size."""
        reach = torch.tensor(self.translate, device=batch.device)
        return {
            "angle": self.uniform(batch, *self.degrees),
            "scale": self.uniform(batch, *self.scale),
            "shift": self.uniform(batch, -1, 1, 2) * reach,
        }

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        height, width = batch.frames.shape[-2:]
        pixels = params["shift"] * torch.tensor([width, height], device=batch.device)
        matrix = affine_matrix(params["angle"], params["scale"], pixels, (height, width))
        frames = warp_affine(batch.frames, matrix, self.padding_mode)
        marks = batch.landmarks
        return replace(
            batch,
            frames=turn_vectors(frames, matrix[..., :2], self.flow_channels),
            landmarks=None if marks is None else move_landmarks(marks, matrix),
        )

    def extra_repr(self) -> str:
        """What may be drawn."""
        return (
            f"degrees={self.degrees}, translate={self.translate}, scale={self.scale}, "
            f"padding_mode={self.padding_mode!r}, {super().extra_repr()}"
        )
