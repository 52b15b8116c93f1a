"""A generator for faces of any size: fields of motion and paint, computed at a small size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.generator import (
    Generated,
    ResidualBlock,
    conditions_each,
    left_weight,
    norm_relu,
)
from mersynth.motion.warp import warp

_STEP = 8  # the encoder halves three times


class Fields(NamedTuple):
    """A face's response to each AU, independent of the condition; computed once per face.

    Attributes:
        small: (B, 3, h, w), the face at the working size.
        motion: (B, N, 2, h/2, w/2) x, y as shares of the longer side: D_k.
        paint: (B, N, P, h/2, w/2): Q_k.
        tone: (B, P, h/2, w/2): further inputs of the paint's colours.
    """

    small: Tensor
    motion: Tensor
    paint: Tensor
    tone: Tensor


class MotionGenerator(nn.Module):
    """G(I_in | Y) for faces of any size and aspect: it sees a small face, and moves the large one.

    At the working size an encoder and decoder with skip connections compute for each AU k a field
    of displacements D_k and one of paint Q_k. Each side of the face moves in proportion to the
    change of that side's intensity, from y0 to y; c_k is the change at each pixel,

        c_k = l (y_k,left - y0_k,left) + (1 - l) (y_k,right - y0_k,right),
        d = sum_k c_k D_k,
        q = sum_k c_k Q_k,
        A = exp(-|q_1|),

    and small convolutions compute the colour C from q. So a face that is not asked to change is
    returned unchanged, and a weak expression is a scaled-down strong one. S is the face at its
    working size, up() enlarges to the face's own:

        R = (1 - A) * (C - warp(S, d)),
        I_out = warp(I_in, up(d)) + up(R).

    So fine texture is the person's own and moves along. Where paint covers the face, like teeth
    between parted lips, stretched texture is removed: the difference between the moved face and the
    enlarged small moved one, times (1 - A)^2. At the working size this is the paper's

        I_out = A * warp(S, d) + (1 - A) * C.

    Source: the blend is that of paper 3.4; fields and composition are beyond it.

    Args:
        num_aus: length N of the condition.
        working_size: longer side, in pixels, of the small face; a multiple of 8.
        channels: width of the first layer.
        blocks: number of residual blocks.
        motion: how far an AU can move a point along an axis at full intensity, as a share of the
            longer side.
        paint: channels P of paint per AU; the first is its opacity.

    Shape:
        - image: (B, 3, H, W) in [0, 1], any size; aus and own: (B M, N, 2) in [0, 1], the
          subject's left and right side.

    Raises:
        ValueError: if ``aus`` or ``own`` has another shape.
    """

    def __init__(
        self,
        num_aus: int = len(CONDITION_AUS),
        working_size: int = 128,
        channels: int = 64,
        blocks: int = 6,
        motion: float = 0.1,
        paint: int = 4,
    ) -> None:
        super().__init__()
        self.num_aus, self.working_size, self.motion = num_aus, working_size, motion
        c = channels
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), *norm_relu(after))
            for before, after in ((3, c), (c, 2 * c), (2 * c, 4 * c))
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * c) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), *norm_relu(after))
            for before, after in ((6 * c, 2 * c), (3 * c, c))
        )
        self.fields = nn.Conv2d(c, 2 * num_aus, 3, padding=1, bias=False)
        nn.init.zeros_(self.fields.weight)  # no motion at first
        self.paints = nn.Conv2d(c, paint * num_aus, 3, padding=1, bias=False)
        nn.init.normal_(self.paints.weight, std=2e-3)  # and hardly any paint
        self.tones = nn.Conv2d(c, paint, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(paint, 4 * paint, 3, padding=1, bias=False)
        self.colour = nn.Conv2d(5 * paint, 3, 3, padding=1)

    def forward(self, image: Tensor, aus: Tensor, own: Tensor | None = None) -> Generated:
        """Move the faces of images (B, 3, H, W) to the intensities (B M, N, 2).

        Args:
            image: the faces.
            aus: the wanted intensities, M for each face, grouped by face.
            own: those that the faces show, to move from; None: zero.

        Returns:
            Mask, colour and motion at the working size, the image at the faces' own.
        """
        each = conditions_each(self.num_aus, image, aus, own)
        change = aus if own is None else aus - own
        return self.move(image, self.study(image), change.unflatten(0, (-1, each)))

    def study(self, image: Tensor) -> Fields:
        """The fields of faces (B, 3, H, W), which do not depend on the condition."""
        small = shrink(image, self.working_size)
        features, skips = 2 * small - 1, []
        for layer in self.down:
            features = layer(features)
            skips.append(features)
        features = self.blocks(features)
        for layer, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            grown = F.interpolate(features, skip.shape[-2:], mode="bilinear", align_corners=False)
            features = layer(torch.cat([grown, skip], 1))
        motion = self.motion * torch.tanh(self.fields(features).float())
        return Fields(
            small,
            motion.unflatten(1, (self.num_aus, 2)),
            self.paints(features).float().unflatten(1, (self.num_aus, -1)),
            self.tones(features).float(),
        )

    def move(self, image: Tensor, fields: Fields, change: Tensor) -> Generated:
        """Move faces by their fields.

        Args:
            image: (B, 3, H, W), the faces.
            fields: of the faces, by :meth:`study`.
            change: (B, M, N, 2), changes of their intensities, in [-1, 1].

        Returns:
            (B M, ...), grouped by face.
        """
        each = change.shape[1]
        both = _on_sides(torch.cat([fields.motion, fields.paint], 2), change.float())
        motion, paint = both.split([2, both.shape[1] - 2], dim=1)  # (B M, 2 or P, h/2, w/2)
        opacity = 1 - torch.exp(-paint[:, :1].abs())  # 0 where nothing changes
        mixed = torch.relu(self.mix(paint))
        tone = fields.tone.repeat_interleave(each, 0)
        colour = torch.sigmoid(self.colour(torch.cat([mixed, tone], 1)))
        small = fields.small.repeat_interleave(each, 0)
        size, longer = small.shape[-2:], max(small.shape[-2:])
        grown = _grow(torch.cat([motion, opacity, colour], 1), size)
        motion, opacity, colour = grown.split([2, 1, 3], dim=1)
        moved = warp(small, motion * longer)
        painted = opacity * (colour - moved)
        out = Generated(moved + painted, 1 - opacity, colour, motion * longer)
        if image.shape[-2:] == size:
            return out
        return out._replace(image=_compose(image, each, motion, painted, moved, opacity))


def _on_sides(fields: Tensor, change: Tensor) -> Tensor:
    """sum_k c_k F_k: fields (B, N, C, h, w) by changes (B, M, N, 2) to (B M, C, h, w)."""
    sums = torch.einsum("bmns,bnchw->sbmchw", change, fields).flatten(1, 2)
    left, right = sums.unbind(0)
    return right + (left - right) * left_weight(fields.shape[-1], fields.device)


def _compose(
    image: Tensor, each: int, motion: Tensor, painted: Tensor, moved: Tensor, opacity: Tensor
) -> Tensor:
    """I_out: (B M, 3, H, W) in [0, 1], from the result at the working size."""
    large = image.repeat_interleave(each, 0)
    grown = _grow(torch.cat([motion, painted, moved, opacity], 1), large.shape[-2:])
    motion, painted, moved, opacity = grown.split([2, 3, 3, 1], dim=1)
    carried = warp(large, motion * max(large.shape[-2:]), "bicubic")
    stretched = opacity.square() * (carried - moved)  # fine texture under paint
    return (carried + painted - stretched).clamp(0, 1)


def shrink(image: Tensor, size: int) -> Tensor:
    """Images (B, C, H, W) with ``size`` pixels along the longer side; sides are multiples of 8."""
    longer = max(image.shape[-2:])
    height, width = (max(1, round(size * s / longer / _STEP)) * _STEP for s in image.shape[-2:])
    if (height, width) == image.shape[-2:]:
        return image
    return F.interpolate(
        image, (height, width), mode="bilinear", align_corners=False, antialias=True
    )


def _grow(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, list(size), mode="bilinear", align_corners=False)
