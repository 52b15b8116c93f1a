from __future__ import annotations

import math

import kornia
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from mersynth.augment import RandomAffine
from mersynth.augment.affine import affine_matrix, warp_affine
from mersynth.motion.warp import warp
from tests.augment.samples import clips


def blob(x: torch.Tensor, y: torch.Tensor, size: int = 65) -> torch.Tensor:
    """(B, 1, 1, size, size): a Gaussian about each (B,) x, y."""
    at = torch.arange(size, dtype=torch.float32)
    row = torch.exp(-(at - y[:, None]).square() / 18)
    column = torch.exp(-(at - x[:, None]).square() / 18)
    return (row[:, :, None] * column[:, None, :])[:, None, None]


def centroid(image: torch.Tensor) -> torch.Tensor:
    """(B, 2) x, y of the mass of (B, 1, 1, H, W)."""
    image = image[:, 0, 0]
    at = torch.arange(image.shape[-1], dtype=torch.float32)
    mass = image.sum((1, 2))
    return (
        torch.stack([(image * at).sum((1, 2)), (image * at[:, None]).sum((1, 2))], -1)
        / mass[:, None]
    )


def test_as_torchvision_turns_shifts_and_zooms() -> None:
    images = kornia.filters.gaussian_blur2d(torch.rand(3, 3, 40, 50), (7, 7), (2.0, 2.0))
    angle, scale = torch.tensor([7.0, -20.0, 3.0]), torch.tensor([1.0, 1.2, 0.8])
    shift = torch.tensor([[0.0, 0.0], [3.0, -2.0], [-5.0, 4.0]])
    ours = warp_affine(images[:, None], affine_matrix(angle, scale, shift, (40, 50)))[:, 0]
    for i in range(3):
        theirs = tv.affine(
            images[i],
            float(angle[i]),
            shift[i].tolist(),
            float(scale[i]),
            [0.0, 0.0],
            interpolation=tv.InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(ours[i], theirs, atol=2e-3, rtol=0)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_as_kornia_warps(padding: str) -> None:
    images = torch.rand(3, 2, 20, 30)
    matrix = affine_matrix(
        torch.tensor([90.0, -13.0, 180.0]),
        torch.tensor([1.0, 0.7, 1.5]),
        torch.rand(3, 2),
        (20, 30),
    )
    theirs = kornia.geometry.warp_affine(
        images, matrix, (20, 30), padding_mode=padding, align_corners=True
    )
    ours = warp_affine(images[:, None], matrix, padding)[:, 0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_landmarks_go_where_the_picture_goes() -> None:
    x, y = torch.tensor([20.0, 32.0, 45.0]), torch.tensor([30.0, 22.0, 40.0])
    landmarks = torch.stack([x, y], -1)[:, None, None].expand(3, 1, 68, 2)
    module = RandomAffine(30, 0.1, (0.8, 1.2), generator=torch.Generator().manual_seed(1))
    result = module({"clip": blob(x, y), "landmarks": landmarks})
    assert (result["landmarks"][:, 0, 0] - landmarks[:, 0, 0]).norm(dim=-1).min() > 1
    torch.testing.assert_close(
        centroid(result["clip"]), result["landmarks"][:, 0, 0], atol=0.05, rtol=0
    )


@pytest.mark.parametrize("angle", [90.0, -90.0, 180.0])
def test_a_turned_flow_moves_the_turned_image_to_the_turned_result(angle: float) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 15, 15, generator=generator)
    flow = torch.zeros(1, 2, 15, 15)
    flow[:, :, 4:11, 4:11] = 3 * torch.rand(1, 2, 7, 7, generator=generator) - 1.5
    turn = RandomAffine((angle, angle))
    turned = RandomAffine((angle, angle), flow_channels=(0, 1))(flow)
    inside = (..., slice(1, 14), slice(1, 14))  # rounding fades the outermost pixels
    torch.testing.assert_close(
        warp(turn(image), turned)[inside], turn(warp(image, flow))[inside], atol=1e-4, rtol=0
    )


def test_a_shift_is_a_share_of_width_and_of_height() -> None:
    image = torch.zeros(1, 1, 10, 20)
    image[0, 0, 5, 10] = 1
    module = RandomAffine(0, (0.5, 0.5))
    module(image)
    params = {**module.params, "shift": torch.tensor([[0.25, -0.2]])}
    moved = module({"image": image, "landmarks": torch.zeros(1, 68, 2)}, params=params)
    assert moved["image"][0, 0].argmax() == 3 * 20 + 15
    torch.testing.assert_close(moved["landmarks"][0, 3], torch.tensor([5.0, -2.0]))


def test_a_zoom_enlarges_displacements() -> None:
    flow = torch.ones(1, 2, 15, 15)
    zoomed = RandomAffine(0, scale=(2, 2), flow_channels=(0, 1))(flow)
    torch.testing.assert_close(zoomed, 2 * flow)


def test_draws_within_its_ranges() -> None:
    module = RandomAffine(3, (0.1, 0.05), (0.9, 1.2), generator=torch.Generator().manual_seed(0))
    module(torch.rand(2000, 1, 4, 4))
    angle, scale, shift = (module.params[key] for key in ("angle", "scale", "shift"))
    for values, low, high in (
        (angle, -3, 3),
        (scale, 0.9, 1.2),
        (shift[:, 0], -0.1, 0.1),
        (shift[:, 1], -0.05, 0.05),
    ):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high >= values.max() > high - 0.02 * (high - low)
        assert abs(float(values.mean()) - (low + high) / 2) < 0.05 * (high - low)


def test_clockwise_is_positive() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 0, 4] = 1  # at twelve o'clock
    turned = RandomAffine((90, 90))(image)
    assert math.isclose(float(turned[0, 0, 4, 8]), 1, abs_tol=1e-4)  # at three


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees": (10, 5)}, "degrees must be"),
        ({"degrees": 200}, r"degrees must be .*\[-180, 180\]"),
        ({"translate": 1.5}, r"translate must be shares of width and height in \[0, 1\], got 1.5"),
        ({"scale": (0, 1)}, "scale must be"),
        ({"padding_mode": "wrap"}, "padding_mode must be one of .*'wrap'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomAffine(**options)


def test_frames_share_the_movement() -> None:
    module = RandomAffine(10, generator=torch.Generator().manual_seed(0))
    clip = clips()["clip"]
    result = module(clip)
    for t in (0, 7):
        frame = module(clip[:, t], params=module.params)
        torch.testing.assert_close(frame, result[:, t])
