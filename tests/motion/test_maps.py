"""Scale and cut of maps of motion, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mersynth.face.template import HEAD, TEMPLATE, TIGHT
from mersynth.motion.maps import cut, scale_of, scaled


def test_each_channel_of_each_clip_is_stretched_by_itself() -> None:
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[0, 0, 0] = [-1, 1, 3, 7]
    images[1, 2, 0, 0] = 5
    stretched = scaled(images, "minmax")
    assert stretched[0, 0, 0].tolist() == [0, 0.25, 0.5, 1]
    assert stretched[0, 0, 1, 0] == 0.125  # what was 0
    assert stretched[1, 2].max() == 1
    assert stretched[1, 2].sum() == 1
    assert not stretched[0, 1:].any()  # one value: no range


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 4, 2, 8, 8)])
def test_each_scale_is_told_from_its_values(shape: tuple[int, ...]) -> None:
    maps = np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)
    assert scale_of(maps) == "none"
    assert np.array_equal(scaled(maps, "none"), maps)
    for scale in ("minmax", "standardise"):
        found = scaled(maps, scale)
        assert scale_of(found) == scale
        assert found.dtype == np.float32
    # Sequences are scaled as a whole: a frame keeps its share of the clip's range.
    axes = (1, 3, 4) if len(shape) == 5 else (2, 3)
    np.testing.assert_allclose(scaled(maps, "standardise").mean(axes), 0, atol=1e-6)
    np.testing.assert_allclose(scaled(maps, "standardise").std(axes), 1, atol=1e-5)
    # What a stretch removes does not matter to the other scale.
    again = scaled(scaled(maps, "minmax"), "standardise")
    np.testing.assert_allclose(again, scaled(maps, "standardise"), atol=1e-4)


def test_a_cut_shows_what_the_other_framing_does() -> None:
    y, x = np.mgrid[:1000, :1000] / 1000
    shown = cut(np.stack([x, y]), HEAD, TIGHT)
    # A landmark of the whole head lies in the cut where the tight framing has it.
    height, width = shown.shape[1:]
    for head, tight in zip(HEAD.place(TEMPLATE[[36, 45, 48]]), TIGHT.place(TEMPLATE[[36, 45, 48]]),
                           strict=True):  # fmt: skip
        at = shown[:, int(tight[1] * height), int(tight[0] * width)]
        np.testing.assert_allclose(at, head, atol=0.003)
    assert cut(np.zeros((5, 5)), TIGHT, TIGHT).shape == (5, 5)
    with pytest.raises(ValueError, match="do not show all that framing head"):
        cut(np.zeros((50, 50)), TIGHT, HEAD)
