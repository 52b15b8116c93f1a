"""The picture of motions before and after EMR."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mersynth.augment.motion_histogram import motion_histogram


def test_histogram_shows_both_strengths_and_the_target() -> None:
    before = torch.tensor([0.5, 0.6, 3.0, 3.2])
    after = torch.full((4,), 1.5)
    macro = torch.tensor([False, False, True, True])
    image = motion_histogram(before, after, macro, target=1.5)
    top, bottom = np.split(np.asarray(image).astype(int), 2)
    blue = (top[..., 2] > top[..., 0] + 60)[50:]  # below the words
    orange = (top[..., 0] > top[..., 2] + 60)[50:]
    assert blue.any()
    assert orange.any()
    assert blue.any(0).nonzero()[0].max() < orange.any(0).nonzero()[0].min()
    mixed = (np.abs(bottom - 255).sum(-1) > 60)[60:-40]  # one column of bars after
    assert np.ptp(mixed[:100].any(0).nonzero()[0]) < 40
    plain = np.asarray(motion_histogram(before, after, macro))
    assert (plain != np.asarray(image)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": torch.zeros(3)}, "before and macro must both be"),
        ({"after": torch.tensor([1.0, torch.nan])}, "after must be finite"),
        ({"macro": torch.zeros(0), "before": torch.zeros(0)}, "B of 1 or more"),
    ],
)
def test_bad_motions_are_named(change: Any, message: str) -> None:
    given = {"before": torch.ones(2), "after": torch.ones(2), "macro": torch.tensor([True, False])}
    with pytest.raises(ValueError, match=message):
        motion_histogram(**{**given, **change})
