from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.augment import ORDER, RandomHorizontalFlip, au_sets
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import mirror
from mersynth.motion.warp import warp
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from tests.augment.samples import clips, images, same


@pytest.mark.parametrize("given", [clips(), images()], ids=["clips", "images"])
def test_twice_is_the_identity(given: dict[str, object]) -> None:
    flip = RandomHorizontalFlip(p=1)
    twice = flip(flip(given))
    torch.testing.assert_close(
        twice.pop("landmarks"), given["landmarks"]
    )  # a rounding of width - x
    assert same(twice, {key: value for key, value in given.items() if key != "landmarks"})


def test_half_of_the_samples_are_flipped_whole() -> None:
    given = clips(400, frames=3, size=(4, 4))["clip"]
    flip = RandomHorizontalFlip(generator=torch.Generator().manual_seed(0))
    result = flip(given)
    on = flip.params["on"]
    assert torch.equal(result[on], given[on].flip(-1))
    assert torch.equal(result[~on], given[~on])
    assert 160 < on.sum() < 240  # four standard deviations of a fair coin


def test_landmarks_as_the_face_has_them() -> None:
    given = clips()
    result = RandomHorizontalFlip(p=1)(given)["landmarks"]
    np.testing.assert_allclose(result, mirror(given["landmarks"].numpy(), 20), atol=1e-5)


def test_sides_gaze_and_head_change_places() -> None:
    cells = {"L12+6": "R12+6", "R14": "L14", "61+55": "62+56", "52": "51", "65": "65", "L30": "R30"}
    image = torch.rand(len(cells), 3, 4, 4)
    result = RandomHorizontalFlip(p=1)({"image": image, "au_set": au_sets(list(cells))})
    assert torch.equal(result["au_set"], au_sets(list(cells.values())))


def test_a_one_sided_movement_is_where_the_flipped_au_set_says() -> None:
    curves = torch.zeros(2, 20, 2)
    curves[1, CONDITION_AUS.index(12), 0] = 1.0  # on the subject's left
    clip = PhantomRenderer(PhantomSubject.sample(3), 64).render(curves).frames[None]
    row = ORDER.index(12)

    def on_the_images_left(inputs: dict[str, torch.Tensor]) -> bool:
        moved = (inputs["clip"][0, 1] - inputs["clip"][0, 0]).abs().sum((0, 1))
        return bool(moved[:32].sum() > 2 * moved[32:].sum())

    given = {"clip": clip, "au_set": au_sets(["L12"])}
    flipped = RandomHorizontalFlip(p=1)(given)
    assert (on_the_images_left(given), given["au_set"][0, row].tolist()) == (False, [1, 0])
    assert (on_the_images_left(flipped), flipped["au_set"][0, row].tolist()) == (True, [0, 1])


def test_a_flipped_flow_moves_the_flipped_image_to_the_flipped_result() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 16, 12, generator=generator)
    flow = 4 * torch.rand(2, 2, 16, 12, generator=generator) - 2
    flipped = RandomHorizontalFlip(p=1, flow_channels=(0, 1))(flow)
    torch.testing.assert_close(warp(image.flip(-1), flipped), warp(image, flow).flip(-1))


def test_channels_that_are_not_flow_keep_their_sign() -> None:
    stack = torch.rand(2, 3, 4, 4)  # strain, y, x
    flipped = RandomHorizontalFlip(p=1, flow_channels=(2, 1))(stack)
    sign = torch.tensor([1.0, 1.0, -1.0])[:, None, None]
    assert torch.equal(flipped, sign * stack.flip(-1))


@pytest.mark.parametrize("channels", [(0, 2), (1, 1), (-1, 0)])
def test_flow_channels_that_are_not_there_are_named(channels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="flow_channels must name two channels of frames with 2"):
        RandomHorizontalFlip(p=1, flow_channels=channels)(torch.rand(2, 2, 4, 4))
