"""Dynamic images against their definition, pair by pair."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from mersynth.motion.dynamic_image import (
    NORMALIZATIONS,
    POOLINGS,
    Normalization,
    Pooling,
    dynamic_image,
    rank_pooling_weights,
)


@pytest.mark.parametrize("length", [2, 3, 10, 41])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_is_the_sum_over_all_ordered_pairs(pooling: Pooling, length: int) -> None:
    """The gradient of the ranking loss at 0: later less earlier, of running means or frames."""
    clip = torch.rand(2, length, 3, 4, 5, dtype=torch.float64)
    ranked = [clip[:, : t + 1].mean(1) if pooling == "means" else clip[:, t] for t in range(length)]
    expected = torch.zeros_like(clip[:, 0])
    for later in range(length):
        for earlier in range(later):
            expected += ranked[later] - ranked[earlier]
    torch.testing.assert_close(dynamic_image(clip, pooling, "none"), expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_add_up_to_0(pooling: Pooling) -> None:
    assert rank_pooling_weights(200, pooling).sum().abs() < 1e-9


def test_weights_of_three_frames() -> None:
    """By hand: alpha_1 = 6 - 4 (1 + 1/2 + 1/3), alpha_2 = 4 - 4 (1/2 + 1/3), alpha_3 = 2 - 4/3."""
    expected = torch.tensor([-4 / 3, 2 / 3, 2 / 3], dtype=torch.float64)
    torch.testing.assert_close(rank_pooling_weights(3), expected)
    assert rank_pooling_weights(3, "frames").tolist() == [-2, 0, 2]


def test_normalizations() -> None:
    assert get_args(Normalization) == NORMALIZATIONS
    clip = torch.rand(3, 7, 3, 8, 8)
    raw = dynamic_image(clip, normalization="none")
    for item in range(3):  # each clip by itself
        low, high = raw[item].min(), raw[item].max()
        expected = (raw[item] - low) / (high - low)
        torch.testing.assert_close(dynamic_image(clip)[item], expected)
        symmetric = dynamic_image(clip, normalization="symmetric")[item]
        torch.testing.assert_close(symmetric, 0.5 + raw[item] / (2 * raw[item].abs().max()))
    by_channel = dynamic_image(clip, normalization="channel_minmax")
    assert torch.equal(by_channel.amin((2, 3)), torch.zeros(3, 3))
    assert torch.equal(by_channel.amax((2, 3)), torch.ones(3, 3))


def test_shows_where_and_which_way_it_moved() -> None:
    """A bright square that moves right leaves dark behind it and bright where it is."""
    clip = torch.full((1, 8, 1, 16, 16), 0.5)
    for t in range(8):
        clip[0, t, 0, 6:10, t : t + 4] = 1.0
    image = dynamic_image(clip, normalization="symmetric")[0, 0]
    assert torch.all(image[:6] == 0.5)
    assert torch.all(image[10:] == 0.5)
    assert torch.all(image[6:10, 0] < 0.5)
    assert torch.all(image[6:10, 10] > 0.5)


def test_a_still_clip_has_a_dynamic_image_of_0_and_nothing_to_normalize() -> None:
    moving = torch.rand(1, 9, 3, 4, 4)
    still = torch.rand(1, 1, 3, 4, 4).expand(-1, 9, -1, -1, -1)
    clips = torch.cat([moving, still])
    assert torch.all(dynamic_image(clips, normalization="none")[1] == 0)
    for normalization in NORMALIZATIONS[:3]:
        with pytest.raises(ValueError, match=r"clip \[1\] of the batch is flat"):
            dynamic_image(clips, normalization=normalization)


@pytest.mark.parametrize(
    ("clip", "options", "message"),
    [
        (torch.rand(1, 1, 3, 4, 4), {}, "2 frames or more, got 1"),
        (torch.rand(5, 3, 4, 4), {}, r"got \(5, 3, 4, 4\)"),
        (torch.zeros(1, 5, 3, 4, 4, dtype=torch.uint8), {}, "divide uint8 by 255"),
        (torch.rand(1, 5, 3, 4, 4), {"pooling": "max"}, "means, frames, got 'max'"),
        (torch.rand(1, 5, 3, 4, 4), {"normalization": "l2"}, "symmetric, none, got 'l2'"),
    ],
)
def test_refuses(clip: torch.Tensor, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dynamic_image(clip, **options)  # type: ignore[arg-type]
