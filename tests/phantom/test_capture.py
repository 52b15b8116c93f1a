"""What phantom clips show besides their expression: as often and as strong as published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mersynth import config
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.capture import LAB, PLAIN_CAPTURE, STILL, Capture
from mersynth.phantom.motion import ClipMotion, clip_motion

FPS = 50.0
MINUTE = int(60 * FPS)
REST = np.zeros((len(CONDITION_AUS), 2))
MOUTH = [CONDITION_AUS.index(au) for au in (17, 23, 24, 25, 28)]


def minutes(capture: Capture, count: int = 60, length: int = MINUTE) -> list[ClipMotion]:
    """Recordings of a face at rest."""
    rngs = (np.random.default_rng(seed) for seed in range(count))
    return [clip_motion(REST, length, length // 2, FPS, rng, capture) for rng in rngs]


def runs(values: np.ndarray) -> list[np.ndarray]:
    """The intervals in which a curve is above 0."""
    above = np.concatenate([[False], values > 0, [False]])
    starts, ends = np.flatnonzero(np.diff(above.astype(int))).reshape(-1, 2).T
    return [values[a:b] for a, b in zip(starts, ends, strict=True)]


def test_the_configs_are_the_named_captures() -> None:
    assert Capture.of(_config("capture")) == LAB
    assert Capture.of(_config("capture", "capture=plain")) == PLAIN_CAPTURE
    assert Capture.of(_config("capture", "capture=still")) == STILL
    assert Capture.of(LAB.as_dict()) == LAB


def _config(group: str, *overrides: str) -> dict[str, object]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config.load("phantom", overrides)[group])  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blinks": -1.0}, r"capture\.blinks must lie in 0\.\.120, got -1\.0"),
        ({"flicker": True}, r"capture\.flicker must lie in 0\.\.0\.2, got True"),
        (
            {"blink_seconds": [0.4, 0.1]},
            r"capture\.blink_seconds must be two numbers \[LOW,HIGH\] within \[0\.05,1\], the "
            r"lower first, got \[0\.4, 0\.1\]",
        ),
        ({"head_hz": 3.0}, r"capture\.head_hz must be two numbers .* got 3\.0"),
    ],
)
def test_impossible_numbers_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Capture.of(values)


def test_blinks_come_as_often_and_last_as_long_as_people_s() -> None:
    """17 a minute at rest (Bentivoglio 1997), half of them partial (Ousler 2014)."""
    blinks = [run for motion in minutes(LAB, 100) for run in runs(motion.blink)]
    assert len(blinks) / 100 == pytest.approx(17, rel=0.15)
    seconds = np.array([len(run) for run in blinks]) / FPS
    assert np.quantile(seconds, 0.01) >= 0.1 - 2 / FPS
    assert np.quantile(seconds, 0.95) <= 0.4 + 2 / FPS  # longer ones are two that touch
    whole = np.mean([run.max() > 0.95 for run in blinks])
    assert 0.35 < whole < 0.6  # between two frames some are missed
    rises = np.array([run.argmax() / len(run) for run in blinks if len(run) > 12])
    assert 0.25 < np.median(rises) < 0.5  # lids close faster than they open


def test_a_blink_is_recorded_as_au_43() -> None:
    motion = minutes(LAB, 1)[0]
    row = CONDITION_AUS.index(43)
    shown = np.maximum(motion.aus[:, row], motion.blink[:, None])
    np.testing.assert_allclose(motion.intensities[:, row], shown, rtol=1e-6)
    assert motion.blink.max() > 0.2


def test_heads_sway_less_than_those_of_seated_people() -> None:
    """At most 1.1, 1.0 and 1.4 degrees of roll, yaw and pitch; here by a share of that."""
    motions = minutes(LAB, 80)
    turns = np.rad2deg(np.stack([motion.pose[:, 2:] for motion in motions]))
    spread = turns.std(1)  # (clips, 3)
    most = np.array([LAB.head_roll, LAB.head_yaw, LAB.head_pitch])
    low, high = LAB.head_share
    squares = (high**3 - low**3) / (3 * (high - low))  # mean square of a uniform share
    np.testing.assert_allclose(np.sqrt((spread**2).mean(0)) / most, np.sqrt(squares), rtol=0.2)
    place = 20 * np.stack([motion.pose[:, :2] for motion in motions])  # cm
    speed = np.linalg.norm(np.diff(place, axis=1), axis=2).mean() * FPS
    assert 0.05 < speed < 0.61  # cm a second; standing people's is 0.61


def test_sides_differ_by_as_much_as_asked_where_an_au_has_sides() -> None:
    uneven = replace(STILL, uneven=0.35)
    peaks = REST.copy()
    rows = [CONDITION_AUS.index(au) for au in (12, 25, 14)]
    peaks[rows] = [[0.3, 0.3], [0.3, 0.3], [0.3, 0.0]]
    clips = [clip_motion(peaks, 9, 4, FPS, np.random.default_rng(s), uneven) for s in range(300)]
    smile, lips, dimple = np.stack([clip.aus[:, rows].max(0) for clip in clips]).transpose(1, 0, 2)
    ratio = np.log(smile[:, 0] / smile[:, 1])
    assert ratio.std() == pytest.approx(0.35, rel=0.15)
    assert abs(ratio.mean()) < 0.06
    assert np.median(smile.prod(1)) == pytest.approx(0.09, rel=0.01)  # as strong together
    np.testing.assert_array_equal(lips[:, 0], lips[:, 1])
    assert not dimple[:, 1].any()


def test_mouths_are_restless_and_chins_swallow() -> None:
    quiet = replace(STILL, swallows=1.0)
    swallows = [runs(m.aus[:, MOUTH].max((1, 2))) for m in minutes(quiet, 100)]
    assert sum(map(len, swallows)) / 100 == pytest.approx(1.0, rel=0.35)
    assert 0.6 < np.mean([len(run) / FPS for found in swallows for run in found]) < 1.6
    motions = minutes(replace(STILL, mouth_moves=4.0), 100)
    strongest = max(m.aus.max() for m in motions)
    assert 0.2 < strongest <= 0.25
    assert not np.stack([np.delete(m.aus, MOUTH, 1) for m in motions]).any()
    assert np.array_equal(motions[0].intensities, motions[0].aus.astype(np.float32))


def test_a_still_capture_shows_the_expression_alone() -> None:
    peaks = REST.copy()
    peaks[CONDITION_AUS.index(12)] = 0.4
    motion = clip_motion(peaks, 40, 16, FPS, np.random.default_rng(3), STILL)
    assert set(np.flatnonzero(motion.aus.any((0, 2)))) == {CONDITION_AUS.index(12)}
    assert not motion.blink.any()
    np.testing.assert_array_equal(motion.light, 1)
    np.testing.assert_array_equal(motion.pose, np.tile(motion.pose[:1], (40, 1)))
