"""The layers of the dual-branch model: ResNet18 in two parts, AWM, heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from recognizers.models.dual_branch.shuffle_attention import AttentionBlock

WIDTH = 512
"""Features of a region: the output of ResNet18's last layer."""


class AreaWeightedModule(nn.Module):
    """AWM (3.4): a weight for every feature of both regions, seen together.

    The weights are computed from *detached* features, so that AWM learns to weigh the features but
    does not shape them.

    Args:
        width: features of both regions together.
        hidden: h, width of the hidden layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, width),
            nn.LayerNorm(width),
            nn.Sigmoid(),
        )

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """X_F and X_weight, both (B, width), of [X_eyes | X_mouth]."""
        # eq. 1: X_weight = sigmoid(W_2 f(W_1 [X_eyes | X_mouth] + b_1) + b_2)
        weight = self.layers(joined.detach())
        # eq. 2: X_F = [X_eyes | X_mouth] * X_weight
        return joined * weight, weight


def resnet18(attention: bool, given: Mapping[str, Tensor] | None) -> ResNet:
    """ResNet18 with or without shuffle attention.

    Args:
        attention: whether every block has shuffle attention.
        given: torchvision's state dict to start from; it holds nothing for the attention, which
            keeps its own initial weights.
    """
    network = ResNet(AttentionBlock if attention else BasicBlock, [2, 2, 2, 2])
    if given is not None:
        network.load_state_dict(given, strict=False)
    return network


def shared_layers(network: ResNet) -> nn.Sequential:
    """ResNet18 up to layer 2 (Table 1, base layer): (B, 3, H, W) to (B, 128, H / 8, W / 8)."""
    return _chain(
        conv1=network.conv1,
        bn1=network.bn1,
        relu=network.relu,
        maxpool=network.maxpool,
        layer1=network.layer1,
        dropout1=nn.Dropout(0.2),
        layer2=network.layer2,
        dropout2=nn.Dropout(0.2),
    )


def branch_layers(network: ResNet) -> nn.Sequential:
    """Its layers 3 and 4 and the pooling (Table 1, branch layer): (B, 128, h, w) to (B, 512)."""
    return _chain(
        layer3=network.layer3,
        dropout3=nn.Dropout(0.2),
        layer4=network.layer4,
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
    )


def head(num_classes: int) -> nn.Sequential:
    """The classifier of a region (3.6): (B, 512) to logits (B, C)."""
    return nn.Sequential(
        nn.Linear(WIDTH, 512),
        nn.LayerNorm(512),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(512, num_classes),
    )


def _chain(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
