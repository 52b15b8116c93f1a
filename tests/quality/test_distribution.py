"""KID, FID, neighbourhoods and copies against their definitions, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from mersynth.quality.distribution import fid, kid, measure_distribution
from mersynth.quality.neighbours import copying, prdc
from mersynth.quality.sample import NotMeasuredError


def test_kid_is_the_unbiased_cubic_mmd(rng: np.random.Generator) -> None:
    a, b = rng.normal(0, 1, (30, 5)), rng.normal(0.4, 1, (30, 5))

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / 5 + 1) ** 3

    within = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (30 * 29) for x in (a, b)]
    expected = sum(within) - 2 * kernel(a, b).mean()
    assert kid(a, b, 30, 4, 0)[0] == pytest.approx(expected, abs=1e-9)
    assert kid(a, b, 30, 4, 0)[1] == pytest.approx(0, abs=1e-9)  # a subset is the whole set


def test_kid_draws_by_its_seed_and_leaves_the_global_state_alone(rng: np.random.Generator) -> None:
    a, b = rng.normal(0, 1, (40, 5)), rng.normal(0, 1, (40, 5))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert kid(a, b, 10, 5, 1) == kid(a, b, 10, 5, 1) != kid(a, b, 10, 5, 2)
    assert torch.equal(torch.rand(2), expected)


def test_fid_is_the_distance_of_two_gaussians(rng: np.random.Generator) -> None:
    a, b = rng.normal(0, 1, (200, 4)), rng.normal(0.5, 2, (200, 4))
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(one @ two).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + two - 2 * root)
    assert fid(a, b) == pytest.approx(expected, rel=1e-4)


def test_precision_recall_density_coverage_by_hand(rng: np.random.Generator) -> None:
    real, other, k = rng.normal(0, 1, (25, 3)), rng.normal(0.8, 0.7, (20, 3)), 3
    found = prdc(real, other, k)

    def radius(rows: np.ndarray, i: int) -> float:
        return sorted(math.dist(rows[i], row) for j, row in enumerate(rows) if j != i)[k - 1]

    hits = np.array(
        [[math.dist(r, o) <= radius(real, i) for o in other] for i, r in enumerate(real)]
    )
    back = [any(math.dist(r, o) <= radius(other, j) for j, o in enumerate(other)) for r in real]
    assert found["precision"] == pytest.approx(hits.any(0).mean())
    assert found["recall"] == pytest.approx(np.mean(back))
    assert found["density"] == pytest.approx(hits.sum() / (k * len(other)))
    assert found["coverage"] == pytest.approx(hits.any(1).mean())
    assert 0 < found["coverage"] < 1  # the case is not trivial


def test_copies_are_nearer_than_real_clips_are(rng: np.random.Generator) -> None:
    real = rng.normal(0, 1, (20, 6))
    onsets = real + rng.normal(0, 0.3, real.shape)
    subjects = np.repeat(["a", "b"], 10)
    none = np.full(5, -1)
    copies = copying(real[:5], real, onsets, subjects, none, 0.05)
    assert copies["share_near"] == 1
    assert copies["median"] == pytest.approx(0)
    # Each shows the face of the clip that it copies, so other clips are compared.
    allowed = copying(real[:5], real, onsets, subjects, np.arange(5), 0.05)
    expected = [
        min(math.dist(real[i], row) for j in range(20) if j != i for row in (real[j], onsets[j]))
        for i in range(5)
    ]
    np.testing.assert_allclose(allowed["per_clip"], expected)
    bank = (real, onsets)
    within = [
        min(
            math.dist(real[i], rows[j])
            for rows in bank
            for j in range(20)
            if j != i and subjects[j] == subjects[i]
        )
        for i in range(20)
    ]
    assert copies["real_other_clip"] == pytest.approx(np.median(within))
    assert copies["limit"] == pytest.approx(np.quantile(within, 0.05))
    alone = copying(real[:5], real, onsets, np.arange(20).astype(str), none, 0.05)
    assert alone["reference"] == "other_subjects"
    assert alone["real_other_clip"] is None


def test_a_shifted_set_is_further_from_real_than_real_from_real(rng: np.random.Generator) -> None:
    real = rng.normal(0, 1, (60, 4))
    options = {
        "subset": 20, "subsets": 5, "splits": 3, "neighbours": 3, "copy_quantile": 0.05,
        "min_clips": 5,
    }  # fmt: skip
    subjects = np.repeat(list("abcdef"), 10)
    shifted = rng.normal(1.5, 1, (40, 4))
    found = measure_distribution(real, real, shifted, subjects, np.full(40, -1), options, 0)
    assert found["kid"]["synthetic"] > 5 * abs(found["kid"]["real_to_real_by_clip"])
    assert found["fid"]["synthetic"] > 2 * found["fid"]["real_to_real_by_clip"]
    assert found["prdc"]["coverage"] < found["prdc_real_to_real"]["coverage"]
    assert found["fid"]["rows"] == 30
    with pytest.raises(NotMeasuredError, match="7 real and 40 synthetic clips are too few"):
        measure_distribution(real[:7], real[:7], shifted, subjects[:7], np.full(40, -1), options, 0)
