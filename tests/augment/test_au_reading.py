"""AU intensities read from motion, against the renderer's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mersynth.augment.au_reading import COLUMNS, MotionReader, read_intensities, solve
from mersynth.face.template import TIGHT
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.population import clip_specs, render_clip

FPS = 100.0


def _clip(cell: str, strength: str, subject: int = 4200) -> tuple[np.ndarray, np.ndarray, int]:
    """Frames (T, 128, 128, 3), true intensities (T, 20, 2), and the apex."""
    spec = clip_specs(
        subjects=1,
        counts={"other": 1},
        strength=strength,  # type: ignore[arg-type]
        first_subject=subject,
        max_frames=24,
    )[0]
    clip = dataclasses.replace(spec.clip, aus=cell)
    frames, intensities, _ = render_clip(dataclasses.replace(spec, clip=clip), 128)
    assert clip.apex_index is not None
    return frames, intensities, clip.apex_index


@pytest.mark.parametrize(
    ("cell", "strength"), [("6+12", "macro"), ("L2", "micro"), ("R12", "micro"), ("1+4", "micro")]
)
def test_the_aus_of_a_clip_are_read_on_their_sides(cell: str, strength: str) -> None:
    frames, truth, apex = _clip(cell, strength)
    read = read_intensities(frames, FPS)
    assert read.shape == truth.shape
    assert read.dtype == np.float32
    assert not read[0].any()
    wanted = truth[apex] - truth[0]
    correlation = np.corrcoef(wanted.ravel(), read[apex].ravel())[0, 1]
    assert correlation > 0.8
    shown = wanted > 0.1
    assert (read[apex][shown] > 0.4 * wanted[shown]).mean() >= 0.75
    assert read[apex][~shown].mean() < 0.03


def test_a_still_face_shows_nothing() -> None:
    frames, _, _ = _clip("12", "micro")
    assert read_intensities(frames[[0, 0, 0, 0]], FPS).max() < 1e-3


def test_a_head_that_shifts_is_no_expression() -> None:
    frames, _, _ = _clip("12", "micro")
    moved = np.stack([np.roll(frames[0], shift, 1) for shift in (0, 1, 2, 3)])
    assert read_intensities(moved, FPS).max() < 0.1


def test_what_the_fields_explain_is_found_again() -> None:
    frames, _, _ = _clip("12", "micro")
    reader = MotionReader(frames[0])
    wanted = np.zeros(len(COLUMNS))
    smile = COLUMNS[:, CONDITION_AUS.index(12)].any(1)
    wanted[smile] = 0.3, 0.6
    # Nothing is left unexplained, so nothing is penalised.
    np.testing.assert_allclose(solve(reader.fields, reader.fields @ wanted), wanted, atol=0.02)


def test_frames_of_another_form_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, S, S, 3\) uint8, got \(4, 64, 32, 3\)"):
        read_intensities(np.zeros((4, 64, 32, 3), np.uint8), FPS)
    with pytest.raises(ValueError, match="float64"):
        read_intensities(np.zeros((4, 64, 64, 3)), FPS, framing=TIGHT)
