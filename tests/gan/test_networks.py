"""Generator and critics: sizes of the ancestor, shapes, and what the mask means."""

from __future__ import annotations

import pytest
import torch

from mersynth.config import config_folder, load
from mersynth.gan.critics import ImageCritic, VideoCritic
from mersynth.gan.forms import make_generator
from mersynth.gan.generator import Generator, left_weight
from mersynth.gan.losses import gradient_penalty


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


@pytest.mark.parametrize(("height", "width"), [(4, 32), (32, 32), (40, 24)])
def test_the_first_convolution_is_that_of_face_and_tile_joined(height: int, width: int) -> None:
    torch.manual_seed(0)
    generator = Generator(channels=8, blocks=1).double()
    image, aus = torch.rand(2, 3, height, width).double(), torch.rand(6, 20, 2).double()
    left, right = aus[..., None, None].unbind(2)
    weight = left_weight(width, aus.device)
    tile = (left * weight + right * (1 - weight)).expand(-1, -1, height, -1)
    joined = torch.cat([2 * image.repeat_interleave(3, 0) - 1, tile], 1)
    expected = generator.heads(generator.trunk(joined)).float()[:, 3:].sigmoid()
    parameter = generator.trunk[0].weight
    (wanted,) = torch.autograd.grad(expected.square().sum(), parameter)
    mask = generator(image, aus).mask
    (gradient,) = torch.autograd.grad(mask.square().sum(), parameter)
    torch.testing.assert_close(mask, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


@pytest.mark.parametrize("name", [file.stem for file in (config_folder() / "gan").glob("*.yaml")])
def test_every_config_builds_networks_that_fit_together(name: str) -> None:
    gan = load("train", [f"gan={name}"]).gan
    with torch.inference_mode():
        with torch.device("meta"):  # shapes alone: numbers take seconds
            image, aus = torch.rand(1, 3, gan.image_size, gan.image_size), torch.zeros(1, 20, 2)
            out = make_generator(gan.image_size, **gan.generator)(image, aus)
            verdict = ImageCritic(gan.image_size, **gan.image_critic)(out.image, image)
        clip = torch.rand(1, gan.num_frames, *out.image.shape[1:])  # autocast wants a device
        sequence = VideoCritic(5, **gan.video_critic)(clip)
    assert out.image.shape == image.shape
    assert verdict.aus.shape == (1, 20, 2)
    assert sequence.expression.shape == (1, 5)


def test_critics_have_the_gradient_penalty_of_leaky_relus() -> None:
    """Values, and gradients of the penalty with a double backward, are those of torch's own."""
    torch.manual_seed(0)
    critic = ImageCritic(32, channels=4, depth=3).double()
    plain = torch.nn.Sequential(
        *(torch.nn.LeakyReLU(0.01) if i % 2 else layer for i, layer in enumerate(critic.main)),
        critic.realness,
    )
    real, fake, start = torch.rand(3, 2, 3, 32, 32).double()
    mix, weights = torch.rand(2).double(), [layer.weight for layer in critic.main[::2]]
    ways = (lambda x: critic(x, start).realness, lambda x: plain(2 * x - 1))
    ours, wanted = (gradient_penalty(way, real, fake, mix) for way in ways)
    torch.testing.assert_close(ours, wanted)
    gradients, expected = (torch.autograd.grad(each, weights) for each in (ours, wanted))
    torch.testing.assert_close(gradients, expected)
    assert all(each.abs().max() > 0 for each in gradients)


def test_image_critic() -> None:
    verdict = ImageCritic(64, channels=8, depth=4)(*torch.rand(2, 2, 3, 64, 64))
    assert verdict.realness.shape == (2, 1, 4, 4)
    assert verdict.aus.shape == (2, 20, 2)
    with pytest.raises(ValueError, match=r"multiple of 2 \*\* depth = 64, got 100"):
        ImageCritic(100)


def test_a_critic_of_differences_reads_what_moves_and_others_do_not() -> None:
    torch.manual_seed(0)
    image, start, another = torch.rand(3, 1, 3, 32, 32)
    for difference in (True, False):
        critic = ImageCritic(32, channels=4, depth=4, difference=difference)
        same = torch.equal(critic(image, start).aus, critic(image, another).aus)
        assert same is not difference


@pytest.mark.parametrize("frames", [4, 16])
def test_video_critic(frames: int) -> None:
    critic = VideoCritic(num_classes=5, channels=4, depth=3)
    verdict = critic(torch.rand(2, frames, 3, 32, 32))
    assert verdict.realness.shape == (2,)
    assert verdict.expression.shape == (2, 5)


def test_an_au_on_one_side_is_tiled_over_that_half_alone() -> None:
    generator, image = Generator(channels=8, blocks=0), torch.rand(1, 3, 32, 64)
    first, norm = generator.trunk[0], generator.trunk[1]
    with torch.no_grad():  # the first convolution lets this AU's channel through
        first.weight.zero_()
        first.weight[0, 3 + 12, 3, 3] = 1.0
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda _, given, __: seen.append(given[0][0, 0]))
    asked = torch.zeros(1, 20, 2)
    asked[:, 12, 0] = 0.8  # the subject's left is the image's right
    generator(image, asked)
    generator(image, asked.flip(2))
    left, right = seen
    assert not left[:, :28].any()
    torch.testing.assert_close(left[:, 36:], torch.full((32, 28), 0.8))
    torch.testing.assert_close(right, left.flip(1))


def test_left_weight_is_a_smooth_step_in_the_middle() -> None:
    weight = left_weight(100, torch.device("cpu"))
    assert not weight[:47].any()
    assert (weight[53:] == 1).all()
    assert (weight[46:54].diff() >= 0).all()
    torch.testing.assert_close(weight + weight.flip(0), torch.ones(100))


def test_several_conditions_of_a_face_are_as_each_by_itself() -> None:
    generator, faces = Generator(channels=8, blocks=1), torch.rand(2, 3, 16, 16)
    asked = torch.rand(6, 20, 2)  # three each
    together = generator(faces, asked).image
    apart = torch.cat([generator(faces[i // 3, None], asked[i, None]).image for i in range(6)])
    torch.testing.assert_close(together, apart)


def test_a_form_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of paint, motion, got 'clay'"):
        make_generator(32, "clay")
