"""Region Replacing: the source of a sample's pixels, AUs and landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mersynth.augment.au_sets import au_sets
from mersynth.augment.bank import ClipBank
from mersynth.augment.region_replacing import RegionReplacing, pick
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS
from mersynth.facs.regions import half_rows
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

LABELS = torch.tensor([0, 0, 0, 1, 1, 2])
SUBJECTS = torch.tensor([7, 7, 8, 8, 9, 9])
COUNT, FRAMES, SIZE = 6, 3, 32


def clips(seed: int = 0, size: int = SIZE) -> dict[str, Any]:
    """Noise, so that no two samples share a pixel."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "clip": torch.rand(COUNT, FRAMES, 3, size, size, generator=generator),
        "label": LABELS,
        "subject": SUBJECTS,
        "aus": torch.rand(COUNT, FRAMES, 20, generator=generator),
        "landmarks": torch.rand(COUNT, FRAMES, 68, 2, generator=generator) * size,
    }


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("region", ["mouth", "eyes"])
def test_replaced_half_is_the_donors_and_the_other_is_untouched(region: Any, size: int) -> None:
    batch = clips(size=size)
    augment = RegionReplacing(p=1.0, region=region, generator=seeded())
    mixed = augment(batch)
    donor = augment.params["donor"]
    other = {"mouth": "eyes", "eyes": "mouth"}[region]
    theirs, own = half_rows(region, size), half_rows(other, size)  # type: ignore[arg-type]
    for i in range(COUNT - 1):
        j = int(donor[i])
        assert j != i
        assert LABELS[j] == LABELS[i]
        assert torch.equal(mixed["clip"][i, :, :, theirs], batch["clip"][j, :, :, theirs])
        assert torch.equal(mixed["clip"][i, :, :, own], batch["clip"][i, :, :, own])
        half = torch.tensor([ACTION_UNITS[n].half == region for n in CONDITION_AUS])
        assert torch.equal(mixed["aus"][i, :, half], batch["aus"][j, :, half])
        assert torch.equal(mixed["aus"][i, :, ~half], batch["aus"][i, :, ~half])
    assert torch.equal(mixed["label"], LABELS)
    assert torch.equal(mixed["subject"], SUBJECTS)


def test_a_sample_alone_in_its_class_is_kept_and_named() -> None:
    batch = clips()
    augment = RegionReplacing(p=1.0)
    mixed = augment(batch)
    assert augment.params["donor"][5] == -1
    assert augment.params["on"].tolist() == [True] * 5 + [False]
    for name in ("clip", "aus", "landmarks"):
        assert torch.equal(mixed[name][5], batch[name][5])


def test_au_sets_by_hand() -> None:
    # AU 9 and 63 (eyes up) are the eyes', 20 and 38 the mouth's; 53 (head up) is neither's.
    cells = ["4+9+L12+53", "1+63+20+38+54"]
    batch = {
        "image": torch.rand(2, 3, 32, 32),
        "label": torch.zeros(2, dtype=torch.long),
        "au_set": au_sets(cells),
    }
    expected = {
        ("mouth", "halves"): ["4+9+20+38+53", "1+63+L12+54"],
        ("eyes", "halves"): ["1+63+L12+53", "4+9+20+38+54"],
        ("mouth", "union"): ["4+9+L12+53+1+63+20+38+54"] * 2,
        ("eyes", "union"): ["4+9+L12+53+1+63+20+38+54"] * 2,
    }
    for (region, mixing), wanted in expected.items():
        mixed = RegionReplacing(p=1.0, region=region, mixing=mixing)(batch)  # type: ignore[arg-type]
        assert torch.equal(mixed["au_set"], au_sets(wanted)), (region, mixing)


def test_what_was_not_measured_stays_unknown() -> None:
    batch = {"image": torch.rand(2, 1, 8, 8), "label": torch.zeros(2), "aus": torch.zeros(2, 20)}
    au1, au12, au25 = (CONDITION_AUS.index(n) for n in (1, 12, 25))
    batch["aus"][0, [au1, au12]] = torch.nan
    batch["aus"][1, [au12, au25]] = torch.tensor([0.5, 0.7])
    halves = RegionReplacing(p=1.0)(batch)["aus"]
    assert halves[0].isnan().nonzero().flatten().tolist() == [au1]
    assert halves[1].isnan().nonzero().flatten().tolist() == [au12]
    assert halves[0, au12] == 0.5
    assert halves[0, au25] == pytest.approx(0.7)
    union = RegionReplacing(p=1.0, mixing="union")(batch)["aus"]
    for i in range(2):
        assert union[i].isnan().nonzero().flatten().tolist() == [au1, au12]
        assert union[i, au25] == pytest.approx(0.7)


def test_donors_are_drawn_evenly_from_those_that_may_give() -> None:
    eligible = torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    chance = torch.rand(6000, generator=seeded())
    drawn = pick(eligible[:1].expand(6000, -1), chance)
    counts = drawn.bincount(minlength=5)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert ((counts[[1, 2, 4]] - 2000).abs() < 150).all()  # four standard deviations
    almost_one = torch.full((3,), 1 - 2**-24)
    assert pick(eligible, almost_one).tolist() == [4, -1, 0]
    assert pick(eligible, torch.zeros(3)).tolist() == [1, -1, 0]


def test_donor_of_another_subject() -> None:
    augment = RegionReplacing(p=1.0, different_subject=True, generator=seeded())
    for _ in range(10):
        augment(clips())
        assert augment.params["donor"][:2].tolist() == [2, 2]
        assert augment.params["donor"][2] in (0, 1)
        assert augment.params["donor"][3:].tolist() == [4, 3, -1]


def test_probability() -> None:
    batch = {"image": torch.rand(2000, 1, 2, 2), "label": torch.zeros(2000)}
    augment = RegionReplacing(p=0.5, generator=seeded())
    mixed = augment(batch)
    changed = (mixed["image"] != batch["image"]).flatten(1).any(1)
    assert torch.equal(changed, augment.params["on"])
    assert abs(int(changed.sum()) - 1000) < 90
    kept = RegionReplacing(p=0.0)(batch)
    assert torch.equal(kept["image"], batch["image"])


@pytest.mark.parametrize("boundary", ["middle", "landmarks"])
def test_replay_on_the_same_and_on_other_frames(boundary: Any) -> None:
    batch = {**clips(), "landmarks": phantom_landmarks(COUNT, FRAMES, SIZE)}
    augment = RegionReplacing(p=0.7, boundary=boundary, feather=0.1)
    first = augment(batch)
    params = augment.params
    again = augment(batch, params=params)
    for name in first:
        assert torch.equal(first[name], again[name]), name
    # The flow of the same clips, another size, no labels and no landmarks.
    flow = torch.randn(COUNT, 2, 64, 64)
    moved = augment(flow, params=params)
    wanted = torch.where(params["on"], params["donor"], torch.arange(COUNT))
    assert torch.equal(moved[:, :, 50:], flow[wanted][:, :, 50:])
    assert torch.equal(moved[:, :, :20], flow[:, :, :20])


def test_same_seed_same_result_and_frames_share_the_donor() -> None:
    batch = clips()
    one, two = (RegionReplacing(p=0.7, generator=seeded(3)) for _ in range(2))
    assert torch.equal(one(batch)["clip"], two(batch)["clip"])
    alone = {**batch, "clip": batch["clip"][:, 1:2], "aus": None, "landmarks": None}
    frame = one(alone, params=one.params)["clip"]
    assert torch.equal(frame, one(batch, params=one.params)["clip"][:, 1:2])


def test_feather_blends_in_a_band_only() -> None:
    image = torch.zeros(2, 1, 100, 4)
    image[1] = 1.0
    augment = RegionReplacing(p=1.0, feather=0.1)
    mixed = augment({"image": image, "label": torch.zeros(2)})["image"][0, 0, :, 0]
    assert (mixed[:45] == 0).all()
    assert (mixed[55:] == 1).all()
    # Row r's centre lies at r + 0.5, the band is 45..55.
    assert torch.allclose(mixed[45:55], (torch.arange(45, 55) + 0.5 - 45) / 10, atol=1e-5)


def phantom_landmarks(count: int, frames: int, size: int) -> Tensor:
    renderer = PhantomRenderer(PhantomSubject.sample(6001), 64)
    points = renderer.render(torch.zeros(1, 20, 2)).landmarks[0]
    return ((points + 0.5) * size / 64 - 0.5).expand(count, frames, 68, 2).clone()


def test_boundary_follows_a_tilted_face() -> None:
    size, angle = 64, 0.2
    points = phantom_landmarks(2, 1, size)[:, 0]
    centre = size / 2 - 0.5
    turn = torch.tensor([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]).float()
    points[0] = (points[0] - centre) @ turn + centre
    image = torch.zeros(2, 1, size, size)
    image[1] = 1.0
    batch = {"image": image, "label": torch.zeros(2), "landmarks": points}
    mixed = RegionReplacing(p=1.0, boundary="landmarks")(batch)["image"]
    for face, made in zip(points, (mixed[0, 0], 1 - mixed[1, 0]), strict=True):
        x, y = face.round().long().unbind(1)
        for name, indices in (("eyes", range(36, 48)), ("bridge", range(27, 31))):
            assert all(made[y[i], x[i]] == 0 for i in indices), name
        for name, indices in (("nostrils", range(31, 36)), ("lips", range(48, 68))):
            assert all(made[y[i], x[i]] == 1 for i in indices), name


def test_landmarks_come_with_the_half_that_shows_them() -> None:
    points = phantom_landmarks(2, FRAMES, SIZE)
    points[1] += torch.tensor([2.0, 0.0])
    points[:, 1, 60] = torch.nan  # not measured in one frame
    points[1, :, 0] = torch.tensor([-3.0, 11.0])  # outside of the image, in the upper half
    batch = {"clip": torch.rand(2, FRAMES, 1, SIZE, SIZE), "label": torch.zeros(2),
             "landmarks": points}  # fmt: skip
    mixed = RegionReplacing(p=1.0)(batch)["landmarks"]
    lips, eyes = slice(48, 68), slice(36, 48)
    assert torch.equal(mixed[0, :, lips].nan_to_num(), points[1, :, lips].nan_to_num())
    assert torch.equal(mixed[1, :, lips].nan_to_num(), points[0, :, lips].nan_to_num())
    assert torch.equal(mixed[:, :, eyes], points[:, :, eyes])
    assert torch.equal(mixed[:, :, 0], points[:, :, 0])
    assert mixed[0, :, 60].isnan().any(1).tolist() == [False, True, False]


def test_a_clip_without_landmarks_has_no_seam_and_is_kept() -> None:
    batch = {**clips(), "landmarks": phantom_landmarks(COUNT, FRAMES, SIZE)}
    batch["landmarks"][0] = torch.nan
    batch["landmarks"][1, 0] = torch.nan  # one frame: the others say where the seam is
    augment = RegionReplacing(p=1.0, boundary="landmarks")
    mixed = augment(batch)
    assert augment.params["on"].tolist() == [False, True, True, True, True, False]
    assert augment.params["seam"].isnan().any(1).tolist() == [True] + [False] * 5
    assert torch.equal(mixed["clip"][0], batch["clip"][0])


def make(**options: Any) -> RegionReplacing:
    return RegionReplacing(p=1.0, **options)


def far_off() -> Tensor:
    return phantom_landmarks(COUNT, FRAMES, SIZE) / SIZE  # shares instead of pixels


BANK = ClipBank(frames=torch.zeros(2, FRAMES, 3, SIZE, SIZE), label=torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, {"label": None}, "needs 'label'"),
        ({"different_subject": True}, {"subject": None}, "needs 'subject'"),
        ({"boundary": "landmarks"}, {"landmarks": None}, "needs 'landmarks'"),
        ({"boundary": "landmarks"}, {"landmarks": far_off()}, "landmarks of sample 0 put"),
        ({}, {"au_set": torch.zeros(COUNT, 5, 2)}, "au_set must have shape"),
        ({}, {"label": torch.zeros(5)}, "label must have shape"),
        ({}, {"clip": torch.zeros(COUNT, 3, SIZE)}, "clip must have shape"),
        ({"bank": BANK}, {}, "the batch has 'aus', the bank does not"),
        ({"bank": BANK}, {"clip": torch.zeros(COUNT, FRAMES, 3, 8, 8)}, "the bank's clips are"),
    ],
)
def test_bad_input_is_named(options: Any, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)({**clips(), **change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "nose"}, "region must be one of mouth, eyes, got 'nose'"),
        ({"mixing": "sum"}, "mixing must be one of"),
        ({"boundary": "top"}, "boundary must be one of"),
        ({"feather": 1.5}, "feather is a share"),
        ({"bank": BANK, "different_subject": True}, "needs a bank with subjects"),
    ],
)
def test_bad_options_are_named(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)
