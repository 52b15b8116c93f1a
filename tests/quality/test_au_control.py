"""AU control and cross-talk against scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.quality.au_control import control_rows, cross_talk, measure_control, off_diagonal
from mersynth.quality.one_sided import one_sidedness
from mersynth.quality.reader import Reader
from mersynth.quality.sample import NotMeasuredError
from tests.quality.stores import FOUR, TWELVE, sample_of

CONTROL = {"min_asked": 0.1, "min_clips": 2, "idle": 0.03, "min_readable": 0.5}


def _curves(rng: np.random.Generator, clips: int = 8, moments: int = 6) -> np.ndarray:
    moved = np.zeros((clips, moments, 20, 2), np.float32)
    moved[:, 1:, TWELVE] = rng.uniform(0.1, 0.6, (clips, moments - 1, 1))
    return moved


def test_control_is_scipys_correlation_slope_and_rank_correlation(
    rng: np.random.Generator,
) -> None:
    moved = _curves(rng)
    read = 0.4 * moved + rng.normal(0, 0.03, moved.shape).astype(np.float32)
    moved[0, :, TWELVE] = 0.05  # this clip does not ask for it
    row = control_rows(moved, read, 0.1, 2)[TWELVE]
    asked, got = moved[1:, :, TWELVE], read[1:, :, TWELVE]
    line = stats.linregress(asked.ravel(), got.ravel())
    assert row["clips"] == 7
    assert row["correlation"] == pytest.approx(line.rvalue, abs=1e-5)
    assert row["gain"] == pytest.approx(line.slope, abs=1e-5)
    assert row["error"] == pytest.approx(np.abs(asked - got).mean(), abs=1e-6)
    ranks = [
        stats.spearmanr(asked[clip, :, side], got[clip, :, side]).statistic
        for clip in range(7)
        for side in range(2)
    ]
    assert row["monotonicity"] == pytest.approx(np.mean(ranks))


def test_a_side_that_was_not_asked_for_counts_in_all_but_the_rank_correlation(
    rng: np.random.Generator,
) -> None:
    moved = _curves(rng)
    read = moved.copy()  # on both sides what was asked for on one
    moved[..., 1] = 0
    row = control_rows(moved, read, 0.1, 2)[TWELVE]
    asked, got = moved[:, :, TWELVE], read[:, :, TWELVE]
    assert row["error"] == pytest.approx(got[..., 1].mean() / 2)
    assert row["correlation"] == pytest.approx(np.corrcoef(asked.ravel(), got.ravel())[0, 1])
    assert row["monotonicity"] == 1


def test_one_sidedness_is_the_share_on_the_asked_side() -> None:
    asked, read = np.zeros((5, 20, 2)), np.zeros((5, 20, 2))
    asked[:2, TWELVE] = [0.4, 0.02]  # left alone
    asked[2, TWELVE] = [0, 0.3]  # right alone
    asked[3, TWELVE] = [0.4, 0.2]  # both, one more
    asked[4, TWELVE] = np.nan
    read[:4, TWELVE] = [[0.3, 0.1], [0.2, -0.5], [0.1, 0.3], [0, 1]]
    found = one_sidedness(asked, read, 0.1, 0.03, 3)
    assert found["clips"] == 3
    assert found["share"] == pytest.approx((0.3 + 0.2 + 0.3) / (0.3 + 0.1 + 0.2 + 0.1 + 0.3))
    assert one_sidedness(asked, read, 0.1, 0.03, 4) == {"clips": 3, "share": None}
    assert one_sidedness(asked, -np.abs(read), 0.1, 0.03, 3)["share"] is None


def test_an_au_that_few_clips_ask_for_has_no_figures(rng: np.random.Generator) -> None:
    rows = control_rows(_curves(rng, clips=3), _curves(rng, clips=3), 0.1, 4)
    assert rows[TWELVE] == {
        "au": 12, "clips": 3, "correlation": None, "error": None, "gain": None,
        "monotonicity": None,
    }  # fmt: skip


def test_readings_that_never_change_obey_nothing(rng: np.random.Generator) -> None:
    row = control_rows(_curves(rng), np.zeros((8, 6, 20, 2), np.float32), 0.1, 2)[TWELVE]
    assert (row["correlation"], row["gain"], row["monotonicity"]) == (0, 0, 0)


def test_cross_talk_is_the_mean_over_clips_that_do_not_ask_for_the_column() -> None:
    asked, read = np.zeros((4, 20, 2)), np.zeros((4, 20, 2))
    asked[:3, TWELVE] = 0.4
    asked[0, TWELVE, 1] = 0  # so that its right side does not count in the row
    asked[2, FOUR] = 0.3  # asks for AU 4 itself, so that it does not count in its column
    read[:, FOUR] = [[0.1, 0.9], [0.2, 0.3], [0.9, 0.9], [0.9, 0.9]]
    read[:3, TWELVE] = 0.25
    matrix = cross_talk(asked, read, 0.1, 0.03, 2)
    assert matrix[TWELVE][FOUR] == pytest.approx(0.2)
    assert matrix[TWELVE][TWELVE] == pytest.approx(0.25)
    assert matrix[FOUR][TWELVE] is None  # one clip asks for AU 4, two are needed
    only = np.isin(CONDITION_AUS, (4, 12))
    assert off_diagonal(matrix, only) == pytest.approx(0.2)
    beside = [[None] * 20 for _ in range(20)]
    assert off_diagonal(matrix, only, beside) is None
    beside[TWELVE][FOUR] = 0.0
    assert off_diagonal(matrix, only, beside) == pytest.approx(0.2)


def test_an_au_asked_for_elsewhere_in_the_clip_is_not_cross_talk() -> None:
    asked, read = np.zeros((2, 20, 1)), np.zeros((2, 20, 1))
    asked[:, TWELVE] = 0.4
    read[:, FOUR] = 0.5
    over_clip = asked.copy()
    over_clip[:, FOUR] = 0.2
    assert cross_talk(asked, read, 0.1, 0.03, 1)[TWELVE][FOUR] == pytest.approx(0.5)
    assert cross_talk(asked, read, 0.1, 0.03, 1, over_clip)[TWELVE][FOUR] is None


def test_an_au_that_the_reader_cannot_read_is_reported_and_not_averaged_in(
    rng: np.random.Generator,
) -> None:
    moved = _curves(rng)
    moved[:, :, FOUR] = moved[:, :, TWELVE]
    frames = np.zeros((8, 6, 16, 16, 3), np.uint8)
    sample = sample_of(frames, moved, subjects=list("aabbccdd"))
    noise = rng.uniform(0, 0.5, (8, 6, 2)).astype(np.float32)

    def read(images: np.ndarray) -> np.ndarray:
        found = 0.5 * moved[: len(images)]
        found[:, :, FOUR] = noise[: len(images)]
        return found

    found = measure_control(sample, sample, Reader("r", "h", read, frozenset(["samm/d"])), CONTROL)
    four, twelve = found["aus"][FOUR], found["aus"][TWELVE]
    assert found["measured_aus"] == [12]
    assert 4 in found["unreadable_aus"]
    assert "below 0.5" in four["reason"]
    assert twelve["reason"] is None
    # Clips of d, whom the reader was trained on, do not count.
    assert twelve["reader"]["clips"] == 6
    assert found["mean"]["correlation"] == pytest.approx(1, abs=1e-5)
    assert found["mean"]["gain"] == pytest.approx(0.5, abs=1e-5)
    asked = moved[np.arange(8), 1, TWELVE, 0]
    columns = [i for i, row in enumerate(found["aus"]) if row["readable"]]
    assert columns == [TWELVE]
    np.testing.assert_allclose(found["per_clip"]["error"], 0.5 * asked, atol=1e-6)


def test_one_sided_clips_are_measured_beside_the_readers_own(rng: np.random.Generator) -> None:
    moved = _curves(rng)
    moved[:4, ..., 0] = moved[4:, ..., 1] = 0
    sample = sample_of(np.zeros((8, 6, 16, 16, 3), np.uint8), moved)
    reader = Reader("r", "h", lambda frames: moved)
    found = measure_control(sample, sample, reader, CONTROL)["one_sided"]
    assert found["synthetic"] == found["reader"] == found["aus"]["12"] == {"clips": 8, "share": 1}
    both = sample_of(sample.frames, np.maximum(moved, moved[..., ::-1]))
    assert (
        "fewer than 2 clips ask"
        in measure_control(both, both, reader, CONTROL)["one_sided"]["reason"]
    )


def test_a_reader_without_sides_is_asked_for_the_stronger_one(rng: np.random.Generator) -> None:
    moved = _curves(rng)
    sided = moved.copy()
    sided[..., 1] = 0
    sample = sample_of(np.zeros((8, 6, 16, 16, 3), np.uint8), sided)
    reader = Reader("r", "h", lambda frames: moved, sides=False)
    found = measure_control(sample, sample, reader, CONTROL)
    assert found["aus"][TWELVE]["correlation"] == pytest.approx(1)
    assert found["aus"][TWELVE]["error"] == 0
    assert "does not distinguish the sides" in found["one_sided"]["reason"]


def test_control_is_undefined_if_nothing_is_asked_for() -> None:
    sample = sample_of(np.zeros((2, 3, 16, 16, 3), np.uint8))
    with pytest.raises(NotMeasuredError, match="no AU intensities"):
        measure_control(sample, sample, Reader("r", "h", lambda f: f), CONTROL)
