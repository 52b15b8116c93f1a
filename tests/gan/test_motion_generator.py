"""The generator that moves faces of any size."""

from __future__ import annotations

import pytest
import torch

from mersynth.gan.motion_generator import MotionGenerator, shrink


@pytest.fixture(scope="module")
def generator() -> MotionGenerator:
    """A small generator that has learned something."""
    torch.manual_seed(0)
    made = MotionGenerator(working_size=32, channels=8, blocks=1)
    torch.nn.init.normal_(made.fields.weight, std=0.03)
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def aus() -> torch.Tensor:
    return torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(1))


def smooth(*shape: int) -> torch.Tensor:
    """Images without detail, so that they are the same at every size."""
    coarse = torch.rand(shape[0], 3, 3, 3, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (48, 80), (20, 20)])
def test_a_face_that_is_not_asked_to_change_is_given_back(
    generator: MotionGenerator, aus: torch.Tensor, size: tuple[int, int]
) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    out = generator(image, aus, aus)
    torch.testing.assert_close(out.image, image, atol=1e-5, rtol=0)
    assert (out.mask == 1).all()


def test_the_working_size_shows_the_papers_blend(
    generator: MotionGenerator, aus: torch.Tensor
) -> None:
    image = smooth(2, 32, 32)
    out = generator(image, aus)
    assert out.motion is not None
    assert out.motion.abs().max() > 0.5  # pixels
    x, y = 13, 21
    dx, dy = out.motion[0, :, y, x]
    left, top = int(torch.floor(x + dx)), int(torch.floor(y + dy))
    right, below = x + dx - left, y + dy - top
    seen = image[0, :, top : top + 2, left : left + 2]
    rows = seen[..., 0] * (1 - right) + seen[..., 1] * right
    moved = rows[:, 0] * (1 - below) + rows[:, 1] * below
    mask = out.mask[0, 0, y, x]
    expected = mask * moved + (1 - mask) * out.colour[0, :, y, x]
    torch.testing.assert_close(out.image[0, :, y, x], expected, atol=1e-4, rtol=0)


def test_motion_grows_with_the_change_alone(generator: MotionGenerator, aus: torch.Tensor) -> None:
    image = smooth(2, 32, 32)
    whole, half = (generator(image, aus, share * aus) for share in (0, 0.5))
    torch.testing.assert_close(half.motion, whole.motion / 2)
    bound = 0.1 * 32 * aus.amax(2).sum(1).view(2, 1, 1, 1)
    assert (whole.motion.abs() <= bound).all()
    weak = generator(image, 0.01 * aus)
    weaker = generator(image, 0.005 * aus)
    torch.testing.assert_close(1 - weaker.mask, (1 - weak.mask) / 2, atol=1e-4, rtol=0.02)


@pytest.mark.parametrize(("side", "image_half"), [(0, "right"), (1, "left")])
def test_an_au_of_one_side_moves_that_side(
    generator: MotionGenerator, side: int, image_half: str
) -> None:
    asked = torch.zeros(1, 20, 2)
    asked[0, 12, side] = 1
    motion = generator(smooth(1, 32, 32), asked).motion.norm(dim=1)[0]
    left, right = motion[:, :12].mean(), motion[:, -12:].mean()
    moved, still = (right, left) if image_half == "right" else (left, right)
    assert moved > 0.1
    assert still < 0.01 * moved


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (96, 64)])
def test_faces_of_other_sizes_are_moved_as_far(
    generator: MotionGenerator, aus: torch.Tensor, size: tuple[int, int]
) -> None:
    large = generator(smooth(2, *size), aus)
    small = generator(shrink(smooth(2, *size), 32), aus)
    assert large.image.shape == (2, 3, *size)
    torch.testing.assert_close(large.motion, small.motion)
    torch.testing.assert_close(shrink(large.image, 32), small.image, atol=0.05, rtol=0)


def test_fine_texture_is_carried_along_and_not_painted_over(generator: MotionGenerator) -> None:
    face = smooth(1, 128, 128)
    checks = 0.1 * (torch.arange(128) // 2 % 2 - 0.5)
    textured = (face + checks).clamp(0, 1)
    weak = torch.full((1, 20, 2), 0.02)
    out = generator(textured, weak).image
    assert _steepness(out) > 0.9 * _steepness(textured)


def _steepness(image: torch.Tensor) -> float:
    return float(image.diff(dim=3).square().mean())


def test_sizes_are_multiples_of_eight_and_keep_the_aspect() -> None:
    assert shrink(torch.rand(1, 3, 300, 200), 96).shape == (1, 3, 96, 64)
    assert shrink(torch.rand(1, 3, 40, 40), 96).shape == (1, 3, 96, 96)


def test_several_conditions_of_a_face_are_as_each_by_itself(
    generator: MotionGenerator, aus: torch.Tensor
) -> None:
    faces = smooth(2, 48, 48)
    asked = torch.cat([aus, aus / 2, aus / 3])  # three each
    together = generator(faces, asked).image
    apart = torch.cat([generator(faces[i // 3, None], asked[i, None]).image for i in range(6)])
    torch.testing.assert_close(together, apart)


def test_conditions_of_another_shape_are_refused(generator: MotionGenerator) -> None:
    with pytest.raises(
        ValueError, match=r"aus must have shape \(1, 20, 2\) \(AUs, left and right\), got"
    ):
        generator(torch.rand(1, 3, 32, 32), torch.zeros(1, 20))
