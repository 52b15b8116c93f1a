"""The dual-branch model's shuffle attention, against a loop over its groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recognizers.models.dual_branch.shuffle_attention import ShuffleAttention
from tests.recognizers.models.dual_branch.shuffle_attention_loop import slow_attention


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (12, 3), (8, 1)])
def test_shuffle_attention_is_the_loop_over_groups(channels: int, groups: int) -> None:
    torch.manual_seed(1)
    attention = ShuffleAttention(channels, groups)
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    parts = {
        "cw": attention.channel_weight,
        "cb": attention.channel_bias,
        "sw": attention.spatial_weight,
        "sb": attention.spatial_bias,
    }
    numbers = {name: p.detach().reshape(groups, -1).double().numpy() for name, p in parts.items()}
    numbers |= {"nw": attention.norm.weight.detach().numpy()}
    numbers |= {"nb": attention.norm.bias.detach().numpy()}
    x = torch.randn(2, channels, 5, 3)
    expected = slow_attention(x.double().numpy(), numbers, groups)
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, atol=1e-5)


def test_shuffle_attention_starts_with_equal_shares_and_says_what_it_cannot_divide() -> None:
    x = torch.randn(1, 16, 4, 4)
    shuffled = x.reshape(1, 2, 8, 4, 4).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(ShuffleAttention(16)(x), shuffled / 4)
    with pytest.raises(ValueError, match="got 20 channels and 4 groups"):
        ShuffleAttention(20)
