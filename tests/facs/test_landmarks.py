"""Tests of the landmark parts and their mirror image."""

from __future__ import annotations

import numpy as np
import pytest

from mersynth.facs.landmarks import MIRROR, NUM_LANDMARKS, PARTS, mirror


def _outline(part: str) -> np.ndarray:
    """Where each landmark of a part lies on a symmetric face, drawn by hand from the mark-up."""
    points = {
        "jaw": [(x, 8 - abs(x - 8)) for x in range(17)],
        "right_brow": [(x, -4) for x in (1, 2, 3, 4, 5)],
        "left_brow": [(x, -4) for x in (11, 12, 13, 14, 15)],
        "nose_bridge": [(8, y) for y in (-3, -2, -1, 0)],
        "nostrils": [(x, 1) for x in (6, 7, 8, 9, 10)],
        "right_eye": [(2, -2), (3, -3), (4, -3), (5, -2), (4, -1), (3, -1)],
        "left_eye": [(11, -2), (12, -3), (13, -3), (14, -2), (13, -1), (12, -1)],
        "outer_lips": [
            *((5, 4), (6, 3), (7, 2), (8, 2.5), (9, 2), (10, 3), (11, 4)),
            *((10, 5), (9, 6), (8, 6), (7, 6), (6, 5)),
        ],
        "inner_lips": [(6, 4), (7, 3.5), (8, 3.5), (9, 3.5), (10, 4), (9, 4.5), (8, 4.5), (7, 4.5)],
    }
    return np.array(points[part], float)


def _face() -> np.ndarray:
    return np.concatenate([_outline(part) for part in PARTS])


def test_parts_cover_each_landmark_once() -> None:
    assert sorted(i for part in PARTS.values() for i in part) == list(range(NUM_LANDMARKS))


def test_a_symmetric_face_is_its_own_mirror_image() -> None:
    face = _face()
    np.testing.assert_allclose(mirror(face, width=17), face)


def test_mirror_twice_is_the_same_and_nan_stays() -> None:
    landmarks = np.random.default_rng(0).uniform(0, 128, (3, 68, 2))
    landmarks[1] = np.nan
    once = mirror(landmarks, width=128)
    assert not np.allclose(once[0], landmarks[0])
    assert np.isnan(once[1]).all()
    np.testing.assert_allclose(mirror(once, width=128), landmarks)


def test_mirror_exchanges_the_sides() -> None:
    assert {MIRROR[i] for i in PARTS["left_eye"]} == set(PARTS["right_eye"])
    assert {MIRROR[i] for i in PARTS["left_brow"]} == set(PARTS["right_brow"])
    assert {MIRROR[i] for i in PARTS["outer_lips"]} == set(PARTS["outer_lips"])


def test_mirror_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 68, 2\), got \(5, 2\)"):
        mirror(np.zeros((5, 2)), width=10)
