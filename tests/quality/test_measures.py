"""Each measure against a closed form or an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from skimage.metrics import structural_similarity

from mersynth.clips import Clip
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.quality.au_control import control_rows, cross_talk, measure_control, off_diagonal
from mersynth.quality.balance import balance, evenness
from mersynth.quality.distribution import fid, kid, measure_distribution
from mersynth.quality.extractor import Extractor, cosine, train_extractor
from mersynth.quality.identity import find_faces, measure_identity
from mersynth.quality.motion import (
    compare_class,
    direction_histogram,
    find_motion,
    measure_motion,
    offset_return,
    roughness,
    still_head,
)
from mersynth.quality.neighbours import copying, prdc
from mersynth.quality.outside import au_regions, measure_outside, outside_figures
from mersynth.quality.reader import Reader
from mersynth.quality.sample import NotMeasuredError
from mersynth.quality.separability import curve_subjects, measure_separability, scores
from tests.quality.stores import sample_of

MOTION = {
    "flow": {"method": "dis", "preset": "medium", "finest_scale": 0},
    "grid": 4,
    "directions": 8,
    "small_size": 7,
}
CONTROL = {"min_asked": 0.1, "min_clips": 2, "idle": 0.03, "min_readable": 0.5}
TWELVE, FOUR = CONDITION_AUS.index(12), CONDITION_AUS.index(4)


@pytest.fixture(name="rng")
def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _curves(rng: np.random.Generator, clips: int = 8, moments: int = 6) -> np.ndarray:
    moved = np.zeros((clips, moments, 20), np.float32)
    moved[:, 1:, TWELVE] = rng.uniform(0.1, 0.6, (clips, moments - 1))
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
    ranks = [stats.spearmanr(a, b).statistic for a, b in zip(asked, got, strict=True)]
    assert row["monotonicity"] == pytest.approx(np.mean(ranks))


def test_an_au_that_few_clips_ask_for_has_no_figures(rng: np.random.Generator) -> None:
    rows = control_rows(_curves(rng, clips=3), _curves(rng, clips=3), 0.1, 4)
    assert rows[TWELVE] == {
        "au": 12, "clips": 3, "correlation": None, "error": None, "gain": None,
        "monotonicity": None,
    }  # fmt: skip


def test_readings_that_never_change_obey_nothing(rng: np.random.Generator) -> None:
    row = control_rows(_curves(rng), np.zeros((8, 6, 20), np.float32), 0.1, 2)[TWELVE]
    assert (row["correlation"], row["gain"], row["monotonicity"]) == (0, 0, 0)


def test_cross_talk_is_the_mean_over_clips_that_do_not_ask_for_the_column() -> None:
    asked, read = np.zeros((4, 20)), np.zeros((4, 20))
    asked[:3, TWELVE] = 0.4
    asked[2, FOUR] = 0.3  # asks for AU 4 itself, so that it does not count in its column
    read[:, FOUR] = [0.1, 0.2, 0.9, 0.9]
    read[:3, TWELVE] = 0.25
    matrix = cross_talk(asked, read, 0.1, 0.03, 2)
    assert matrix[TWELVE][FOUR] == pytest.approx(0.15)
    assert matrix[TWELVE][TWELVE] == pytest.approx(0.25)
    assert matrix[FOUR][TWELVE] is None  # one clip asks for AU 4, two are needed
    only = np.isin(CONDITION_AUS, (4, 12))
    assert off_diagonal(matrix, only) == pytest.approx(0.15)
    beside = [[None] * 20 for _ in range(20)]
    assert off_diagonal(matrix, only, beside) is None
    beside[TWELVE][FOUR] = 0.0
    assert off_diagonal(matrix, only, beside) == pytest.approx(0.15)


def test_an_au_asked_for_elsewhere_in_the_clip_is_no_cross_talk() -> None:
    asked, read = np.zeros((2, 20)), np.zeros((2, 20))
    asked[:, TWELVE] = 0.4
    read[:, FOUR] = 0.5
    over_clip = asked.copy()
    over_clip[:, FOUR] = 0.2
    assert cross_talk(asked, read, 0.1, 0.03, 1)[TWELVE][FOUR] == pytest.approx(0.5)
    assert cross_talk(asked, read, 0.1, 0.03, 1, over_clip)[TWELVE][FOUR] is None


def test_an_au_that_the_reader_cannot_read_is_told_and_not_averaged_in(
    rng: np.random.Generator,
) -> None:
    moved = _curves(rng)
    moved[:, :, FOUR] = moved[:, :, TWELVE]
    frames = np.zeros((8, 6, 16, 16, 3), np.uint8)
    sample = sample_of(frames, moved, subjects=list("aabbccdd"))
    noise = rng.uniform(0, 0.5, moved.shape[:2]).astype(np.float32)

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
    assert (
        twelve["reader"]["clips"] == 6
    )  # clips of d, whom the reader was trained on, do not count
    assert found["mean"]["correlation"] == pytest.approx(1, abs=1e-5)
    assert found["mean"]["gain"] == pytest.approx(0.5, abs=1e-5)
    asked = moved[np.arange(8), 1, TWELVE]
    columns = [i for i, row in enumerate(found["aus"]) if row["readable"]]
    assert columns == [TWELVE]
    np.testing.assert_allclose(found["per_clip"]["error"], 0.5 * asked, atol=1e-6)


def test_nothing_asked_for_is_no_control() -> None:
    sample = sample_of(np.zeros((2, 3, 16, 16, 3), np.uint8))
    with pytest.raises(NotMeasuredError, match="no AU intensities"):
        measure_control(sample, sample, Reader("r", "h", lambda f: f), CONTROL)


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
    assert 0 < found["coverage"] < 1  # the case tells something


def test_copies_are_nearer_than_real_clips_are(rng: np.random.Generator) -> None:
    real = rng.normal(0, 1, (20, 6))
    onsets = real + rng.normal(0, 0.3, real.shape)
    subjects = np.repeat(["a", "b"], 10)
    none = np.full(5, -1)
    copies = copying(real[:5], real, onsets, subjects, none, 0.05)
    assert copies["share_near"] == 1
    assert copies["median"] == pytest.approx(0)
    # Each wears the face of the clip that it is a copy of: other clips count.
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


def test_evenness_is_the_normalised_entropy() -> None:
    assert evenness([5, 5, 5]) == pytest.approx(1)
    assert evenness([9, 1]) == pytest.approx(stats.entropy([0.9, 0.1], base=2))
    assert evenness([4], kinds=2) == 0
    assert evenness([4]) is None


def test_balance_counts_classes_and_subjects() -> None:
    clips = [
        Clip(source="s", subject=p, name=str(i), onset=0, apex=0, offset=0, emotion="x")
        for i, p in enumerate("aab")
    ]
    found = balance(clips, ["x", "y", "x"])
    assert found["classes"] == {"x": 2, "y": 1}
    assert (found["fewest_of_a_subject"], found["most_of_a_subject"]) == (1, 2)
    assert found["both_evenness"] == pytest.approx(math.log(3) / math.log(4))


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


def test_the_heads_motion_is_taken_off_and_the_faces_is_kept() -> None:
    size = 32
    at = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(at, at, indexing="ij")
    head = torch.stack([0.5 + 0.3 * x - 0.2 * y, -0.4 + 0.1 * x])
    local = torch.zeros(2, size, size)
    local[1, 20:24, 12:20] = -0.6
    rest = still_head((head + local)[None].float())[0]
    assert rest[1, 20:24, 12:20].mean().item() == pytest.approx(-0.6, abs=0.02)
    rest[:, 20:24, 12:20] = 0
    assert rest.abs().max() < 0.02
    assert (still_head(head[None].float() + 1).abs() < 1e-4).all()


def _moving(rng: np.random.Generator, shifts: list[int], size: int = 48) -> np.ndarray:
    """A clip a shift: a textured patch on a textured face moves to the right and back."""
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


def test_the_first_frame_is_compared_with_the_face_worn(rng: np.random.Generator) -> None:
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
    assert regions[TWELVE][32:].sum() > 3 * regions[TWELVE][:32].sum()
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


def test_scores_are_means_over_the_classes_that_were_tested() -> None:
    found = scores(np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "c"]))
    assert found["uar"] == pytest.approx(0.5)
    assert found["uf1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["accuracy"] == 0.5


def test_classes_are_learnt_without_the_tested_people(rng: np.random.Generator) -> None:
    count = 40
    frames = np.zeros((count, 2, 16, 16, 3), np.uint8)
    classes = [("anger", "surprise")[i % 2] for i in range(count)]
    people = [f"{i // 4}" for i in range(count)]
    real = sample_of(frames, subjects=people, classes=classes)
    made = sample_of(
        frames,
        subjects=people,
        classes=classes,
        templates=[f"samm/{(i // 4 + 1) % 10}/x" for i in range(count)],
    )
    settings = {"folds": 5, "c": 1.0}
    signal = np.where(np.array(classes) == "anger", 3.0, -3.0)[:, None] + rng.normal(0, 1, (40, 2))
    good = measure_separability(real, made, signal, signal, settings, 0)
    assert good["synthetic_to_real"]["uar"] > 0.95
    assert good["real_to_synthetic"]["clips"] == good["real_to_real"]["clips"] == 40
    bad = measure_separability(real, made, signal, -signal, settings, 0)
    assert bad["synthetic_to_real"]["uar"] < 0.05
    assert bad["real_to_real"] == good["real_to_real"]
    # What tells a person and nothing else must not help: whoever is tested is never learnt from.
    codes = np.eye(40)[np.array([int(p) for p in people])]
    own = np.concatenate([codes * (np.array(classes) == c)[:, None] for c in set(classes)], 1)
    assert measure_separability(real, made, own, own, settings, 0)["synthetic_to_real"][
        "uar"
    ] == pytest.approx(0.5)
    shown = np.eye(40)[np.array([(int(p) + 1) % 10 for p in people])]
    curves = np.concatenate([shown * (np.array(classes) == c)[:, None] for c in set(classes)], 1)
    found = measure_separability(real, made, own, curves, settings, 0)
    assert found["real_to_synthetic"]["uar"] == pytest.approx(0.5)
    assert curve_subjects(made)[0] == "samm/1"
    assert curve_subjects(real)[0] == "samm/0"


def test_stores_without_a_common_class_are_not_separated() -> None:
    frames = np.zeros((4, 2, 16, 16, 3), np.uint8)
    one, two = (
        sample_of(frames, subjects=list("abcd"), classes=[c] * 4) for c in ("anger", "surprise")
    )
    with pytest.raises(NotMeasuredError, match=r"share 0 classes \(real: anger; synthetic: surp"):
        measure_separability(one, two, np.zeros((4, 2)), np.zeros((4, 2)), {"folds": 2, "c": 1}, 0)


def test_a_face_is_the_nearest_onset_of_its_subject() -> None:
    onsets = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (10, 50, 52)])
    frames = np.full((2, 2, 8, 8, 3), 51, np.uint8)
    frames[0] -= 2
    sample = sample_of(frames, subjects=["a", "z"])
    owners = np.array(["samm/a", "samm/a", "samm/b"])
    assert find_faces(onsets, owners, sample).tolist() == [1, -1]


def test_identity_compares_with_the_face_worn(rng: np.random.Generator) -> None:
    onsets = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    real = sample_of(np.repeat(onsets[:, None], 2, 1), subjects=list("aabb"))
    frames = np.stack([[onsets[0], onsets[3]], [onsets[2], onsets[2]], [onsets[1], onsets[1]]])
    made = sample_of(frames, subjects=["a", "b", "z"])

    def flat(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) - 127.5

    extractor = Extractor("flat", "none", None, None, flat)
    faces = find_faces(onsets, real.subjects, made)
    assert faces.tolist() == [0, 2, -1]
    found = measure_identity(real, made, onsets, faces, extractor, 0)
    x, y = flat(onsets[[0]])[0], flat(onsets[[3]])[0]
    apart = float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert found["clips"] == 2
    assert found["onset"] == pytest.approx(1)
    assert found["apex"] == pytest.approx((apart + 1) / 2, abs=1e-6)
    assert found["apex_lowest"] == pytest.approx(apart, abs=1e-6)
    assert found["own_apex"] == pytest.approx(1)
    same = [cosine(flat(onsets[[i]]), flat(onsets[[i + 1]]))[0] for i in (0, 2)]
    assert found["same_subject"] == pytest.approx(np.mean(same), abs=1e-6)
    with pytest.raises(NotMeasuredError, match="no synthetic clip wears"):
        measure_identity(real, made, onsets, np.full(3, -1), extractor, 0)


def test_the_small_extractor_learns_who_is_who(rng: np.random.Generator) -> None:
    frames = np.zeros((16, 3, 16, 16, 3), np.uint8)
    frames[8:] = 200
    frames += rng.integers(0, 30, frames.shape, dtype=np.uint8)
    sample = sample_of(frames, subjects=["a"] * 8 + ["b"] * 8)
    made = train_extractor(sample, 40, 0.25, torch.device("cpu"), 0)
    again = train_extractor(sample, 40, 0.25, torch.device("cpu"), 0)
    assert made.accuracy == 1
    assert made.chance == 0.5
    features = made.features(sample.apex_frames)
    np.testing.assert_array_equal(features, again.features(sample.apex_frames))
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)
    assert cosine(features[:1], features[1:2])[0] > 0.9
    assert cosine(features[:1], features[8:9])[0] < 0
    with pytest.raises(NotMeasuredError, match="one subject"):
        train_extractor(sample.choose(np.arange(8)), 1, 0.25, torch.device("cpu"), 0)
