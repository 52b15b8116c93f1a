"""Shuffle attention whose groups have their own weights (Ruan et al., ACM MM 2022, 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

GROUPS = 4
"""Groups of channels, as in the authors' code; the paper gives no number."""


class ShuffleAttention(nn.Module):
    """Channel and spatial attention within groups of channels, then a shuffle of the channels.

    SA-Net (Zhang and Yang, ICASSP 2021) splits the channels into groups and each group into halves.
    One half is gated by its channels' means, the other by its own normalised values, and all groups
    share the gates' weights. Ruan et al. (3.3) give every group its own. As in their code, the gate
    is a softmax over the groups instead of a sigmoid, so that the groups compete for each channel;
    at the end the channels are shuffled in two groups.

    Args:
        channels: C, a multiple of ``2 * groups``.
        groups: G.

    Raises:
        ValueError: if the channels cannot be divided in this way.

    Example:
        >>> ShuffleAttention(64)(torch.rand(2, 64, 7, 7)).shape
        torch.Size([2, 64, 7, 7])
    """

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__()
        if groups < 1 or channels % (2 * groups):
            raise ValueError(
                f"ShuffleAttention: channels must be a multiple of 2 * groups, got {channels} "
                f"channels and {groups} groups"
            )
        self.groups = groups
        half = channels // (2 * groups)
        # Zero weights and equal biases: at first every group has the same share, 1 / G.
        shape = (1, groups, half, 1, 1)
        self.channel_weight = nn.Parameter(torch.zeros(shape))
        self.channel_bias = nn.Parameter(torch.ones(shape))
        self.spatial_weight = nn.Parameter(torch.zeros(shape))
        self.spatial_bias = nn.Parameter(torch.ones(shape))
        # One group per channel: each channel of each group is normalised over its own pixels.
        self.norm = nn.GroupNorm(half, half)

    def forward(self, x: Tensor) -> Tensor:
        """Gate and shuffle: (B, C, H, W) to (B, C, H, W)."""
        b, c, h, w = x.shape
        by_channel, by_place = x.view(b, self.groups, -1, h, w).chunk(
            2, dim=2
        )  # (B, G, C/2G, H, W)

        mean = by_channel.mean(dim=(3, 4), keepdim=True)
        gate = self.channel_weight * mean + self.channel_bias
        by_channel = by_channel * gate.softmax(dim=1)

        place = self.norm(by_place.flatten(0, 1)).reshape(by_place.shape)
        gate = self.spatial_weight * place + self.spatial_bias
        by_place = by_place * gate.softmax(dim=1)

        gated = torch.cat([by_channel, by_place], dim=2).reshape(b, 2, c // 2, h, w)
        return gated.transpose(1, 2).reshape(b, c, h, w)


class AttentionBlock(BasicBlock):  # type: ignore[misc]  # torchvision has no types
    """ResNet's basic block with shuffle attention after its second BatchNorm.

    Takes the arguments of torchvision's ``BasicBlock`` and has its parameters' names, so that
    torchvision can build the network and ImageNet weights fit; ``attention`` is added.
    """

    def __init__(self, inplanes: int, planes: int, *args: object, **options: object) -> None:
        super().__init__(inplanes, planes, *args, **options)
        self.attention = ShuffleAttention(planes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, planes, H / stride, W / stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.attention(self.bn2(self.conv2(out)))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))
