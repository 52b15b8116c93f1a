"""The phantom's frames and the truth that comes with them."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import PARTS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SIZE = 64
EYES = [i for part in ("right_brow", "left_brow", "right_eye", "left_eye") for i in PARTS[part]]
MOUTH = [i for part in ("outer_lips", "inner_lips") for i in PARTS[part]]


@pytest.fixture(scope="module", name="renderer")
def _renderer() -> PhantomRenderer:
    return PhantomRenderer(PhantomSubject.sample(501), SIZE)


def _aus(count: int = 2, **peaks: float) -> Tensor:
    """Rest, then the AUs named ``au12=0.5`` on both sides in all further frames."""
    aus = torch.zeros(count, len(CONDITION_AUS), 2)
    for name, value in peaks.items():
        aus[1:, CONDITION_AUS.index(int(name.removeprefix("au")))] = value
    return aus


def _each_au(intensity: float) -> Tensor:
    aus = torch.zeros(1 + len(CONDITION_AUS), len(CONDITION_AUS), 2)
    for row in range(len(CONDITION_AUS)):
        aus[row + 1, row] = intensity
    return aus


def _look_up(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of (C, H, W) at (N, 2) points, the first pixel's centre at 0."""
    grid = (points + 0.5) * (2 / SIZE) - 1
    found = torch.nn.functional.grid_sample(
        maps[None], grid[None, None], align_corners=False, padding_mode="border"
    )
    return found[0, :, 0].T


def test_a_number_is_a_subject() -> None:
    assert PhantomSubject.sample(7) == PhantomSubject.sample(7)
    assert PhantomSubject.sample(7) != PhantomSubject.sample(8)
    with pytest.raises(ValueError, match="-1"):
        PhantomSubject.sample(-1)


def test_subjects_look_different() -> None:
    rest = torch.zeros(1, 20, 2)
    faces = [PhantomRenderer(PhantomSubject.sample(n), SIZE).render(rest) for n in range(600, 603)]
    for i, a in enumerate(faces):
        for b in faces[:i]:
            assert (a.frames - b.frames).abs().mean() > 0.03
            assert (a.landmarks - b.landmarks).abs().max() > 0.6


def test_rendering_is_deterministic(renderer: PhantomRenderer) -> None:
    again = PhantomRenderer(renderer.subject, SIZE)
    pictures = [
        r.render(_aus(au12=0.4), noise_generator=torch.Generator().manual_seed(5)).frames
        for r in (renderer, again)
    ]
    assert torch.equal(*pictures)
    assert pictures[0].shape == (2, 3, SIZE, SIZE)
    assert pictures[0].dtype == torch.float32
    assert 0 <= pictures[0].min() < pictures[0].max() <= 1


def test_frames_do_not_depend_on_their_batch(renderer: PhantomRenderer) -> None:
    aus = torch.rand(5, 20, 2, generator=torch.Generator().manual_seed(1)) * 0.3
    together = renderer.render(aus).frames
    alone = torch.cat([renderer.render(a[None]).frames for a in aus])
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=0)


@pytest.mark.parametrize("size", [31, 33, 0])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        PhantomRenderer(PhantomSubject.sample(501), size)


def test_wrong_intensities_are_refused(renderer: PhantomRenderer) -> None:
    with pytest.raises(ValueError, match=r"\(2, 20\)"):
        renderer.render(torch.zeros(2, 20))
    with pytest.raises(ValueError, match=r"1\.500"):
        renderer.render(_aus(au4=1.5))
    with pytest.raises(ValueError, match="measured"):
        renderer.render(_aus(au4=float("nan")))


@pytest.mark.parametrize(
    "peaks",
    [{"au12": 0.8}, {"au1": 0.8, "au2": 0.6}, {"au4": 1.0}, {"au15": 0.7}, {"au26": 0.6}],
    ids=str,
)
def test_flow_explains_the_movement(renderer: PhantomRenderer, peaks: dict[str, float]) -> None:
    pose = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0], [0.01, -0.015, 0.03, 0.02, -0.02]])
    out = renderer.render(_aus(**peaks), pose, flow=True)
    assert out.flow is not None
    assert out.flow[0].abs().max() < 1e-2
    here = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="xy"), -1)
    moved = _look_up(out.frames[1], (here + out.flow[1].permute(1, 2, 0)).reshape(-1, 2))
    head = slice(8, 56)
    back = moved.T.reshape(3, SIZE, SIZE)[:, head, head]
    onset = out.frames[0][:, head, head]
    unexplained = (back - onset).abs().mean() / (out.frames[1][:, head, head] - onset).abs().mean()
    assert unexplained < 0.5


def test_landmarks_move_with_the_flow(renderer: PhantomRenderer) -> None:
    pose = torch.tensor([[0.01, 0.0, 0.02, 0.0, 0.0], [0.0, 0.01, -0.02, 0.03, 0.02]])
    out = renderer.render(_aus(au1=0.5, au4=0.3, au9=0.4, au12=0.5), pose, flow=True)
    assert out.flow is not None
    # Of landmarks inside the face; at the outline and between lips or lids the flow has a step.
    inside = [*range(17, 36), 48, 54]
    expected = (out.landmarks[1] - out.landmarks[0])[inside]
    found = _look_up(out.flow[1], out.landmarks[0])[inside]
    assert expected.norm(dim=1).max() > 1.5
    assert (found - expected).norm(dim=1).max() < 0.25


def test_a_shift_and_a_roll_are_what_they_say(renderer: PhantomRenderer) -> None:
    pose = torch.zeros(3, 5)
    pose[1, :2] = torch.tensor([0.1, -0.05])
    pose[2, 2] = 0.2
    points = renderer.render(torch.zeros(3, 20, 2), pose).landmarks
    torch.testing.assert_close(
        points[1] - points[0], torch.tensor([6.4, -3.2]).expand(68, 2), atol=1e-3, rtol=0
    )
    centre = SIZE / 2 - 0.5
    radius = points[0] - centre
    cos, sin = torch.cos(pose[2, 2]), torch.sin(pose[2, 2])
    turned = torch.stack(
        [cos * radius[:, 0] - sin * radius[:, 1], sin * radius[:, 0] + cos * radius[:, 1]], 1
    )
    torch.testing.assert_close(points[2] - centre, turned, atol=1e-3, rtol=0)


def test_yaw_and_pitch_move_what_stands_out_most(renderer: PhantomRenderer) -> None:
    pose = torch.zeros(3, 5)
    pose[1, 3], pose[2, 4] = 0.1, 0.1
    points = renderer.render(torch.zeros(3, 20, 2), pose).landmarks
    tip, cheek = 30, 0
    right, up = points[1] - points[0], points[0] - points[2]
    assert right[tip, 0] > 1.5 > right[cheek, 0]  # nose to the image's right
    assert up[tip, 1] > 1.5 > up[cheek, 1]


@pytest.mark.parametrize("au", CONDITION_AUS)
def test_an_au_moves_its_own_part_of_the_face(renderer: PhantomRenderer, au: int) -> None:
    out = renderer.render(_aus(**{f"au{au}": 1.0}))
    motion = (out.landmarks[1] - out.landmarks[0]).norm(dim=1)
    eyes, mouth = motion[EYES].max(), motion[MOUTH].max()
    if au == 9:
        assert motion[list(PARTS["nostrils"])].max() > 1.0
    elif au in (1, 2, 4, 5, 6, 7, 43):
        assert eyes > 0.7
        assert mouth < 0.35 * eyes
    else:
        assert mouth > 0.5
        assert eyes < 0.2 * mouth


def test_every_au_looks_different_from_every_other(renderer: PhantomRenderer) -> None:
    frames = renderer.render(_each_au(0.6)).frames
    change = (frames[1:] - frames[:1]).flatten(1)
    assert change.abs().amax(1).min() > 0.05
    alike = torch.nn.functional.normalize(change, dim=1)
    alike = (alike @ alike.T).fill_diagonal_(0)
    assert alike.max() < 0.85


def test_motion_grows_with_intensity(renderer: PhantomRenderer) -> None:
    aus = torch.cat([_aus(au12=level)[1:] for level in (0.0, 0.25, 0.5, 0.75, 1.0)])
    corner = renderer.render(aus).landmarks[:, 54]
    reach = (corner - corner[0]).norm(dim=1)
    torch.testing.assert_close(reach, torch.linspace(0, 1, 5) * reach[-1], atol=0.1, rtol=0)
    assert 2.1 < reach[-1] < 6.5  # a tenth to a third of the distance between the eyes


def _opening(landmarks: Tensor, upper: int, lower: int) -> Tensor:
    return landmarks[:, lower, 1] - landmarks[:, upper, 1]


def test_lids_close_tighten_and_open(renderer: PhantomRenderer) -> None:
    aus = _each_au(1.0)
    eye = _opening(renderer.render(aus).landmarks, 37, 41)
    rest, row = eye[0], {au: eye[1 + k] for k, au in enumerate(CONDITION_AUS)}
    assert row[43] < 0.15 * rest < 0.5 * rest < row[5]
    assert row[5] > 1.2 * rest
    assert 0.2 * rest < row[7] < 0.7 * rest
    closed = renderer.render(torch.zeros(2, 20, 2), blink=torch.tensor([0.0, 1.0]))
    assert _opening(closed.landmarks, 37, 41)[1] < 0.1 * rest


def test_the_mouth_opens_on_darkness_or_teeth(renderer: PhantomRenderer) -> None:
    out = renderer.render(_each_au(1.0))
    mouth = _opening(out.landmarks, 62, 66)
    wide, parted = (mouth[1 + CONDITION_AUS.index(au)] for au in (26, 25))
    assert mouth[0] < 0.3
    assert wide > 1.5 * parted > 1.5  # a jaw that drops opens more than lips that part
    jaw = out.landmarks[1 + CONDITION_AUS.index(26)]
    inside = (jaw[62] * 0.3 + jaw[66] * 0.7)[None]
    open_mouth = _look_up(out.frames[1 + CONDITION_AUS.index(26)], inside)
    lip = _look_up(out.frames[0], out.landmarks[0, 57][None] - torch.tensor([0.0, 1.0]))
    assert open_mouth.mean() < 0.75 * lip.mean()


def test_folds_darken_where_they_should(renderer: PhantomRenderer) -> None:
    out = renderer.render(_each_au(1.0))
    still = renderer.render(torch.zeros(1, 20, 2)).frames[0]
    # Between the brows, where AU 4 draws vertical furrows and 12 draws nothing.
    inner = (out.landmarks[0, 21] + out.landmarks[0, 22]) / 2
    x, y = (int(v) for v in inner.round())
    patch = (slice(None), slice(y - 3, y + 4), slice(x - 4, x + 5))

    def contrast(au: int) -> Tensor:
        return (out.frames[1 + CONDITION_AUS.index(au)][patch] - still[patch]).std()

    assert contrast(4) > 10 * contrast(12)
    assert contrast(4) > 0.02


def test_light_and_noise(renderer: PhantomRenderer) -> None:
    rest = torch.zeros(60, 20, 2)
    light = torch.ones(60)
    light[1] = 1.2
    noisy = renderer.render(rest, light=light, noise_generator=torch.Generator().manual_seed(0))
    clean = renderer.render(rest[:2], light=light[:2]).frames
    middle = clean[0].sub(0.5).abs() < 0.3
    gain = clean[1][middle] / clean[0][middle]
    torch.testing.assert_close(gain.median(), torch.tensor(1.2).sqrt(), atol=1e-3, rtol=0)
    grain = (noisy.frames[2:] - clean[0])[:, middle].std()
    assert grain.item() == pytest.approx(renderer.subject.noise, rel=0.03)


@pytest.mark.slow
def test_rendering_is_fast() -> None:
    renderer = PhantomRenderer(PhantomSubject.sample(501), 128)
    aus = torch.rand(96, 20, 2) * 0.3
    renderer.render(aus[:8])
    start = time.perf_counter()
    renderer.render(aus)
    assert len(aus) / (time.perf_counter() - start) > 150
