"""How far, where and how smoothly clips move, and what moves without being asked to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import structural_similarity

from mersynth.quality.motion import (
    compare_class,
    direction_histogram,
    find_motion,
    measure_motion,
    offset_return,
    roughness,
)
from mersynth.quality.outside import au_regions, measure_outside, outside_figures
from mersynth.quality.sample import NotMeasuredError
from tests.quality.stores import FOUR, TWELVE, sample_of

MOTION = {
    "flow": {"method": "dis", "preset": "medium", "finest_scale": 0},
    "grid": 4,
    "directions": 8,
    "small_size": 7,
}


def test_roughness_of_a_ramp_is_zero_and_of_a_zigzag_is_not() -> None:
    energy = np.array([[0.0, 1, 2, 3, 4], [0.0, 1, 0, 1, 0]])
    np.testing.assert_allclose(roughness(energy), [0, 2])
    np.testing.assert_allclose(offset_return(energy, np.array([2, 1])), [2, 0])


def test_directions_are_counted_by_length_and_cell() -> None:
    flow = torch.zeros(2, 8, 8)
    flow[0, :4, :4] = 2.0  # to the right, upper left quarter
    flow[1, 4:, 4:] = 1.0  # down, lower right quarter
    found = direction_histogram(flow, grid=2, bins=4).reshape(2, 2, 4)
    assert found[0, 0, 0] == pytest.approx(2 / 3)
    assert found[1, 1, 1] == pytest.approx(1 / 3)
    assert found.sum() == pytest.approx(1)


def _moving(rng: np.random.Generator, shifts: list[int], size: int = 48) -> np.ndarray:
    """One clip per shift: a textured patch on a textured face moves to the right and back."""
    face = np.kron(rng.integers(60, 200, (size // 4, size // 4, 3)), np.ones((4, 4, 1)))
    clips = []
    for shift in shifts:
        frames = []
        for step in (0, shift, 0):
            frame = face.copy()
            frame[18:30, 14 + step : 30 + step] = face[18:30, 14:30]
            frames.append(frame)
        clips.append(frames)
    return np.array(clips, np.uint8)


def test_motion_finds_the_stronger_set_and_its_return(rng: np.random.Generator) -> None:
    strong = sample_of(_moving(rng, [3, 3, 3, 3]), subjects=list("abcd"))
    weak = sample_of(_moving(rng, [0, 0, 1, 0]), subjects=list("abcd"))
    device = torch.device("cpu")
    ours, theirs = (find_motion(s, MOTION, device) for s in (strong, weak))
    found = measure_motion(strong, weak, ours, theirs, 0)
    assert found["magnitude_ratio"] < 0.2
    (row,) = found["classes"]
    assert row["wasserstein"] == pytest.approx(
        stats.wasserstein_distance(ours.magnitude, theirs.magnitude)
    )
    assert row["real_to_real"]["wasserstein"] < row["wasserstein"]
    assert found["offset_return"]["real"] == pytest.approx(0, abs=0.05)
    assert found["onset_return"]["synthetic"] is None
    same = compare_class(ours, ours, np.ones(4, bool), np.ones(4, bool))
    assert same["wasserstein"] == 0
    assert same["direction"] == pytest.approx(1)


def test_the_first_frame_is_compared_with_the_source_face(rng: np.random.Generator) -> None:
    frames = _moving(rng, [3])
    sample, device = sample_of(frames), torch.device("cpu")
    still = find_motion(sample, MOTION, device, frames[:, 0])
    moved = find_motion(sample, MOTION, device, frames[:, 1])
    assert still.at_first[0] == pytest.approx(0, abs=1e-6)
    assert moved.at_first[0] > 0.5 * moved.energy[0, 1]
    unknown = find_motion(sample, MOTION, device, np.zeros_like(frames[:, 0]))
    assert np.isnan(unknown.at_first[0])


def test_regions_lie_where_the_aus_act() -> None:
    regions = au_regions(64, 0.05)
    assert regions[FOUR][:32].sum() > 10 * max(regions[FOUR][32:].sum(), 1)
    smile = au_regions(64, 0.3)[TWELVE]  # the rest of it pulls the cheeks
    assert smile[32:].sum() > 2 * smile[:32].sum()
    assert au_regions(64, 0.5)[FOUR].sum() < regions[FOUR].sum()


def test_outside_counts_only_windows_that_touch_no_moved_pixel(rng: np.random.Generator) -> None:
    onset = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    region = np.zeros((24, 24), bool)
    region[8:12] = True
    frame = onset.copy()
    frame[8:12] = 0
    assert outside_figures(onset, frame, region) == (0, pytest.approx(1))
    frame[20] = 255 - frame[20]
    found = outside_figures(onset, frame, region)
    assert found is not None
    _, full = structural_similarity(onset, frame, channel_axis=-1, full=True, win_size=7)  # type: ignore[no-untyped-call]
    still = np.ones((24, 24), bool)
    still[5:15] = False
    gap = np.abs(onset.astype(float) - frame).mean(-1)[still].mean() / 255
    assert found == (pytest.approx(gap), pytest.approx(full.mean(-1)[still].mean()))
    assert outside_figures(onset, frame, np.ones((24, 24), bool)) is None


def test_outside_falls_back_on_the_annotation(rng: np.random.Generator) -> None:
    frames = rng.integers(0, 256, (3, 2, 32, 32, 3), dtype=np.uint8)
    settings = {"min_asked": 0.03, "region_share": 0.05}
    found = measure_outside(sample_of(frames), sample_of(frames, aus="12"), settings)
    assert found["synthetic"]["clips"] == 3
    assert found["real"] == {"clips": 0, "difference": None, "ssim": None}
    with pytest.raises(NotMeasuredError, match="what moves"):
        measure_outside(sample_of(frames), sample_of(frames), settings)
