"""The two critics of AU-ICGAN, of images and of sequences (paper 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mersynth.facs.action_units import CONDITION_AUS, SIDES

MAGNIFIED = 10
"""Factor that brings differences, about a tenth of an image's range or less, to its scale."""


class ImageVerdict(NamedTuple):
    """The output of the image critic.

    Attributes:
        realness: (B, 1, h, w), unbounded, one value per patch; higher is more real.
        aus: (B, N, 2), the AU intensities, left and right, that it reads from the image.
    """

    realness: Tensor
    aus: Tensor


class VideoVerdict(NamedTuple):
    """The output of the video critic.

    Attributes:
        realness: (B,), unbounded; higher is more real.
        expression: (B, C), logits of the micro-expression classes.
    """

    realness: Tensor
    expression: Tensor


class _LeakyReLU(nn.Module):
    """LeakyReLU with slope 0.01, whose second derivative is known to be zero.

    In the double backward of a gradient penalty, torch's own sends zeros back through every
    convolution: a third of the penalty's time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * torch.where(x.detach() > 0, x.new_ones(()), x.new_full((), 0.01))


class ImageCritic(nn.Module):
    """D_I with a PatchGAN realness head, and the AU intensity regression head.

    Strided 4x4 convolutions that double in width, LeakyReLU, no normalisation (the gradient penalty
    is per sample); by default with the sizes of GANimation's critic.

    Args:
        image_size: side of the images in pixels, a multiple of ``2 ** depth``.
        num_aus: number of AU intensities to read.
        channels: width of the first layer.
        depth: number of strided layers.
        difference: whether it also sees the magnified difference from the start image (beyond the
            paper). A micro-movement changes an image by a percent or two, so that a critic of
            images alone hardly penalises a face that does not move.

    Shape:
        - image, start: (B, 3, image_size, image_size) in [0, 1].

    Raises:
        ValueError: if ``image_size`` is not a multiple of ``2 ** depth``.
    """

    def __init__(
        self,
        image_size: int = 128,
        num_aus: int = len(CONDITION_AUS),
        channels: int = 64,
        depth: int = 6,
        difference: bool = False,
    ) -> None:
        super().__init__()
        if image_size % 2**depth:
            raise ValueError(
                f"image_size must be a multiple of 2 ** depth = {2**depth}, got {image_size}; "
                "change gan.image_size or gan.image_critic.depth"
            )
        self.difference = difference
        width = 6 if difference else 3
        layers: list[nn.Module] = [nn.Conv2d(width, channels, 4, 2, 1), _LeakyReLU()]
        for _ in range(depth - 1):
            layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1), _LeakyReLU()]
            channels *= 2
        self.main = nn.Sequential(*layers)
        self.realness = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        sides = num_aus * len(SIDES)
        self.aus = nn.Conv2d(channels, sides, image_size // 2**depth, bias=False)

    def forward(self, image: Tensor, start: Tensor) -> ImageVerdict:
        """Rate the realness of images (B, 3, image_size, image_size) and read their AUs.

        Args:
            image: real or generated.
            start: another frame of the same clip; for a generated image, the generator's input.
        """
        seen = 2 * image - 1
        if self.difference:
            seen = torch.cat([seen, MAGNIFIED * (image - start)], dim=1)
        features = self.main(seen)  # (B, C, h, w)
        aus = self.aus(features).flatten(1).unflatten(1, (-1, len(SIDES)))
        return ImageVerdict(self.realness(features), aus)


class VideoCritic(nn.Module):
    """D_S and D_ME: a 3-D ConvNet for a sequence's realness and micro-expression class.

    It also sees the frames' difference from the first one: a micro-movement changes a frame by a
    percent or two, which a critic of raw frames would take long to notice. The paper gives no layer
    sizes; these follow the image critic, with time halved where it is still long.

    Args:
        num_classes: number of micro-expression classes.
        channels: width of the first layer.
        depth: number of strided layers.

    Shape:
        - clip: (B, T, 3, H, W) in [0, 1].
    """

    def __init__(self, num_classes: int, channels: int = 32, depth: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 6
        for i in range(depth):
            following = channels * 2**i
            time = 2 if i < 2 else 1
            layers += [
                nn.Conv3d(width, following, (3, 4, 4), (time, 2, 2), (1, 1, 1)),
                _LeakyReLU(),
            ]
            width = following
        self.main = nn.Sequential(*layers)
        self.realness = nn.Linear(width, 1)
        self.expression = nn.Linear(width, num_classes)

    def forward(self, clip: Tensor) -> VideoVerdict:
        """Rate the realness of clips (B, T, 3, H, W) and classify their expressions."""
        motion = clip - clip[:, :1]
        joined = torch.cat([2 * clip - 1, MAGNIFIED * motion], dim=2)
        joined = joined.transpose(1, 2)  # (B, 6, T, H, W)
        # In full precision: in bfloat16 on a CPU, gradients of 3-D convolutions were not always
        # finite, and the motion is small.
        with torch.autocast(clip.device.type, enabled=False):
            features = self.main(joined.float()).mean(dim=(2, 3, 4))  # (B, C)
            return VideoVerdict(self.realness(features).flatten(), self.expression(features))
