"""The phantom's clips: the plan, the movement, and what is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.facs.emotions import native_labels
from mersynth.phantom.capture import PLAIN_CAPTURE
from mersynth.phantom.cells import CELLS
from mersynth.phantom.motion import (
    clip_motion,
    expression_curve,
    letter_of,
    peak_intensities,
)
from mersynth.phantom.population import (
    DEFAULT_COUNTS,
    clip_specs,
    render_clip,
    write_store,
)
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.phantom.version import VERSION, version_of
from mersynth.store.clip_store import ClipStore, StoreError

SMALL = {"subjects": 2, "counts": {"anger": 2, "happiness": 2}, "max_frames": 6}


def _row(au: int) -> int:
    return CONDITION_AUS.index(au)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_default_population_is_samms() -> None:
    specs = clip_specs()
    assert Counter(s.clip.emotion for s in specs) == Counter(DEFAULT_COUNTS)
    assert sum(DEFAULT_COUNTS.values()) == 136
    assert {s.subject for s in specs} == set(range(28))
    assert {s.clip.subject for s in specs} == {f"p{n:03d}" for n in range(28)}
    assert len({s.clip.id for s in specs}) == 136
    per_subject = Counter(s.subject for s in specs).values()
    assert min(per_subject) >= 1
    assert max(per_subject) > 2 * 136 / 28
    lengths = [s.clip.num_frames for s in specs]
    assert 15 <= min(lengths) < 30 < max(lengths) <= 50
    assert all(s.clip.fps == 100 and s.clip.strength == "micro" for s in specs)


def test_a_seed_is_a_plan() -> None:
    assert clip_specs(seed=4) == clip_specs(seed=4)
    assert clip_specs(seed=4) != clip_specs(seed=5)


def test_options_of_a_plan() -> None:
    specs = clip_specs(
        subjects=3, counts={"fear": 4, "sadness": 0}, first_subject=800, max_frames=12, fps=200
    )
    assert {s.subject for s in specs} == {800, 801, 802}
    assert {s.clip.emotion for s in specs} == {"fear"}
    assert max(s.clip.num_frames for s in specs) == 12
    macro = clip_specs(strength="macro")
    assert np.mean([s.clip.num_frames for s in macro]) > 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": {"joy": 3}}, "joy"),
        ({"counts": {"fear": -1}}, "-1"),
        ({"subjects": 0}, "got 0"),
        ({"subjects": 3, "counts": {"fear": 2}}, "got 3"),
    ],
)
def test_impossible_plans_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_specs(**options)  # type: ignore[arg-type]


def test_every_cell_can_be_read_and_shown() -> None:
    assert set(CELLS) == set(native_labels("phantom"))
    for cells in CELLS.values():
        for cell in cells:
            parsed = parse_au_cell(cell)
            assert not parsed.unread
            assert set(parsed.numbers) <= set(CONDITION_AUS)
    written = [parse_au_cell(spec.clip.aus) for spec in clip_specs()]
    assert not any(cell.unread for cell in written)
    lettered = sum(any(event.letters for event in cell.events) for cell in written)
    assert 136 * 0.3 < lettered < 136 * 0.7


def test_emotions_share_aus() -> None:
    used = {e: {au for c in cells for au in parse_au_cell(c).numbers} for e, cells in CELLS.items()}
    for emotion, aus in used.items():
        others = set().union(*(used[e] for e in used if e != emotion))
        assert aus & others, emotion


def test_sides_of_a_cell() -> None:
    left, right = peak_intensities("L12", "micro", 1.0, _rng())[_row(12)]
    assert left > 0.1 > right == 0
    left, right = peak_intensities("R14B", "micro", 1.0, _rng())[_row(14)]
    assert right > 0.1 > left == 0
    left, right = peak_intensities("A/L12C", "micro", 1.0, _rng())[_row(12)]
    assert 0 < right < 0.7 * left
    sides = sorted(peak_intensities("A12C", "micro", 1.0, _rng())[_row(12)])
    assert 0 < sides[0] < 0.7 * sides[1]


def test_letters_order_intensities() -> None:
    for strength, full in (("micro", 0.42), ("macro", 1.0)):
        peaks = [
            peak_intensities(f"4{letter}", strength, 1.0, _rng())[_row(4)].mean()  # type: ignore[arg-type]
            for letter in "ABCDE"
        ]
        assert peaks == sorted(peaks)
        assert peaks[-1] == pytest.approx(full, rel=0.15)
    assert [letter_of(level) for level in (0.0, 0.41, 0.95)] == ["A", "B", "E"]


def test_what_a_cell_does_not_name_does_not_move() -> None:
    peaks = peak_intensities("(R6 or R12) + 45", "micro", 1.0, _rng())
    assert set(np.flatnonzero(peaks.any(1))) == {_row(6), _row(43)}
    assert not peak_intensities("?", "micro", 1.0, _rng()).any()
    assert not peak_intensities("39", "micro", 1.0, _rng()).any()
    weak, strong = (peak_intensities("4C", "micro", e, _rng()).max() for e in (0.6, 1.2))
    assert strong == pytest.approx(2 * weak)


@pytest.mark.parametrize("seed", range(20))
def test_an_expression_rises_and_falls(seed: int) -> None:
    curve = expression_curve(40, 15, _rng(seed))
    assert curve[0] == 0
    assert curve[15] == pytest.approx(1)
    assert curve[-1] <= 0.15
    steps = np.diff(curve)
    assert (steps[:15] >= 0).all()
    assert (steps[15:] <= 0).all()
    assert np.abs(steps).max() < 0.25


def test_real_faces_are_never_still() -> None:
    peaks = peak_intensities("12", "micro", 1.0, _rng())
    motions = [clip_motion(peaks, 40, 16, 100.0, _rng(seed)) for seed in range(150)]
    weak = np.delete(np.stack([m.aus for m in motions]), _row(12), axis=2)
    share = (weak.max(axis=(1, 2, 3)) > 0).mean()
    assert 0.4 < share < 0.85
    assert weak.max() < 0.08
    blinks = np.array([m.blink.max() > 0 for m in motions])
    assert 0.03 < blinks.mean() < 0.2
    drift = np.stack([np.ptp(m.pose[:, 0]) for m in motions])
    assert 0 < np.median(drift) * 128 < 2  # pixels at 128
    flicker = np.std([m.light for m in motions])
    assert 0.002 < flicker < 0.03
    blinking = motions[int(blinks.argmax())]
    assert blinking.intensities[:, _row(43)].max() >= blinking.blink.max() - 1e-6


def test_micro_motion_is_half_a_pixel_to_two() -> None:
    """At 128 pixels, between onset and apex, without the head's own motion."""
    reach = []
    for subject in (0, 3, 9, 17):
        renderer = PhantomRenderer(PhantomSubject.sample(subject), 64)
        rng = _rng(subject)
        for cell in ("12", "4", "4+7", "1+2", "15", "17", "20", "14", "10", "6+12"):
            peaks = peak_intensities(cell, "micro", renderer.subject.expressiveness, rng)
            aus = torch.from_numpy(np.stack([peaks * 0, peaks]))
            points = renderer.render(aus).landmarks
            reach.append(2 * (points[1] - points[0]).norm(dim=1).max().item())
    low, middle, high = np.quantile(reach, [0.1, 0.5, 0.9])
    assert low > 0.4
    assert 0.7 < middle < 2.0
    assert high < 4.0


def test_a_gain_makes_an_expression_stronger() -> None:
    weak, strong, full = (
        peak_intensities("6B+R12B", "micro", 1.0, _rng(0), gain) for gain in (1.0, 2.0, 50.0)
    )
    np.testing.assert_allclose(strong, 2 * weak)
    assert weak.max() > 0
    np.testing.assert_array_equal(full, np.sign(weak))
    # Unexaggerated, no micro-expression is above 0.6, which the gain raises, too.
    assert peak_intensities("12E", "micro", 9.0, _rng(0)).max() == 0.6
    assert peak_intensities("12E", "micro", 9.0, _rng(0), 1.5).max() == pytest.approx(0.9)


def test_a_rendered_clip_and_its_truth() -> None:
    spec = next(s for s in clip_specs(max_frames=20) if s.clip.aus.startswith("4"))
    frames, intensities, landmarks = render_clip(spec, 64)
    count = spec.clip.num_frames
    assert frames.shape == (count, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert intensities.shape == (count, 20, 2)
    assert landmarks.shape == (count, 68, 2)
    assert intensities.dtype == landmarks.dtype == np.float32
    assert intensities[0].max() < 0.02
    peak = intensities[:, _row(4)].max(1)
    assert 0.05 < peak.max() < 0.6
    assert abs(int(peak.argmax()) - spec.clip.apex_index) <= 0.2 * count  # type: ignore[operator]
    again = render_clip(spec, 64)
    assert all(
        np.array_equal(a, b) for a, b in zip((frames, intensities, landmarks), again, strict=True)
    )


def test_the_store_records_the_side_of_a_smirk() -> None:
    spec = next(s for s in clip_specs(seed=3, max_frames=20) if s.clip.aus.startswith("L14"))
    _, intensities, _ = render_clip(spec, 32, capture=replace(PLAIN_CAPTURE, stray_aus=0))
    left, right = intensities[:, _row(14)].T
    assert left.max() > 0.05
    assert not right.any()


def test_a_subject_looks_the_same_in_every_population() -> None:
    a, b = (clip_specs(seed=seed, subjects=2, counts={"fear": 4}, max_frames=3) for seed in (0, 1))
    first = [render_clip(next(s for s in specs if s.subject == 1), 64)[0][0] for specs in (a, b)]
    difference = np.abs(first[0].astype(int) - first[1]).mean()
    other = np.abs(first[0].astype(int) - render_clip(a[0], 64)[0][0]).mean()
    assert difference < 0.5 * other  # they differ by pose and noise alone


def test_a_store_of_the_phantom(tmp_path: Path) -> None:
    store = write_store(tmp_path / "phantom", image_size=64, seed=3, **SMALL)  # type: ignore[arg-type]
    assert len(store) == 4
    assert Counter(clip.emotion for clip in store.clips) == {"anger": 2, "happiness": 2}
    assert store.meta["header"]["source"] == "phantom"
    assert store.meta["header"]["phantom"] == version_of(store) == VERSION
    assert store.meta["header"]["seed"] == 3
    assert not np.isnan(store.intensities).any()
    assert not np.isnan(store.landmarks).any()
    again = write_store(tmp_path / "again", image_size=64, seed=3, **SMALL)  # type: ignore[arg-type]
    assert ClipStore.open(tmp_path / "again", verify=True).checksum == store.checksum
    assert again.subjects == ("phantom/p000", "phantom/p001")
    with pytest.raises(StoreError, match="exists"):
        write_store(tmp_path / "phantom", image_size=64, **SMALL)  # type: ignore[arg-type]
