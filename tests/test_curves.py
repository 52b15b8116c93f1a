"""AU curves from annotations and measurements."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mersynth.curves import (
    ConditionSettings,
    clip_curve,
    early_movement,
    expression_course,
    jitter,
    movement,
    prototype_curve,
    resample,
)
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.store.clip_store import StoredClip
from tests.tiny_store import tiny_clips

SETTINGS = ConditionSettings()
COLUMN = {au: i for i, au in enumerate(CONDITION_AUS)}


def stored(aus: str, intensities: np.ndarray | None = None, **changes: object) -> StoredClip:
    clip = dataclasses.replace(tiny_clips(num_frames=9)[0], aus=aus, **changes)
    if intensities is None:
        intensities = np.full((9, 20, 2), np.nan, np.float32)
    return StoredClip(clip, np.zeros((9, 8, 8, 3), np.uint8), intensities, np.zeros((9, 68, 2)))


def test_course_rises_to_the_apex_and_returns() -> None:
    course = expression_course(11, apex=3)
    assert course.argmax() == 3
    assert course[3] == pytest.approx(1)
    assert course[0] == course[-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(course[:4]) > 0).all()
    assert (np.diff(course[3:]) < 0).all()
    assert expression_course(5, apex=4).argmax() == 4
    assert expression_course(5, apex=0).argmax() == 0
    assert expression_course(1, apex=0).tolist() == [1]


def test_annotation_gives_the_curve_where_nothing_was_measured() -> None:
    curve = clip_curve(stored("4+12B"), SETTINGS)
    assert curve.shape == (9, 20, 2)
    gain = SETTINGS.micro_gain
    assert curve[:, COLUMN[4]].max() == pytest.approx(gain * SETTINGS.unlettered)
    assert curve[:, COLUMN[12]].max() == pytest.approx(gain * 0.4)
    assert curve.sum(axis=(1, 2)).argmax() == 4  # the clip's apex
    others = [i for au, i in COLUMN.items() if au not in (4, 12)]
    assert (curve[:, others] == 0).all()


def test_an_annotated_side_is_asked_for_alone() -> None:
    curve = clip_curve(stored("L14B+R2"), SETTINGS)
    peaks = curve.max(axis=0)
    assert peaks[COLUMN[14]].tolist() == pytest.approx([SETTINGS.micro_gain * 0.4, 0])
    assert peaks[COLUMN[2]].tolist() == pytest.approx(
        [0, SETTINGS.micro_gain * SETTINGS.unlettered]
    )


def test_jitter_varies_both_sides_of_an_au_alike() -> None:
    curve = clip_curve(stored("L14+12"), SETTINGS)
    drawn = jitter(curve, np.random.default_rng(0), SETTINGS)
    assert drawn[:, COLUMN[14], 0].max() > 0.1
    assert not drawn[:, COLUMN[14], 1].any()
    np.testing.assert_array_equal(drawn[:, COLUMN[12], 0], drawn[:, COLUMN[12], 1])
    assert not np.allclose(drawn, curve)


def test_macro_annotation_is_not_weakened() -> None:
    assert clip_curve(stored("12E", strength="macro"), SETTINGS).max() == pytest.approx(1)


def test_apex_on_the_onset_still_moves() -> None:
    curve = clip_curve(stored("R2+15", apex=10), SETTINGS)
    assert curve.sum(axis=(1, 2)).argmax() == 4
    assert movement(curve).max() > 0


def test_gaps_in_a_measurement_are_interpolated() -> None:
    measured = np.zeros((9, 20, 2), np.float32)
    measured[:, 0, 1] = np.linspace(0, 0.8, 9)
    measured[:, 1] = np.nan
    whole = measured.copy()
    measured[[0, 4], 0, 1] = np.nan
    curve = clip_curve(stored("?", measured), SETTINGS)
    np.testing.assert_allclose(curve[1:, 0], whole[1:, 0], atol=1e-6)
    assert curve[0, 0].tolist() == pytest.approx([0, 0.1])
    assert np.isnan(curve[:, 1]).all()


def test_unknown_apex_is_the_middle_and_unknown_aus_are_nan() -> None:
    assert clip_curve(stored("4", apex=None), SETTINGS).sum(axis=(1, 2)).argmax() == 4
    assert np.isnan(clip_curve(stored("?"), SETTINGS)).all()


def test_measured_intensities_come_first() -> None:
    measured = np.full((9, 20, 2), 0.3, np.float32)
    np.testing.assert_array_equal(clip_curve(stored("4", measured), SETTINGS), measured)


def test_an_au_that_the_tool_does_not_give_is_taken_from_the_annotation() -> None:
    """OpenFace gives no AU 24, LibreFace no AU 14."""
    measured = np.full((9, 20, 2), 0.3, np.float32)
    measured[:, [COLUMN[14], COLUMN[24], COLUMN[11]]] = np.nan
    curve = clip_curve(stored("4+L14+24B", measured), SETTINGS)
    annotated = clip_curve(stored("4+L14+24B"), SETTINGS)
    for au in (14, 24):
        np.testing.assert_array_equal(curve[:, COLUMN[au]], annotated[:, COLUMN[au]])
    assert annotated[:, COLUMN[24]].max() == pytest.approx(0.4 * SETTINGS.micro_gain)
    np.testing.assert_array_equal(curve[:, COLUMN[4]], measured[:, COLUMN[4]])
    assert not curve[:, COLUMN[11]].any()  # the coder did not see it


def test_what_was_measured_without_sides_moves_on_the_annotated_one() -> None:
    course = np.linspace(0.2, 0.8, 9, dtype=np.float32)
    measured = np.zeros((9, 20, 2), np.float32)
    measured[:, COLUMN[14]] = measured[:, COLUMN[2]] = measured[:, COLUMN[25]] = course[:, None]
    measured[:, COLUMN[12], 0] = course  # a reader of sides: nothing is changed
    curve = clip_curve(stored("L14+A/R2+L25+R12", measured), SETTINGS)
    np.testing.assert_array_equal(curve[:, COLUMN[14], 0], course)
    np.testing.assert_allclose(curve[:, COLUMN[14], 1], 0.2, rtol=1e-6)
    np.testing.assert_allclose(curve[:, COLUMN[2], 0], (course + 0.2) / 2, rtol=1e-6)
    np.testing.assert_array_equal(curve[:, COLUMN[25]], measured[:, COLUMN[25]])
    np.testing.assert_array_equal(curve[:, COLUMN[12]], measured[:, COLUMN[12]])
    both = clip_curve(stored("L14B+R14D", measured), SETTINGS)
    np.testing.assert_array_equal(both, measured)


def test_resample_keeps_ends_and_straight_lines() -> None:
    line = np.linspace(0, 1, 7)[:, None] * np.array([[1.0, 2.0]])
    for frames in (3, 7, 16):
        expected = np.linspace(0, 1, frames)[:, None] * np.array([[1.0, 2.0]])
        np.testing.assert_allclose(resample(line, frames), expected, atol=1e-6)


def test_movement_is_what_the_first_frame_lacks() -> None:
    curve = np.array([[0.2, 0.5, np.nan], [0.6, 0.1, np.nan]], np.float32)
    np.testing.assert_allclose(movement(curve), [[0, 0, 0], [0.4, 0, 0]], atol=1e-6)


def test_jitter_varies_within_its_bounds() -> None:
    curve = resample(clip_curve(stored("4+7"), SETTINGS), 16)
    drawn = [jitter(curve, np.random.default_rng(i), SETTINGS) for i in range(50)]
    resting = [i for au, i in COLUMN.items() if au not in (4, 7)]
    for one in drawn:
        assert one.shape == curve.shape
        assert one.min() >= 0
        assert one.max() <= 1
        assert (one[:, resting] == 0).all()
        assert abs(one.sum(axis=(1, 2)).argmax() - 8) <= 4
    peaks = np.array([one.max() for one in drawn]) / curve.max()
    assert 0.6 < peaks.min() < 0.9
    assert 1.1 < peaks.max() < 1.5
    np.testing.assert_array_equal(jitter(curve, np.random.default_rng(3), SETTINGS), drawn[3])


def test_prototype_curve() -> None:
    curve = prototype_curve("1+2+5", 16, np.random.default_rng(0), SETTINGS)
    shown = curve.max(axis=0)
    assert (shown[:, 0] > 0).nonzero()[0].tolist() == [COLUMN[1], COLUMN[2], COLUMN[5]]
    np.testing.assert_array_equal(shown[:, 0], shown[:, 1])
    assert 5 <= curve.sum(axis=(1, 2)).argmax() <= 9


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"conditions.micro_gain must lie in \[0, 1\], got 3"):
        ConditionSettings(micro_gain=3)


@pytest.mark.parametrize("share", [0.2, 0.42, 1.0])
def test_early_movement_turns_back_where_a_share_of_the_peak_is_reached(share: float) -> None:
    curve = clip_curve(stored("L12C+4A", strength="macro"), SETTINGS)
    early, frames = early_movement(curve, share)
    assert early.shape == (17, 20, 2)
    assert early.argmax(axis=0)[COLUMN[12]].tolist() == [8, 0]
    # Between frames a curve is a line, so that it passes the share exactly.
    np.testing.assert_allclose(early[8], share * curve[4], atol=1e-6)
    np.testing.assert_allclose(early, early[::-1], atol=1e-6)
    steps = np.diff(early[:9, COLUMN[12], 0])
    assert (steps > 0).all()
    # The rise of a cosine, as the annotation's course, up to the share, and back; frames 0..turn.
    turn = 4 * np.arccos(1 - 2 * share) / np.pi
    assert frames == pytest.approx(2 * turn + 1, abs=0.15)


def test_early_movement_of_what_does_not_move_is_still() -> None:
    early, frames = early_movement(np.zeros((5, 20, 2), np.float32), 0.4)
    assert not early.any()
    assert frames == 1
