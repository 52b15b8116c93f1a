from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from mersynth.augment import RandomCrop, RandomErasing
from tests.augment.samples import clips, same


@pytest.mark.parametrize("mode", ["constant", "edge"])
@pytest.mark.parametrize("size", [None, (10, 27)])
def test_as_torchvision_pads_and_crops(mode: str, size: tuple[int, int] | None) -> None:
    given = clips(8)
    module = RandomCrop(4, size, mode, generator=torch.Generator().manual_seed(0))
    result = module(given)
    height, width = size or (24, 20)
    moved = given["landmarks"] - result["landmarks"]  # the window's corner
    for i in range(8):
        left, top = (round(float(value)) for value in moved[i, 0, 0])
        torch.testing.assert_close(
            moved[i], torch.tensor([left, top]).expand(12, 68, 2) + 0.0, atol=1e-4, rtol=0
        )
        padded = tv.pad(given["clip"][i], [4], padding_mode=mode)
        assert torch.equal(result["clip"][i], tv.crop(padded, top + 4, left + 4, height, width))


def test_every_place_is_as_likely() -> None:
    module = RandomCrop(1, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(3600, 1, 5, 5)
    image[:, :, 2, 2] = 1
    places = module(image)[:, 0, 1:4, 1:4].sum(0)
    assert places.sum() == 3600
    assert places.min() > 320  # four standard deviations below 400
    assert places.max() < 480


def test_off_is_the_middle() -> None:
    clip = clips()["clip"]
    assert same(RandomCrop(3, p=0)(clip), clip)
    assert same(RandomCrop(0, (20, 16), p=0)(clip), clip[..., 2:22, 2:18].contiguous())


def test_a_window_that_does_not_fit_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"window of \(30, 20\) does not fit .*\(24, 20\) padded by 2"
    ):
        RandomCrop(2, (30, 20))(clips()["clip"])
    with pytest.raises(ValueError, match="padding must be 0 or more, got -1"):
        RandomCrop(-1)
    with pytest.raises(
        ValueError, match="padding_mode must be one of constant, edge, got 'reflect'"
    ):
        RandomCrop(padding_mode="reflect")
    with pytest.raises(ValueError, match="size must be a height and a width"):
        RandomCrop(size=(0, 4))


def test_erases_one_rectangle_of_the_wanted_size_in_all_frames() -> None:
    module = RandomErasing((0.1, 0.3), (0.5, 2), p=1, generator=torch.Generator().manual_seed(0))
    result = module(torch.ones(300, 3, 2, 60, 40))
    gone = result == 0
    assert (gone == gone[:, :1, :1]).all()
    gone = gone[:, 0, 0]
    height, width = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), height * width)  # a full rectangle
    area, ratio = height * width / 2400, height / width
    assert area.min() > 0.09
    assert area.max() < 0.31
    assert area.max() - area.min() > 0.18
    assert ratio.min() > 0.45
    assert ratio.max() < 2.2
    assert 0.4 < (ratio < 1).float().mean() < 0.6
    assert gone.any(0).any(0).all()  # every column is reached
    assert gone.any(0).any(1).all()  # every row is


def test_paints_what_is_wanted() -> None:
    clip = clips()["clip"]
    for value, paint in ((0.5, torch.tensor(0.5)), ("mean", clip.mean((1, 3, 4), keepdim=True))):
        result = RandomErasing(value=value, p=1)(clip)
        painted = result != clip
        assert painted.any()
        torch.testing.assert_close(result[painted], paint.expand_as(clip)[painted])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.5, 1.5)}, "scale must be"),
        ({"ratio": (2, 1)}, "ratio must be"),
        ({"value": "random"}, "value must be a number or 'mean', got 'random'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomErasing(**options)
