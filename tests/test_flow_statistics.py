"""Statistics of flow images against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from tests.script_modules import script

statistics = script("measuring.flow_statistics")


def test_the_regions_of_a_tight_face() -> None:
    masks = statistics.regions(28)
    rows = {name: np.flatnonzero(mask.any(1)).mean() for name, mask in masks.items()}
    assert rows["brows"] < rows["eyes"] < rows["cheeks"] < rows["mouth"]
    assert rows["eyes"] == pytest.approx(0.26 * 28, abs=1.5)
    assert rows["mouth"] == pytest.approx(0.77 * 28, abs=1.5)
    assert masks["rim"].sum() == 28**2 - 24**2
    assert max(sum(mask.astype(int) for mask in masks.values()).ravel()) == 1
    for mask in masks.values():
        assert (mask == mask[:, ::-1]).all()


def test_lengths_count_from_the_median() -> None:
    images = np.full((1, 3, 5, 5), 0.5, np.float32)
    images[0, 0, 2, 2], images[0, 1, 2, 2] = 0.8, 0.1
    found = statistics.lengths(images)
    assert found[0, 2, 2] == pytest.approx(0.5)  # 0.3, 0.4
    assert found.sum() == pytest.approx(0.5)
    one = np.zeros((5, 5), bool)
    one[2, 2:4] = True
    quantiles = statistics.length_quantiles(images, {"here": one}, (0.0, 0.5, 1.0))
    assert quantiles["here"] == pytest.approx([0, 0.25, 0.5])


def test_the_share_of_a_map_in_a_region() -> None:
    strain = np.zeros((2, 4, 4), np.float32)
    strain[0, 0, 0], strain[0, 2, 2] = 0.75, 0.25
    corner = np.zeros((4, 4), bool)
    corner[0, 0] = True
    share, none = statistics.shares(strain, corner)
    assert share == pytest.approx(0.75)
    assert np.isnan(none)


def test_contrasts_and_their_agreement() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((6, 3, 4, 4))
    labels = np.array([0, 0, 0, 1, 1, 1])
    contrasts = statistics.class_contrasts(images, labels, 2)
    assert contrasts[0] == pytest.approx(-contrasts[1])  # as many clips of each
    assert contrasts[1] == pytest.approx((images[3:].mean(0) - images[:3].mean(0)) / 2)
    assert statistics.agreement(contrasts, 2 * contrasts + 1) == pytest.approx(1)
    assert statistics.agreement(contrasts, -contrasts) == pytest.approx(-1)
    other = rng.random(contrasts.shape)
    expected = np.corrcoef(contrasts[1, 2].ravel(), other[1, 2].ravel())[0, 1]
    assert statistics.agreement(contrasts, other)[1, 2] == pytest.approx(expected)


def test_components_are_found_again() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((2 * 16, 8)))[0].T.reshape(8, 2, 16)
    axes = np.linalg.qr((axes - axes.mean(-1, keepdims=True)).reshape(8, -1).T)[0].T
    weights = np.array([9, 3, 0.1]) * np.linalg.qr(rng.standard_normal((60, 4)))[0][:, 1:]
    weights -= weights.mean(0)
    images = np.zeros((60, 3, 4, 4))
    images[:, :2] = (weights @ axes[:3]).reshape(60, 2, 4, 4) + rng.random((60, 1, 1, 1))
    found, size = statistics.components(images, 3)
    assert statistics.overlap(found, axes[:3]) == pytest.approx(1)
    assert statistics.overlap(found[:1], axes[:1]) > 0.98
    assert size.sum() == pytest.approx(1)
    assert statistics.explained(images, found[:1]) == pytest.approx(size[0])
    assert statistics.overlap(axes[:4], axes[2:6]) == pytest.approx(0.5)
    assert statistics.overlap(axes[:2], axes[2:4]) == pytest.approx(0, abs=1e-12)
