"""People who differ like those in real recordings, and how that shows in frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mersynth import config
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.look import Glasses, Look
from mersynth.phantom.optics.sensor import Sensor, to_bytes
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.phantom.variety import PLAIN, WIDE, Population

SIZE = 64
GLASSES = Glasses((2.4, 1.8), 3.0, 0.35, 0.0, (0.01, 0.01, 0.01), 0.0)
SUBJECT = PhantomSubject.sample(501)


def aus(*numbers: int, level: float = 0.8) -> Tensor:
    """Rest, then the AUs on both sides."""
    shown = torch.zeros(2, len(CONDITION_AUS), 2)
    shown[1, [CONDITION_AUS.index(au) for au in numbers]] = level
    return shown


def renderer(**look: object) -> PhantomRenderer:
    return PhantomRenderer(replace(SUBJECT, look=Look(**look)), SIZE)  # type: ignore[arg-type]


@pytest.fixture(scope="module", name="bare")
def _bare() -> PhantomRenderer:
    return PhantomRenderer(SUBJECT, SIZE)


@pytest.fixture(scope="module", name="bespectacled")
def _bespectacled() -> PhantomRenderer:
    return renderer(glasses=GLASSES)


def test_the_configs_are_the_named_populations() -> None:
    from omegaconf import OmegaConf

    for name, population in (("wide", WIDE), ("plain", PLAIN)):
        values = OmegaConf.to_container(config.load("phantom", [f"population={name}"]).population)
        assert Population.of(values) == population  # type: ignore[arg-type]
    assert Population.of(WIDE.as_dict()) == WIDE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"glasses": 1.2}, r"population\.glasses must lie in 0\.\.1, got 1\.2"),
        ({"fringes": None}, r"population\.fringes must lie in 0\.\.1, got None"),
        ({"skin": [0.7, 0.2]}, r"population\.skin must be two numbers .* got \[0\.7, 0\.2\]"),
        ({"blur": 0.1}, r"population\.blur must be two numbers \[LOW,HIGH\] within \[0,0\.5\]"),
    ],
)
def test_impossible_numbers_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Population.of(values)


def test_the_plain_population_is_the_subjects_as_they_are() -> None:
    assert [PLAIN.person(n) for n in range(5)] == [PhantomSubject.sample(n) for n in range(5)]
    with pytest.raises(ValueError, match="-1"):
        WIDE.person(-1)


def test_shares_and_ranges_hold_over_many_people() -> None:
    people = [WIDE.person(n) for n in range(300)]

    def share(has: list[bool]) -> float:
        return float(np.mean(has))

    looks = [person.look for person in people]
    short = [person for person in people if person.hair_length < 2]
    assert share([p.look.fringe is not None for p in people if p.hair_length]) == pytest.approx(
        0.3, abs=0.08
    )
    assert share([p.beard > 0 for p in short]) == pytest.approx(0.5, abs=0.08)
    assert not any(p.beard for p in people if p.hair_length == 2)
    for has, expected in (
        ([look.glasses is not None for look in looks], 0.3),
        ([look.parted > 0 for look in looks], 0.25),
        ([look.softness == 0 for look in looks], 0.25),
        ([look.grey for look in looks], 0.33),
        ([look.backdrop != "wall" for look in looks], 0.3),
        ([look.jpeg is not None for look in looks], 0.5),
    ):
        assert share(has) == pytest.approx(expected, abs=0.08)
    for values, low, high in (
        ([p.age for p in people], 0, 1),
        ([p.noise for p in people], 0.003, 0.012),
        ([look.read_noise for look in looks], 0.001, 0.006),
        ([look.blur for look in looks], 0.0, 0.06),
    ):
        quarters = np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0])
        np.testing.assert_allclose(quarters, np.linspace(low, high, 5), atol=0.08 * (high - low))
    # Every tone as often: the green of the skin runs from its darkest to its palest.
    green = np.log([person.skin[1] for person in people])
    assert np.quantile(green, 0.1) < np.log(0.13)
    assert np.quantile(green, 0.9) > np.log(0.48)


def test_a_trait_is_its_own_draw() -> None:
    """Changing the share of one trait leaves all others, and the heads, as they are."""
    other = replace(WIDE, glasses=1.0, grey_cameras=0.0)
    for number in range(20):
        a, b = WIDE.person(number), other.person(number)
        assert b.look.glasses is not None
        assert replace(a.look, glasses=None, grey=False) == replace(
            b.look, glasses=None, grey=False
        )
        assert replace(a, look=Look()) == replace(b, look=Look())
        assert (a.shape, a.gain) == (PLAIN.person(number).shape, PLAIN.person(number).gain)


def test_a_person_s_clip_is_the_same_whoever_is_rendered_before() -> None:
    specs = clip_specs(subjects=2, counts={"fear": 2}, max_frames=3, first_subject=13)
    alone = render_clip(specs[1], 32, population=WIDE)
    for spec in specs:
        again = render_clip(spec, 32, population=WIDE)
    for first, second in zip(alone, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_glasses_sit_on_the_nose_before_the_eyes(
    bare: PhantomRenderer, bespectacled: PhantomRenderer
) -> None:
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    without, with_them = bare.render(rest), bespectacled.render(rest)
    torch.testing.assert_close(with_them.landmarks, without.landmarks)
    changed = (with_them.frames - without.frames)[0].abs().mean(0) > 0.2
    rows, columns = (changed.any(k).nonzero()[:, 0] for k in (1, 0))
    points = without.landmarks[0]
    brows, tip = points[17:27, 1].min(), points[30, 1]
    assert brows - 3 < rows.min() < points[36:48, 1].min()
    assert points[36:48, 1].max() < rows.max() < tip
    assert columns.min() < points[36, 0] - 1
    assert columns.max() > points[45, 0] + 1
    middle = round(float(points[27, 0]))
    assert changed[:, middle].sum() <= 3, "between the lenses there is the bridge alone"
    assert changed[:, middle].any()


def test_glasses_follow_the_head_and_no_muscle(bespectacled: PhantomRenderer) -> None:
    moved = bespectacled.render(aus(4, 9, level=1.0), flow=True)
    assert moved.flow is not None
    x, y = (int(v) for v in moved.landmarks[0, 27].round())
    frames, flow = moved.frames, moved.flow[1]
    dark = frames[0][:, y - 4 : y + 3, x].mean(0).argmin() + y - 4  # the bridge
    assert flow[:, dark, x].norm() < 1e-3
    assert flow[:, y - 8 : y, x].norm(dim=0).max() > 0.5  # the skin above it moves
    pose = torch.zeros(2, 5)
    pose[1, :2] = torch.tensor([0.05, 0.0])
    turned = bespectacled.render(torch.zeros(2, len(CONDITION_AUS), 2), pose, flow=True)
    assert turned.flow is not None
    torch.testing.assert_close(
        turned.flow[1][:, dark, x], torch.tensor([3.2, 0.0]), atol=1e-3, rtol=0
    )
    pose[1] = torch.tensor([0.0, 0.0, 0.0, 0.06, 0.0])
    turned = bespectacled.render(torch.zeros(2, len(CONDITION_AUS), 2), pose, flow=True)
    assert turned.flow is not None
    nearer, skin = turned.flow[1][0, dark, x], turned.landmarks[1, 36] - turned.landmarks[0, 36]
    assert nearer > skin[0] + 0.1, "what lies before the face turns farther than the eye's corner"


@pytest.mark.parametrize("number", [13, 24])
def test_flow_explains_how_beards_and_glasses_move(number: int) -> None:
    person = replace(WIDE.person(number), beard=1.0, hair_length=1)
    person = replace(person, look=replace(person.look, glasses=GLASSES, blur=0.0))
    shown = PhantomRenderer(person, SIZE)
    pose = torch.tensor([[0.0, 0, 0, 0, 0], [0.01, -0.015, 0.03, 0.02, -0.02]])
    out = shown.render(aus(26, 12, level=0.6), pose, flow=True)
    assert out.flow is not None
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    at = torch.stack([x, y], -1) + out.flow[1].permute(1, 2, 0)
    grid = ((at + 0.5) * (2 / SIZE) - 1)[None]
    back = torch.nn.functional.grid_sample(out.frames[1:], grid, align_corners=False)[0]
    head = (slice(None), slice(8, 56), slice(8, 56))
    still = (out.frames[1] - out.frames[0])[head].abs().mean()
    assert (back - out.frames[0])[head].abs().mean() < 0.55 * still


def test_parted_lips_open_at_rest_and_close_when_pressed(bare: PhantomRenderer) -> None:
    parted = renderer(parted=0.15)

    def opening(shown: PhantomRenderer, *numbers: int) -> Tensor:
        points = shown.render(aus(*numbers, level=1.0)).landmarks
        return points[:, 66, 1] - points[:, 62, 1]

    rest, pressed = opening(parted, 24)
    assert rest > opening(bare)[0] + 0.2
    assert pressed == pytest.approx(opening(bare, 24)[1].item(), abs=1e-3)
    # AU 25 opens as far as on others: motion starts from the face at rest.
    assert opening(parted, 25)[1] == pytest.approx(opening(bare, 25)[1].item(), abs=1e-3)


def test_a_grey_camera_sees_no_colour(bare: PhantomRenderer) -> None:
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    picture = renderer(grey=True).render(rest, noise_generator=torch.Generator().manual_seed(0))
    assert torch.equal(picture.frames[:, 0], picture.frames[:, 2])
    colour = bare.render(rest).frames
    assert (colour[:, 0] - colour[:, 2]).abs().mean() > 0.05


def test_the_noise_is_that_of_electrons_and_of_reading_them() -> None:
    """EMVA 1288: in light, a variance of shot^2 times the light and one of reading it."""
    shot, read = 0.01, 0.006
    sensor = Sensor(replace(SUBJECT, noise=shot, look=Look(read_noise=read)), 5.0)
    for level in (0.02, 0.2, 0.6):
        light = torch.full((40, 3, 48, 48), level)
        noise = torch.Generator().manual_seed(1)
        values = sensor.expose(light, torch.ones(40), noise)
        measured = values.square().var()  # back in light
        expected = 4 * shot**2 * level + read**2
        assert measured.item() == pytest.approx(expected, rel=0.2 if level < 0.1 else 0.05)


def test_blur_and_balance_are_what_they_say() -> None:
    line = torch.zeros(1, 3, 1 + 64, 65)
    line[..., 32] = 0.5
    sensor = Sensor(replace(SUBJECT, look=Look(blur=0.2, balance=(1.2, 1.0, 0.8))), 10.0)
    light = sensor.expose(line, torch.ones(1), None).square()[0, :, 32]
    torch.testing.assert_close(light.sum(1), 0.5 * torch.tensor([1.2, 1.0, 0.8]), atol=1e-3, rtol=0)
    at = torch.arange(65) - 32.0
    deviation = ((light[1] * at**2).sum() / light[1].sum()).sqrt()
    assert deviation.item() == pytest.approx(2.0, rel=0.05)  # 0.2 cm of 10 pixels


def test_compression_loses_more_at_lower_quality(bare: PhantomRenderer) -> None:
    frames = bare.render(torch.zeros(1, len(CONDITION_AUS), 2)).frames
    exact = to_bytes(frames)
    losses = [np.abs(to_bytes(frames, q).astype(int) - exact).mean() for q in (95, 75, 30)]
    assert 0 < losses[0] < losses[1] < losses[2]
    assert exact.shape == to_bytes(frames, 75).shape == (1, SIZE, SIZE, 3)
