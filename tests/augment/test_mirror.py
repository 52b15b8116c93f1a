from __future__ import annotations

import pytest
import torch

from mersynth.augment import ORDER, HalfFaceMirror, RandomHorizontalFlip, au_sets
from mersynth.augment.flip import flip_landmarks
from mersynth.augment.mirror import MIDLINE, SUBJECT_RIGHT
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import MIRROR
from mersynth.phantom.render import PhantomRenderer, Rendered
from mersynth.phantom.subject import PhantomSubject
from tests.augment.samples import clips


@pytest.fixture(scope="module")
def smirk() -> Rendered:
    curves = torch.zeros(2, 20, 2)
    curves[1, CONDITION_AUS.index(12), 0] = 1.0  # on the subject's left
    return PhantomRenderer(PhantomSubject.sample(3), 64).render(curves, flow=True)


@pytest.mark.parametrize(("side", "kept"), [("left", slice(32, 64)), ("right", slice(0, 32))])
def test_keeps_one_half_and_is_symmetric(side: str, kept: slice) -> None:
    clip = torch.rand(2, 3, 3, 16, 64)
    result = HalfFaceMirror(side, p=1)(clip)
    assert torch.equal(result, result.flip(-1))
    assert torch.equal(result[..., kept], clip[..., kept])


def test_the_middle_column_of_an_odd_width_stays() -> None:
    image = torch.rand(2, 3, 8, 9)
    result = HalfFaceMirror("right", p=1)(image)
    assert torch.equal(result[..., :5], image[..., :5])
    assert torch.equal(result, result.flip(-1))


def test_the_right_of_the_face_lies_on_the_images_left(smirk: Rendered) -> None:
    x = smirk.landmarks[0, :, 0]
    middle = x[list(MIDLINE)].mean()
    left = [i for i in range(68) if i not in SUBJECT_RIGHT and i not in MIDLINE]
    assert (x[list(SUBJECT_RIGHT)] < middle).all()
    assert (x[left] > middle).all()
    assert sorted(MIRROR[i] for i in SUBJECT_RIGHT) == left


@pytest.mark.parametrize(("side", "moves"), [("left", True), ("right", False)])
def test_a_smirk_becomes_a_smile_or_nothing(smirk: Rendered, side: str, moves: bool) -> None:
    given = {
        "clip": smirk.frames[None],
        "landmarks": smirk.landmarks[None],
        "au_set": au_sets(["L12+6"]),
        "aus": torch.full((1, 2, 20), 0.5),
    }
    result = HalfFaceMirror(side, "landmarks", p=1)(given)
    moved = (result["clip"][0, 1] - result["clip"][0, 0]).abs().sum(0)
    corners = (result["landmarks"][0, 1] - result["landmarks"][0, 0])[[48, 54]].norm(dim=-1)
    row, column = ORDER.index(12), CONDITION_AUS.index(12)
    assert result["au_set"][0, row].tolist() == [float(moves)] * 2
    assert result["au_set"][0, ORDER.index(6)].tolist() == [1, 1]
    assert result["aus"][..., column].isnan().all()  # measured on both halves together
    assert result["aus"].isnan().sum() == 2
    if moves:
        assert corners.min() > 1
        torch.testing.assert_close(moved[:, :30].sum(), moved[:, 34:].sum(), rtol=0.15, atol=0)
    else:
        assert corners.max() < 0.5 * float((smirk.landmarks[1, 54] - smirk.landmarks[0, 54]).norm())


def test_landmarks_are_symmetric_about_the_axis(smirk: Rendered) -> None:
    given = {
        "clip": smirk.frames[None],
        "landmarks": smirk.landmarks[None] + torch.tensor([3.0, 0]),
    }
    module = HalfFaceMirror("left", "landmarks", p=1)
    result = module(given)["landmarks"]
    axis = module.params["axis"] * 63
    torch.testing.assert_close(
        axis, given["landmarks"][:, :, list(MIDLINE), 0].flatten(1).mean(1), atol=1e-3, rtol=0
    )
    width = float(2 * axis + 1)  # whose middle is the axis
    torch.testing.assert_close(flip_landmarks(result, 0) + torch.tensor([width, 0]), result)
    left = [i for i in range(68) if i not in SUBJECT_RIGHT and i not in MIDLINE]
    assert torch.equal(result[..., left, :], given["landmarks"][..., left, :])


def test_an_axis_between_pixels_mirrors_about_itself() -> None:
    x = torch.arange(32.0)
    image = torch.exp(-(x - 20.0).square() / 18).expand(1, 1, 4, 32)
    landmarks = torch.full((1, 68, 2), 14.3)
    module = HalfFaceMirror("left", "landmarks", p=1)
    result = module({"image": image, "landmarks": landmarks})["image"][0, 0, 0]
    torch.testing.assert_close(result[15:], image[0, 0, 0, 15:], atol=1e-4, rtol=0)
    expected = torch.exp(-(28.6 - x[:14] - 20.0).square() / 18)
    torch.testing.assert_close(result[:14], expected, atol=0.02, rtol=0)


def test_a_sample_without_landmarks_is_kept() -> None:
    given = clips()
    given["landmarks"][1] = float("nan")
    module = HalfFaceMirror(axis="landmarks", p=1)
    result = module(given)
    assert module.params["on"].tolist() == [True, False, True, True]
    assert torch.equal(result["clip"][1], given["clip"][1])


def test_the_half_that_shows_the_expression_is_kept() -> None:
    given = {"image": torch.rand(300, 1, 4, 4), "au_set": au_sets(["L12", "R14", "1+2"] * 100)}
    module = HalfFaceMirror(p=1, generator=torch.Generator().manual_seed(0))
    result = module(given)["au_set"]
    left = module.params["left"]
    assert left[0::3].all()
    assert not left[1::3].any()
    assert 30 < left[2::3].sum() < 70
    expected = au_sets(["12", "14", "1+2"] * 100)
    assert torch.equal(result, expected)


def test_a_mirrored_face_turns_to_no_side() -> None:
    given = {"image": torch.rand(1, 1, 4, 4), "au_set": au_sets(["61+55+12+63"])}
    result = HalfFaceMirror("left", p=1)(given)["au_set"]
    assert torch.equal(result, au_sets(["12+63"]))


def test_flow_is_mirrored_as_vectors(smirk: Rendered) -> None:
    assert smirk.flow is not None
    flow = smirk.flow[1:]
    result = HalfFaceMirror("left", p=1, flow_channels=(0, 1))(flow)
    assert torch.equal(result[..., 32:], flow[..., 32:])
    again = RandomHorizontalFlip(p=1, flow_channels=(0, 1))(result)
    assert torch.equal(again, result)
    assert result[:, 0].abs().max() > 0.5


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"side must be one of .*'both'"):
        HalfFaceMirror("both")
    with pytest.raises(ValueError, match=r"axis must be one of .*'nose'"):
        HalfFaceMirror(axis="nose")
    with pytest.raises(ValueError, match="needs 'landmarks'"):
        HalfFaceMirror(axis="landmarks")(torch.rand(2, 3, 4, 4))


def test_gaze_does_not_count_as_the_half_that_shows_something() -> None:
    sets = au_sets(["L12+51"]).expand(64, -1, -1).clone()
    torch.manual_seed(0)
    mirrored = HalfFaceMirror("random", p=1.0)({"image": torch.rand(64, 3, 8, 8), "au_set": sets})
    assert (mirrored["au_set"][:, ORDER.index(12)] == 1).all()
