from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from mersynth.augment import ColorJitter, RandomJPEG, SensorNoise
from mersynth.augment.noise import hashed_normal
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from tests.augment.samples import clips


def test_colours_as_torchvision_adjusts_them() -> None:
    image = clips(6)["clip"][:, 0]
    jitter = ColorJitter(0.5, 0.5, 0.5, 0.2, generator=torch.Generator().manual_seed(0))
    result = jitter(image)
    for i in range(6):
        expected = image[i]
        for name in ("brightness", "contrast", "saturation", "hue"):
            expected = getattr(tv, f"adjust_{name}")(expected, float(jitter.params[name][i]))
        torch.testing.assert_close(result[i], expected, atol=2e-3, rtol=0)


def test_a_movement_leaves_the_colours_of_the_rest_alone() -> None:
    clip = torch.full((1, 2, 3, 8, 8), 0.4)
    clip[:, 1, :, :4] = 0.9
    result = ColorJitter(0, (0.5, 0.5), 0, 0)(clip)
    torch.testing.assert_close(result[:, 0, :, 4:], result[:, 1, :, 4:])
    mean = clip.mean()
    torch.testing.assert_close(result, mean + 0.5 * (clip - mean), atol=1e-3, rtol=0)


def test_a_range_of_nothing_changes_nothing() -> None:
    clip = clips()["clip"]
    torch.testing.assert_close(ColorJitter(0, 0, 0, 0)(clip), clip)


def test_grey_frames_have_neither_saturation_nor_hue() -> None:
    grey = clips()["clip"][:, :, :1]
    module = ColorJitter(0, 0, (0.3, 0.3), (0.3, 0.3))
    torch.testing.assert_close(module(grey), grey)
    expected = RandomJPEG((50, 50), p=1)(grey.expand(-1, -1, 3, -1, -1))[:, :, :1]
    torch.testing.assert_close(RandomJPEG((50, 50), p=1)(grey), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("make", [ColorJitter, RandomJPEG])
def test_other_channels_have_no_colour(make: type[ColorJitter] | type[RandomJPEG]) -> None:
    with pytest.raises(ValueError, match="3 channels, or 1 for grey, got 2"):
        make(p=1.0)(torch.rand(2, 2, 16, 16))


def test_noise_has_the_variance_of_its_model() -> None:
    level = torch.linspace(0.2, 0.8, 5).reshape(1, 5, 1, 1, 1)
    clip = level.expand(2, 5, 3, 128, 128)
    noisy = SensorNoise((0.002, 0.002), (0.03, 0.03), p=1)(clip)
    variance = 0.002 * level.flatten() + 0.03**2
    for sample in noisy - clip:
        torch.testing.assert_close(sample.mean((1, 2, 3)), torch.zeros(5), atol=1e-3, rtol=0)
        torch.testing.assert_close(sample.var((1, 2, 3)), variance, rtol=0.03, atol=0)


def test_noise_is_white_over_pixels_channels_frames_and_samples() -> None:
    clip = torch.full((3, 4, 3, 64, 64), 0.5)
    noise = SensorNoise((0, 0), (0.05, 0.05), p=1, generator=torch.Generator().manual_seed(0))(clip)
    fields = (noise - 0.5).reshape(36, -1)
    correlation = torch.corrcoef(fields) - torch.eye(36)
    assert correlation.abs().max() < 5 / math.sqrt(64 * 64)
    row = (noise - 0.5) / 0.05
    assert (row[..., 1:] * row[..., :-1]).mean().abs() < 5 / math.sqrt(row.numel())


def test_hashed_numbers_are_normal() -> None:
    drawn = hashed_normal(torch.tensor([0, 1, 2**31 - 1]), (200_000,)).double()
    assert torch.equal(drawn.float()[1], hashed_normal(torch.tensor([1]), (200_000,))[0])
    ordered = drawn.sort(1).values
    cumulated = 0.5 * (1 + torch.erf(ordered / math.sqrt(2)))
    step = (torch.arange(200_000) + 0.5) / 200_000
    distance = (cumulated - step).abs().amax(1)  # Kolmogorov and Smirnov
    assert distance.max() < 1.95 / math.sqrt(200_000)  # one in a thousand
    assert ordered.abs().max() > 4


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_as_pillow_does_it(quality: int) -> None:
    face = PhantomRenderer(PhantomSubject.sample(1), 64).render(torch.zeros(1, 20, 2)).frames
    pixels = (face[0] * 255).round().byte()
    file = io.BytesIO()
    Image.fromarray(pixels.movedim(0, -1).numpy()).save(
        file, "JPEG", quality=quality, subsampling=2
    )
    theirs = torch.from_numpy(np.array(Image.open(file))).movedim(-1, 0).float() / 255
    ours = RandomJPEG((quality, quality), p=1)(pixels[None].float() / 255)[0]
    lost = (theirs - pixels / 255).square().mean()
    assert (ours - theirs).square().mean() < 0.35 * lost


def test_worse_quality_loses_more() -> None:
    clip = clips(1)["clip"].expand(8, -1, -1, -1, -1)
    jpeg = RandomJPEG((10, 95), p=1, generator=torch.Generator().manual_seed(0))
    lost = (jpeg(clip) - clip).square().mean((1, 2, 3, 4))
    order = jpeg.params["quality"].argsort()
    assert (lost[order].diff() < 0).all()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (ColorJitter, {"brightness": 1.5}, r"brightness must be .*within \[0, 2\]"),
        (ColorJitter, {"hue": 0.7}, r"hue must be .*within \[-0.5, 0.5\], got \(-0.7, 0.7\)"),
        (SensorNoise, {"shot": (-0.1, 0)}, "shot must be"),
        (SensorNoise, {"read": 2}, "read must be"),
        (RandomJPEG, {"quality": (0, 50)}, r"quality must be .*within \[1, 100\], got \(0, 50\)"),
    ],
)
def test_wrong_options_are_named(
    make: type[ColorJitter], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_noise_of_frames_rounded_below_black_is_a_number() -> None:
    frames = torch.full((1, 1, 3, 16, 16), -5e-4)
    assert SensorNoise(shot=5e-4, read=0.0, p=1.0)(frames).isfinite().all()
