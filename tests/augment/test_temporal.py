from __future__ import annotations

from typing import Any

import pytest
import torch

from mersynth.augment import OnsetApexPair, PhasesApart, TemporalResample


def numbered(batch: int, frames: int, **more: Any) -> dict[str, Any]:
    """Clips, AUs and landmarks whose every value is the number of the frame."""
    number = torch.arange(frames, dtype=torch.float32).expand(batch, frames)
    return {
        "clip": number[:, :, None, None, None].expand(-1, -1, 1, 2, 2),
        "aus": number[:, :, None].expand(-1, -1, 20) / 100,
        "landmarks": number[:, :, None, None].expand(-1, -1, 68, 2),
        **more,
    }


def chosen(rule: str, onset: int, apex: int, frames: int, p: float = 1.0) -> torch.Tensor:
    """(4000, 2): the frames that a rule draws for onset and apex."""
    module = OnsetApexPair(rule, p=p, generator=torch.Generator().manual_seed(0))
    indices = {"onset_index": torch.full((4000,), onset), "apex_index": torch.full((4000,), apex)}
    result = module(numbered(4000, frames, **indices))
    pair = result["clip"][:, :, 0, 0, 0]
    torch.testing.assert_close(result["aus"][:, :, 5], pair / 100)
    torch.testing.assert_close(result["landmarks"][:, :, 7, 1], pair)
    assert result["onset_index"].eq(0).all()
    assert result["apex_index"].eq(1).all()
    return pair.long()


def spread(values: torch.Tensor) -> dict[int, float]:
    found, count = values.unique(return_counts=True)
    return dict(zip(found.tolist(), (count / len(values)).tolist(), strict=True))


@pytest.mark.parametrize(
    ("rule", "onsets", "apexes"),
    [
        ("mmnet", {9, 10, 11, 12}, {89, 90, 91, 92}),
        ("mmnet-published", {10, 11, 12, 13}, {87, 88, 89, 90}),  # floor(0.15 * 80 / 4) = 3
        ("frl-dgt", {10}, {89, 91}),
    ],
)
def test_rules_draw_their_frames_evenly(rule: str, onsets: set[int], apexes: set[int]) -> None:
    pair = chosen(rule, 10, 90, 100)
    for values, expected in ((pair[:, 0], onsets), (pair[:, 1], apexes)):
        shares = spread(values)
        assert set(shares) == expected
        assert all(abs(share - 1 / len(expected)) < 0.04 for share in shares.values())
    together = {tuple(row) for row in pair.tolist()}
    assert len(together) == len(onsets) * len(apexes)


@pytest.mark.parametrize("rule", ["mmnet", "mmnet-published", "frl-dgt"])
@pytest.mark.parametrize(("onset", "apex", "frames"), [(0, 1, 2), (0, 2, 3), (3, 5, 6), (0, 9, 10)])
def test_what_is_drawn_lies_in_the_clip_and_in_order(
    rule: str, onset: int, apex: int, frames: int
) -> None:
    pair = chosen(rule, onset, apex, frames)
    assert pair.min() >= 0
    assert pair.max() < frames
    assert (pair[:, 0] < pair[:, 1]).all()


def test_off_gives_the_annotated_frames() -> None:
    assert spread(chosen("mmnet", 4, 20, 30, p=0)[:, 1]) == {20: 1.0}
    half = chosen("frl-dgt", 4, 20, 30, p=0.5)[:, 1]
    assert spread(half).keys() == {19, 20, 21}


def test_a_clip_begins_at_its_onset_by_default() -> None:
    result = OnsetApexPair("frl-dgt")(numbered(3, 9, apex_index=torch.tensor([2, 4, 8])))
    assert result["clip"][:, 0].eq(0).all()
    assert "onset_index" not in result


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "give a mapping with 'clip' .* and 'apex_index'"),
        ({"apex_index": torch.tensor([3, 9])}, r"apex_index must be int64 within 0..8.*\[3, 9\]"),
        ({"apex_index": torch.tensor([3, -1])}, "apex_index must be"),
        ({"apex_index": torch.tensor([3.0, 4.0])}, "apex_index must be int64"),
        (
            {"apex_index": torch.tensor([3, 4]), "onset_index": torch.tensor([4, 4])},
            r"apex lies before its onset: apex_index \[3, 4\]",
        ),
    ],
)
def test_a_clip_without_a_fitting_apex_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnsetApexPair()(numbered(2, 9, **more))


def test_images_have_no_frames_to_choose() -> None:
    image = {"image": torch.rand(2, 3, 4, 4), "apex_index": torch.tensor([0, 0])}
    with pytest.raises(ValueError, match="OnsetApexPair: give a mapping"):
        OnsetApexPair()(image)
    with pytest.raises(ValueError, match="TemporalResample: give clips"):
        TemporalResample()(image)


def test_resampling_keeps_the_wanted_share_at_even_steps() -> None:
    module = TemporalResample(11, (0.25, 0.75), generator=torch.Generator().manual_seed(0))
    result = module(numbered(2000, 41))
    time = result["clip"][:, :, 0, 0, 0]
    step = time.diff(dim=1)
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=1e-4, rtol=0)
    length = time[:, -1] - time[:, 0]
    assert 10 <= length.min() < 10.5
    assert 29.5 < length.max() <= 30.001
    assert time[:, 0].min() < 0.5
    assert time[:, -1].max() > 39.5
    torch.testing.assert_close(result["landmarks"][:, :, 3, 0], time)
    torch.testing.assert_close(result["aus"][:, :, 3], time / 100)


def test_the_apex_stays_in_the_clip_and_its_index_finds_it() -> None:
    apex = torch.arange(41).repeat(20)
    module = TemporalResample(30, (0.1, 0.6), generator=torch.Generator().manual_seed(0))
    more = {"apex_index": apex, "onset_index": torch.zeros_like(apex)}
    result = module(numbered(820, 41, **more))
    time = result["clip"][:, :, 0, 0, 0]
    at_apex = time.gather(1, result["apex_index"][:, None])[:, 0]
    step = time[:, 1] - time[:, 0]
    assert ((at_apex - apex).abs() <= step / 2 + 1e-3).all()
    assert torch.equal(result["onset_index"], time.argmin(1))


def test_off_is_even_over_the_whole_clip() -> None:
    time = TemporalResample(5, p=0)(numbered(2, 9))["clip"][0, :, 0, 0, 0]
    assert time.tolist() == [0, 2, 4, 6, 8]
    more = TemporalResample(17, p=0)(numbered(2, 9))["clip"][0, :, 0, 0, 0]
    torch.testing.assert_close(more, torch.arange(17) / 2)


def test_nearest_invents_no_frame() -> None:
    given = numbered(50, 9)
    time = TemporalResample(20, interpolation="nearest")(given)["clip"][:, :, 0, 0, 0]
    assert torch.equal(time, time.round())
    assert (time.diff(dim=1) >= 0).all()


def test_an_unmeasured_frame_spoils_only_what_it_takes_part_in() -> None:
    given = numbered(1, 5)
    given["aus"] = given["aus"].clone()
    given["aus"][:, 2] = float("nan")
    result = TemporalResample(9, p=0)(given)["aus"][0, :, 0]
    assert result.isnan().tolist() == [False, False, False, True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (OnsetApexPair, {"jitter": "none"}, "jitter must be one of .*'none'"),
        (TemporalResample, {"num_frames": 1}, "num_frames must be 2 or more, got 1"),
        (TemporalResample, {"keep": 0}, "keep must be"),
        (
            TemporalResample,
            {"interpolation": "cubic"},
            "interpolation must be one of linear, nearest",
        ),
    ],
)
def test_wrong_options_are_named(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_clip_whose_apex_is_not_known_keeps_that() -> None:
    inputs = {"clip": torch.rand(2, 12, 3, 8, 8), "apex_index": torch.tensor([-1, 6])}
    resampled = TemporalResample(keep=(0.5, 0.5))(inputs)
    assert resampled["apex_index"][0] == -1
    assert resampled["apex_index"][1] >= 0
    with pytest.raises(ValueError, match="leave out clips whose apex is not known"):
        OnsetApexPair()(inputs)


def test_mmnets_published_reach_is_rounded_down() -> None:
    """0.15 * 90 / 4 = 3.375: up to three frames, never four."""
    frames = torch.arange(100.0).reshape(1, 100, 1, 1, 1).expand(400, -1, 1, 2, 2)
    torch.manual_seed(0)
    pair = OnsetApexPair("mmnet-published")
    drawn = pair({"clip": frames, "apex_index": torch.full((400,), 90)})["clip"][..., 0, 0, 0]
    assert drawn[:, 0].unique().tolist() == [0, 1, 2, 3]
    assert drawn[:, 1].unique().tolist() == [87, 88, 89, 90]


def test_a_phase_begins_at_rest_and_ends_at_the_apex() -> None:
    given = numbered(400, 9, onset_index=torch.ones(400).long(), apex_index=torch.full((400,), 4))
    module = PhasesApart(generator=torch.Generator().manual_seed(0))
    result = module(given)
    time, falling = result["clip"][:, :, 0, 0, 0], module.params["falling"]
    assert 0.4 < falling.float().mean() < 0.6
    torch.testing.assert_close(time[~falling][0], torch.linspace(1, 4, 9))  # the rise
    torch.testing.assert_close(time[falling][0], torch.linspace(8, 4, 9))  # the fall, backwards
    assert (time[~falling] == time[~falling][:1]).all()
    assert (time[falling] == time[falling][:1]).all()
    torch.testing.assert_close(result["aus"][:, :, 5], time / 100)
    torch.testing.assert_close(result["landmarks"][:, :, 7, 1], time)
    assert result["onset_index"].eq(0).all()
    assert result["apex_index"].eq(8).all()
    both = {"on": torch.tensor([True, True]), "falling": torch.tensor([False, True])}
    two = module(numbered(2, 9, apex_index=torch.tensor([4, 4])), params=both)
    assert two["clip"][:, 0, 0, 0, 0].tolist() == [0, 8]  # the two samples of one clip


def test_a_clip_of_one_phase_shows_that_one() -> None:
    given = numbered(100, 5, apex_index=torch.tensor([4, 0]).repeat(50))
    time = PhasesApart(generator=torch.Generator().manual_seed(0))(given)["clip"][:, :, 0, 0, 0]
    assert (time[::2] == torch.arange(5)).all()  # it only rises
    assert (time[1::2] == 4 - torch.arange(5)).all()  # it only falls


def test_phases_need_an_apex() -> None:
    with pytest.raises(ValueError, match="PhasesApart: give a mapping with 'clip'"):
        PhasesApart()(torch.rand(2, 9, 3, 8, 8))
    with pytest.raises(ValueError, match=r"PhasesApart: apex_index must be int64 within 0\.\.8"):
        PhasesApart()(numbered(2, 9, apex_index=torch.tensor([3, -1])))
