"""Generator and critics: sizes of the ancestor, shapes, and what the mask means."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mersynth.config import config_folder, load
from mersynth.gan.critics import ImageCritic, VideoCritic
from mersynth.gan.generator import Generator, left_weight


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_default_generator_has_the_ancestors_size() -> None:
    ancestor = 8_428_160  # GANimation with 17 AUs; three more AUs are three input channels more
    assert parameters(Generator(num_aus=17)) == pytest.approx(ancestor, rel=0.01)
    assert parameters(Generator()) - parameters(Generator(num_aus=17)) == 3 * 64 * 7 * 7


@pytest.mark.parametrize("size", [32, 48])
def test_generator_blends_input_and_colour(size: int) -> None:
    torch.manual_seed(0)
    image, aus = torch.rand(2, 3, size, size), torch.rand(2, 20, 2)
    out = Generator(channels=8, blocks=1)(image, aus)
    assert out.image.shape == image.shape
    assert out.mask.shape == (2, 1, size, size)
    assert out.image.min() >= 0
    assert out.image.max() <= 1
    torch.testing.assert_close(out.image, out.mask * image + (1 - out.mask) * out.colour)


def test_generator_follows_the_condition() -> None:
    torch.manual_seed(0)
    generator, image = Generator(channels=8, blocks=1), torch.rand(1, 3, 32, 32)
    rest, moved = torch.zeros(1, 20, 2), torch.eye(20)[:1, :, None].expand(-1, -1, 2)
    assert not torch.allclose(generator(image, rest).image, generator(image, moved).image)


@pytest.mark.parametrize("name", [file.stem for file in (config_folder() / "gan").glob("*.yaml")])
def test_every_config_builds_networks_that_fit_together(name: str) -> None:
    gan = load("train", [f"gan={name}"]).gan
    image, aus = torch.rand(1, 3, gan.image_size, gan.image_size), torch.zeros(1, 20, 2)
    with torch.inference_mode():
        out = Generator(**gan.generator)(image, aus)
        verdict = ImageCritic(gan.image_size, **gan.image_critic)(out.image)
        clip = out.image[:, None].expand(-1, gan.num_frames, -1, -1, -1)
        sequence = VideoCritic(5, **gan.video_critic)(clip)
    assert out.image.shape == image.shape
    assert verdict.aus.shape == (1, 20, 2)
    assert sequence.expression.shape == (1, 5)


def test_image_critic() -> None:
    verdict = ImageCritic(64, channels=8, depth=4)(torch.rand(2, 3, 64, 64))
    assert verdict.realness.shape == (2, 1, 4, 4)
    assert verdict.aus.shape == (2, 20, 2)
    with pytest.raises(ValueError, match=r"multiple of 2 \*\* depth = 64, got 100"):
        ImageCritic(100)


@pytest.mark.parametrize("frames", [4, 16])
def test_video_critic(frames: int) -> None:
    critic = VideoCritic(num_classes=5, channels=4, depth=3)
    verdict = critic(torch.rand(2, frames, 3, 32, 32))
    assert verdict.realness.shape == (2,)
    assert verdict.expression.shape == (2, 5)


def moving() -> Generator:
    """A generator whose motion head has learnt something."""
    torch.manual_seed(0)
    generator = Generator(channels=8, blocks=1, motion=0.1)
    torch.nn.init.normal_(generator.fields.weight, std=0.1)
    return generator


def test_a_new_motion_head_moves_nothing() -> None:
    image, aus = torch.rand(2, 3, 32, 32), torch.rand(2, 20, 2)
    out = Generator(channels=8, blocks=1, motion=0.1)(image, aus)
    assert out.motion is not None
    assert not out.motion.any()
    assert Generator(channels=8, blocks=1)(image, aus).motion is None
    expected = out.mask * image + (1 - out.mask) * out.colour
    torch.testing.assert_close(out.image, expected, atol=1e-5, rtol=0)


def test_a_face_moves_as_far_as_its_aus_change() -> None:
    generator, image, aus = moving(), torch.rand(2, 3, 32, 48), torch.rand(2, 20, 2)
    whole, half, none = (generator(image, aus, share * aus).motion for share in (0, 0.5, 1))
    assert whole is not None
    assert whole.shape == (2, 2, 32, 48)
    torch.testing.assert_close(half, whole / 2)
    assert not none.any()
    torch.testing.assert_close(generator(image, aus).motion, whole)  # at rest, unless told
    bound = torch.tensor([0.1 * 48, 0.1 * 32]).view(2, 1, 1) * aus.amax(2).sum(1).view(2, 1, 1, 1)
    assert (whole.abs() <= bound).all()


def test_an_au_on_one_side_moves_that_half_alone() -> None:
    generator, image = moving(), torch.rand(1, 3, 32, 64)
    image_left, image_right = slice(None, 28), slice(36, None)
    for side, moved, still in ((0, image_right, image_left), (1, image_left, image_right)):
        asked = torch.zeros(1, 20, 2)
        asked[:, 12, side] = 0.8  # the subject's left is the image's right
        motion = generator(image, asked).motion
        assert motion[..., moved].abs().mean() > 0.01
        assert not motion[..., still].any()


def test_left_weight_is_a_smooth_step_in_the_middle() -> None:
    weight = left_weight(100, torch.device("cpu"))
    assert not weight[:47].any()
    assert (weight[53:] == 1).all()
    assert (weight[46:54].diff() >= 0).all()
    torch.testing.assert_close(weight + weight.flip(0), torch.ones(100))


def test_equal_sides_give_what_a_generator_without_sides_gave() -> None:
    generator, image, aus = moving(), torch.rand(2, 3, 32, 48), torch.rand(2, 20)
    out = generator(image, aus[..., None].expand(-1, -1, 2))
    tiled = aus[:, :, None, None].expand(-1, -1, 32, 48)
    half = generator.trunk[:-3](torch.cat([2 * image - 1, tiled], dim=1))
    fields = (0.1 * torch.tanh(generator.fields(half))).unflatten(1, (20, 2))
    grown = F.interpolate(torch.einsum("bn,bnchw->bchw", aus, fields), (32, 48), mode="bilinear")
    assert torch.equal(out.motion, grown * torch.tensor([48, 32]).view(2, 1, 1))
    mask = torch.sigmoid(generator.heads(generator.trunk[-3:](half))[:, 3:])
    assert torch.equal(out.mask, mask)


def test_the_moved_face_is_what_is_blended() -> None:
    generator, image, aus = moving(), torch.rand(1, 3, 32, 32), torch.rand(1, 20, 2)
    out = generator(image, aus)
    y, x = 10, 20
    dx, dy = out.motion[0, :, y, x].tolist()
    left, top = math.floor(x + dx), math.floor(y + dy)
    right, below = x + dx - left, y + dy - top  # shares of the pixels to the right and below
    patch = image[0, :, top : top + 2, left : left + 2]
    across = torch.tensor([1 - right, right])
    moved = (patch * across).sum(-1) @ torch.tensor([1 - below, below])
    mask, colour = out.mask[0, 0, y, x], out.colour[0, :, y, x]
    torch.testing.assert_close(
        out.image[0, :, y, x], mask * moved + (1 - mask) * colour, atol=1e-4, rtol=0
    )


def test_conditions_of_another_length_are_refused() -> None:
    image, aus = torch.rand(2, 3, 32, 32), torch.rand(2, 20, 2)
    with pytest.raises(ValueError, match=r"aus must have shape \(2, 20, 2\) .* got \(2, 17, 2\)"):
        moving()(image, aus[:, :17])
    with pytest.raises(ValueError, match=r"own must have shape \(2, 20, 2\) .* got \(1, 20, 2\)"):
        moving()(image, aus, aus[:1])
