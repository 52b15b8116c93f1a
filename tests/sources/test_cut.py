"""Tests of cutting frames to a store's square."""

from __future__ import annotations

import numpy as np

from mersynth.sources.cut import Cut


def test_shrinking_averages_areas() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    squeezed = Cut.whole(48, 32, image_size=8).apply(frame)
    mean = frame.reshape(8, 4, 8, 6, 3).mean((1, 3))
    np.testing.assert_allclose(squeezed, mean, atol=0.51)
    cut = Cut.centre(48, 32, image_size=8).apply(frame)
    mean = frame[:, 8:40].reshape(8, 4, 8, 4, 3).mean((1, 3))
    np.testing.assert_allclose(cut, mean, atol=0.51)


def test_points_follow_the_pixels() -> None:
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[20:24, 30:36] = 255  # centred on (32.5, 21.5)
    points = np.array([[32.5, 21.5], [np.nan, 3.0]])
    for cut in (Cut.whole(60, 40, image_size=20), Cut.centre(60, 40, image_size=20)):
        weight = cut.apply(frame)[..., 0].astype(float)
        rows, columns = np.mgrid[:20, :20]
        centre = [(weight * columns).sum(), (weight * rows).sum()] / weight.sum()
        moved = cut.apply_points(points)
        np.testing.assert_allclose(moved[0], centre, atol=0.02)
        assert np.isnan(moved[1, 0])
