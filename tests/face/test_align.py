from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.transform import estimate_transform

from mersynth.face.align import (
    Alignment,
    alignment_from_box,
    alignment_from_landmarks,
    alignment_of,
)
from mersynth.face.face import Face
from mersynth.face.template import (
    CASCADE_BOX,
    FACE_BOX,
    RIGID,
    TEMPLATE,
    face_box,
    five_points,
)
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import MIRROR
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SIDE = 128
RENDERED = 160


def neutral(subject: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame (H, W, 3) uint8 and landmarks (68, 2) of a phantom subject at rest."""
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    rendered = PhantomRenderer(PhantomSubject.sample(subject), RENDERED).render(rest)
    return to_bytes(rendered.frames)[0], rendered.landmarks[0].numpy()


def to_bytes(frames: torch.Tensor) -> np.ndarray:
    return (frames * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.radians(degrees)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def wavy_picture(side: int) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8 without symmetry."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(5 * x + 3 * y), np.cos(4 * x * y + 2 * y), np.sin(7 * x - 2 * y + 1)]
    return np.round(127 + 100 * np.stack(waves, -1)).astype(np.uint8)


@pytest.mark.parametrize("count", [68, 5])
def test_the_transform_is_the_least_squares_similarity(count: int) -> None:
    rng = np.random.default_rng(3)
    points = 300 * TEMPLATE + rng.normal(0, 8, (68, 2)) + (50, -20)
    chosen, target = list(RIGID), TEMPLATE[list(RIGID)]
    given, used = points, points[chosen]
    if count == 5:
        given, eyes_and_mouth = five_points(points), [0, 1, 3, 4]
        used, target = given[eyes_and_mouth], five_points(TEMPLATE)[eyes_and_mouth]
    alignment = alignment_from_landmarks(given, SIDE)
    expected = estimate_transform("similarity", used, target * SIDE - 0.5)
    np.testing.assert_allclose(alignment.matrix, expected.params[:2], atol=1e-9)
    assert alignment.scale == pytest.approx(expected.scale)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    points = (1 - TEMPLATE[:, :1], TEMPLATE[:, 1:])  # left and right have changed places
    matrix = alignment_from_landmarks(100 * np.hstack(points), SIDE).matrix
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_template_is_the_phantoms_mean_face() -> None:
    shown = np.mean([(neutral(n)[1] + 0.5) / RENDERED for n in (0, 3)], axis=0)
    assert np.abs(shown - TEMPLATE).max() < 0.03
    mirrored = TEMPLATE[list(MIRROR)] * (-1, 1) + (1, 0)
    np.testing.assert_allclose(mirrored, TEMPLATE, atol=0.0011)


def test_a_face_that_was_moved_comes_back_to_the_same_place() -> None:
    frame, landmarks = neutral(3)
    still = alignment_from_landmarks(landmarks, SIDE)
    moving = similarity(1.4, 24, (70, 15))
    moved = cv2.warpAffine(frame, moving, (400, 400))
    moved_landmarks = landmarks @ moving[:, :2].T + moving[:, 2]
    back = alignment_from_landmarks(moved_landmarks, SIDE)
    apart = back.apply_points(moved_landmarks) - still.apply_points(landmarks)
    assert np.abs(apart).max() < 0.01
    # Pixels agree, too: were they half a pixel apart, their difference would be far larger.
    a = still.apply(frame).astype(int)[8:-8, 8:-8]
    b = back.apply(moved).astype(int)[8:-8, 8:-8]
    shifted = np.abs(a[:, 1:] - a[:, :-1]).mean() / 2
    assert np.abs(a - b).mean() < 0.5 * shifted
    flow = cv2.calcOpticalFlowFarneback(
        *(cv2.cvtColor(p.astype(np.uint8), cv2.COLOR_RGB2GRAY) for p in (a, b)),
        None, 0.5, 3, 15, 3, 5, 1.1, 0,
    )  # fmt: skip
    assert np.abs(flow).mean() < 0.1
    assert np.quantile(np.abs(flow), 0.99) < 0.5


def test_one_transform_a_clip_keeps_the_true_motion() -> None:
    aus = torch.zeros(4, len(CONDITION_AUS), 2)
    for number in (1, 12, 25):
        aus[:, CONDITION_AUS.index(number)] = torch.linspace(0, 1, 4)[:, None]
    renderer = PhantomRenderer(PhantomSubject.sample(5), RENDERED)
    rendered = renderer.render(aus, flow=True)
    assert rendered.flow is not None
    landmarks = rendered.landmarks.numpy()
    alignment = alignment_from_landmarks(landmarks[0], SIDE)
    aligned = alignment.apply_points(landmarks)
    linear = alignment.matrix[:, :2]
    np.testing.assert_allclose(
        aligned - aligned[0], (landmarks - landmarks[0]) @ linear.T, atol=1e-3
    )
    # What frame 0 shows at a place is shown in frame 3 where the true flow leads from there.
    frames = [alignment.apply(frame) for frame in to_bytes(rendered.frames)]
    inverse = np.linalg.inv(np.vstack([alignment.matrix, [0, 0, 1]]))
    y, x = np.mgrid[40:110, 34:94].astype(np.float32)
    source = np.stack([x, y, np.ones_like(x)], -1) @ inverse[:2].T
    truth = rendered.flow[3].numpy()
    flow = [cv2.remap(f, *np.float32(source).transpose(2, 0, 1), cv2.INTER_LINEAR) for f in truth]
    there = np.stack([x, y], -1) + np.stack(flow, -1) @ linear.T
    moved = cv2.remap(frames[3], *np.float32(there).transpose(2, 0, 1), cv2.INTER_LINEAR)
    here = frames[0][40:110, 34:94].astype(int)
    assert np.abs(np.stack(flow)).max() > 2  # the movement is there to be kept
    unmoved = np.abs(frames[3][40:110, 34:94] - here).mean()
    assert np.abs(moved - here).mean() < 0.5 * unmoved


def test_shrinking_by_whole_numbers_averages_areas() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    shrink = np.array([[1 / 3, 0, -1 / 3], [0, 1 / 3, -1 / 3]])  # pixel 1's centre becomes 0
    expected = noise.reshape(32, 3, 32, 3, 3).mean((1, 3))
    shown = Alignment(shrink, 32).apply(noise)
    assert np.abs(shown.astype(float) - expected).max() <= 0.51


def test_a_fine_pattern_does_not_alias() -> None:
    # 250 pixels of face to 128: a grating of 2.2 pixels a period is finer than what remains.
    columns = 127 + 120 * np.sin(2 * np.pi * np.arange(480) / 2.2)
    grating = np.round(np.broadcast_to(columns[None, :, None], (480, 480, 3))).astype(np.uint8)
    alignment = Alignment(similarity(128 / 250, 3, (-40, -50)), SIDE)
    without_care = cv2.warpAffine(grating, alignment.matrix, (SIDE, SIDE))
    assert alignment.apply(grating)[20:-20, 20:-20].std() < 0.25 * without_care.std()


def test_a_smooth_picture_is_where_its_points_are() -> None:
    picture = wavy_picture(300)
    alignment = Alignment(similarity(0.3, 10, (5, -15)), 64)
    shown = alignment.apply(picture)
    points = np.array([(x, y) for x in range(80, 200, 20) for y in range(80, 160, 20)])
    for (x, y), (u, v) in zip(points, np.round(alignment.apply_points(points)), strict=True):
        assert np.abs(shown[int(v), int(u)].astype(int) - picture[y, x]).max() < 10


def test_enlarging_interpolates_and_outside_the_border_is_repeated() -> None:
    picture = wavy_picture(32)
    shown = Alignment(similarity(4, 0, (1.5, 1.5)), 128).apply(picture)
    expected = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR)
    assert np.abs(shown.astype(int) - expected).max() <= 1
    beside = Alignment(similarity(1, 0, (40, 0)), 64).apply(picture)
    np.testing.assert_array_equal(beside[:32, :40], picture[:, :1].repeat(40, 1))


def test_points_that_are_not_known_stay_unknown() -> None:
    moved = Alignment(similarity(2, 0, (0, 0)), 64).apply_points(np.array([[1, np.nan], [3, 4]]))
    assert np.isnan(moved[0]).any()
    np.testing.assert_array_equal(moved[1], [6, 8])


def test_a_box_is_brought_to_its_place() -> None:
    alignment = alignment_from_box((100, 50, 200, 150), SIDE, (0.25, 0.125, 0.75, 0.625))
    corners = alignment.apply_points(np.array([(100, 50), (200, 150)]))
    np.testing.assert_allclose(corners, [(31.5, 15.5), (95.5, 79.5)], atol=1e-4)
    # A box of another shape is not squeezed: same centre, same area.
    wide = alignment_from_box((90, 0, 210, 200), SIDE, (0.25, 0.125, 0.75, 0.625))
    corners = wide.apply_points(np.array([(90, 0), (210, 200)]))
    np.testing.assert_allclose(corners.mean(0), (63.5, 47.5), atol=1e-4)
    assert np.prod(corners[1] - corners[0]) == pytest.approx(64 * 64, rel=1e-4)


def test_an_aligned_face_is_in_its_box_already() -> None:
    box = face_box(SIDE)
    assert box.dtype == np.float32
    np.testing.assert_allclose(
        alignment_from_box((*box,), SIDE).matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-4
    )
    landmarks = TEMPLATE * SIDE - 0.5
    assert (landmarks >= box[:2] - 1e-4).all()
    assert (landmarks <= box[2:] + 1e-4).all()


def test_the_best_that_is_known_of_a_face_aligns_it() -> None:
    rng = np.random.default_rng(1)
    landmarks = 200 * TEMPLATE + rng.normal(0, 3, (68, 2))
    points, box = five_points(landmarks) + 2, (20.0, 30.0, 180.0, 190.0)
    expected = {
        (True, True): alignment_from_landmarks(landmarks, SIDE),
        (False, True): alignment_from_landmarks(points, SIDE),
        (False, False): alignment_from_box(box, SIDE, FACE_BOX),
    }
    for (has_landmarks, has_points), alignment in expected.items():
        known = landmarks if has_landmarks else None, points if has_points else None
        found = alignment_of(Face(box, *known, 0.9, "feat"), SIDE)
        np.testing.assert_array_equal(found.matrix, alignment.matrix)
    by_cascade = alignment_of(Face(box, None, None, 30.0, "lbp"), SIDE)
    np.testing.assert_array_equal(
        by_cascade.matrix, alignment_from_box(box, SIDE, CASCADE_BOX).matrix
    )


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((4, 2)), "68, 2"),
        (np.full((68, 2), np.nan), "finite"),
        (np.ones((5, 2)), "lie apart"),
        (TEMPLATE * 0.5, "check the landmarks"),
    ],
)
def test_landmarks_that_say_nothing_are_refused(points: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        alignment_from_landmarks(points, SIDE)


def test_boxes_frames_and_sizes_that_cannot_be_are_refused() -> None:
    for box in ((5, 5, 5, 9), (0, 0, np.nan, 4), (9, 0, 2, 4)):
        with pytest.raises(ValueError, match="left < right"):
            alignment_from_box(box, SIDE)
    with pytest.raises(ValueError, match="image_size must be positive, got 0"):
        alignment_from_box((0, 0, 9, 9), 0)
    with pytest.raises(ValueError, match="image_size must be positive, got -1"):
        alignment_from_landmarks(TEMPLATE * 90, -1)
    alignment = alignment_from_box((0, 0, 90, 90), SIDE)
    for frame in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            alignment.apply(frame)
