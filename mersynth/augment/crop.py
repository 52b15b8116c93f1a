"""Random crop with padding, by whole pixels and so without interpolation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.checks import check_choice

CropPadding = Literal["constant", "edge"]


def crop(
    frames: Tensor, top: Tensor, left: Tensor, size: tuple[int, int], mode: CropPadding
) -> Tensor:
    """Cut a window, which may extend beyond the border, out of each clip.

    Args:
        frames: (B, T, C, H, W), any range.
        top: (B,) int64, the first row; negative rows are padding.
        left: (B,) int64, the first column.
        size: height and width of the window, in pixels.
        mode: padding outside the frame: zeros (``"constant"``) or the nearest pixel (``"edge"``).

    Returns:
        (B, T, C, *size).
    """
    for dim, first, length in ((-2, top, size[0]), (-1, left, size[1])):
        wanted = first[:, None] + torch.arange(length, device=frames.device)  # (B, length)
        shape = [len(frames), 1, 1, 1, 1]
        shape[dim] = length
        given = wanted.clamp(0, frames.shape[dim] - 1)
        whole = list(frames.shape)
        whole[dim] = length
        frames_cut = frames.gather(dim, given.reshape(shape).expand(whole))
        if mode == "constant":
            frames_cut = frames_cut.masked_fill((given != wanted).reshape(shape), 0)
        frames = frames_cut
    return frames


class RandomCrop(Augmentation):
    """Cut out a window of the padded frames, the same for all frames of a clip.

    Landmarks move along and may leave the image; AUs stay. Samples that are off get the central
    window, which is the whole frame if the size does not change.

    Args:
        padding: pixels added on every side before; MMNet's published code adds 15 to 224 x 224.
        size: height and width of the window, in pixels; None: those of the frames.
        padding_mode: ``"constant"`` (zeros) or ``"edge"`` (the nearest pixel).
        p: probability that a sample is moved.
        generator: see :class:`Augmentation`.

    Raises:
        ValueError: if a number is negative, the padding unknown, or, in the call, the window larger
            than the padded frames.

    Example:
        >>> RandomCrop(padding=15)(torch.rand(4, 3, 224, 224)).shape
        torch.Size([4, 3, 224, 224])
    """

    resizes = True

    def __init__(
        self,
        padding: int = 0,
        size: tuple[int, int] | None = None,
        padding_mode: CropPadding = "constant",
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        if padding < 0:
            raise ValueError(f"RandomCrop: padding must be 0 or more, got {padding}")
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"RandomCrop: size must be a height and a width, got {size}")
        check_choice("RandomCrop: padding_mode", padding_mode, ("constant", "edge"))
        self.padding, self.size, self.padding_mode = padding, size, padding_mode

    def draw(self, batch: Batch) -> Params:
        """``place`` (B, 2) in [0, 1): the window's place between first and last row, column."""
        return {"place": self.uniform(batch, 0, 1, 2)}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """See the class."""
        height, width = batch.frames.shape[-2:]
        size = self.size or (height, width)
        room = [
            given + 2 * self.padding - w for given, w in zip((height, width), size, strict=True)
        ]
        if min(room) < 0:
            raise ValueError(
                f"RandomCrop: a window of {size} does not fit into frames of {(height, width)} "
                f"padded by {self.padding}"
            )
        spare = torch.tensor(room, device=batch.device)
        drawn = (params["place"] * (spare + 1)).long().minimum(spare)
        first = torch.where(params["on"][:, None], drawn, spare // 2) - self.padding
        marks = batch.landmarks
        if marks is not None:
            marks = marks - first.flip(-1)[:, None, None].to(marks)
        top, left = first.unbind(-1)
        frames = crop(batch.frames, top, left, size, self.padding_mode)
        return replace(batch, frames=frames, landmarks=marks)

    def extra_repr(self) -> str:
        """What is cut."""
        return f"padding={self.padding}, size={self.size}, {super().extra_repr()}"
