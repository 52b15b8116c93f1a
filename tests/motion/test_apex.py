"""Apex spotting against the phantom's truth and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.apex import (
    APEX_METHODS,
    apex_signal,
    divide_and_conquer,
    measure_apex,
    spot_apex,
)
from mersynth.motion.lbp import histogram_difference, lbp_histograms
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.store.dataset import to_float

_APEX, _LENGTH = 7, 21


@pytest.fixture(scope="module")
def renderer() -> PhantomRenderer:
    return PhantomRenderer(PhantomSubject.sample(1), 64)


def _smile(renderer: PhantomRenderer, drift: float = 0.0, noise: bool = False) -> Tensor:
    """AUs 6 and 12 that peak at frame 7 of 21, on a head that shifts and rolls steadily."""
    time = torch.arange(_LENGTH)
    curve = torch.minimum(time / _APEX, (_LENGTH - 1 - time) / (_LENGTH - 1 - _APEX))
    aus = torch.zeros(_LENGTH, len(CONDITION_AUS), 2)
    for au in (6, 12):
        aus[:, CONDITION_AUS.index(au)] = 0.4 * curve[:, None]
    pose = torch.zeros(_LENGTH, 5)
    pose[:, :3] = drift * torch.linspace(0, 1, _LENGTH)[:, None]
    generator = torch.Generator().manual_seed(0) if noise else None
    return renderer.render(aus, pose, noise_generator=generator).frames


@pytest.mark.parametrize("reference", ["ends", "onset"])
@pytest.mark.parametrize("method", APEX_METHODS)
def test_finds_the_apex_of_a_clean_clip(
    renderer: PhantomRenderer, method: str, reference: str
) -> None:
    spotted = spot_apex(_smile(renderer), method, reference=reference)  # type: ignore[arg-type]
    assert abs(spotted - _APEX) <= 1


@pytest.mark.parametrize("method", ["strain", "flow", "difference"])
def test_neither_flicker_nor_noise_nor_grey_move_the_apex(
    renderer: PhantomRenderer, method: str
) -> None:
    clip = _smile(renderer, noise=True)
    flicker = torch.from_numpy(np.random.default_rng(0).uniform(0.8, 1.0, (_LENGTH, 1, 1, 1)))
    spotted = spot_apex(clip * flicker.float(), method)
    assert abs(spotted - _APEX) <= 2
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert spot_apex((clip * flicker.float() * luma).sum(1, keepdim=True), method) == spotted


def test_steady_drift_of_the_head_cancels_between_the_ends(renderer: PhantomRenderer) -> None:
    """A head that shifts by 1.3 pixels: from the onset alone, the drift is the movement."""
    clip = _smile(renderer, drift=0.02)
    assert spot_apex(clip, "difference", reference="onset") >= _LENGTH - 3
    assert abs(spot_apex(clip, "strain") - _APEX) <= 2
    assert abs(spot_apex(clip, "flow") - _APEX) <= 2


def test_flow_signal_does_not_see_a_shift_and_strain_no_turn() -> None:
    side, length = 64, 9
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    hump = torch.sin(torch.linspace(0, torch.pi, length))

    def texture(x: Tensor, y: Tensor) -> Tensor:
        return 0.5 + 0.2 * torch.sin(9 * x + 4 * y) + 0.2 * torch.cos(11 * y - 3 * x)

    def frames(shift: float, turn: float, grow: float) -> Tensor:
        views = []
        for share in hump.tolist():
            a, s = share * turn, 1 - share * grow
            views.append(texture(s * (x - a * y) - share * shift, s * (y + a * x)))
        return torch.stack(views)[:, None]

    one_pixel = 2 / side
    growing = frames(0, 0, one_pixel)
    for method in ("flow", "strain"):
        assert spot_apex(growing, method) == 4
    shifted = apex_signal(frames(one_pixel, 0, 0), "flow").max()
    assert shifted < 0.2 * apex_signal(growing, "flow").max()
    turned = apex_signal(frames(0, one_pixel, 0), "strain").max()
    assert turned < 0.35 * apex_signal(growing, "strain").max()


@pytest.mark.parametrize("method", APEX_METHODS)
def test_signal_begins_and_ends_at_rest(renderer: PhantomRenderer, method: str) -> None:
    signal = apex_signal(_smile(renderer, drift=0.01), method)
    assert signal.shape == (_LENGTH,)
    if method == "lbp":  # to the frame itself it differs by 0, and to the other end by all
        torch.testing.assert_close(signal[0], signal[-1])
    else:
        assert signal[0].abs() < 1e-6
        assert signal[-1].abs() < 1e-6
    assert apex_signal(_smile(renderer), method, reference="onset")[0].abs() < 1e-6


def test_difference_signal_in_closed_form() -> None:
    """Half of the face brightens as much as the other darkens, so the mean light stays."""
    curve = torch.tensor([0.0, 0.1, 0.3, 0.2, 0.1])
    clip = torch.full((5, 1, 32, 32), 0.5)
    clip[..., :16] += curve[:, None, None, None]
    clip[..., 16:] -= curve[:, None, None, None]
    onset = apex_signal(clip, "difference", reference="onset", smoothing=0)
    torch.testing.assert_close(onset, curve)
    ends = apex_signal(clip, "difference", smoothing=0)
    torch.testing.assert_close(ends, curve - 0.1 * torch.arange(5) / 4)
    weights = torch.exp(-0.5 * ((torch.arange(5)[:, None] - torch.arange(5)) / 1.0) ** 2)
    smooth = weights / weights.sum(1, keepdim=True) @ curve
    smoothed = apex_signal(clip, "difference", reference="onset", smoothing=0.2)
    torch.testing.assert_close(smoothed, (smooth - smooth[0]).abs())


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ([0, 1, 0, 0, 0, 0, 0, 0], 1),
        ([0, 0, 0, 5, 0, 0, 0, 0], 3),
        ([0, 3, 0, 0, 0, 2, 0, 2, 0, 0], 5),  # two peaks outweigh the largest; then the earlier
        ([0, 2, 0, 2, 0, 0, 0, 3, 0, 0], 1),  # 2 + 2 in 0..4, then 2 in 0..1 equals 2 in 2..4
        ([0, 0, 0, 1, 2, 3], 4),  # no peak: the largest between the ends
        ([0, 4, 4, 0, 1, 0], 1),  # a plateau is one peak
    ],
)
def test_divide_and_conquer(signal: list[int], expected: int) -> None:
    assert divide_and_conquer(torch.tensor(signal, dtype=torch.float64)) == expected


def test_lbp_histograms_of_blocks() -> None:
    torch.manual_seed(0)
    frames = torch.rand(1, 48, 42).expand(2, -1, -1).clone()
    frames[1, 30:] = torch.rand(18, 42)  # codes see 3 pixels up
    histograms = lbp_histograms(frames, blocks=3)
    assert histograms.shape == (2, 9, 59)
    torch.testing.assert_close(histograms.sum(-1), torch.ones(2, 9, dtype=torch.float64))
    change = histogram_difference(histograms[1], histograms[0])
    torch.testing.assert_close(change[:3], torch.zeros(3, dtype=torch.float64))
    assert torch.all(change[6:] > 1e-3)
    torch.testing.assert_close(lbp_histograms(0.5 * frames + 0.1, 3), histograms, atol=5e-3, rtol=0)
    flat = lbp_histograms(torch.full((1, 40, 40), 0.5))
    assert torch.equal(flat.amax(-1), torch.ones(1, 36, dtype=torch.float64))  # one code
    with pytest.raises(ValueError, match=r"sides of 12 pixels or more.*got \(1, 11, 40\)"):
        lbp_histograms(torch.zeros(1, 11, 40))


def test_histogram_difference_by_hand() -> None:
    one, two = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 4.0, 3.0])
    torch.testing.assert_close(histogram_difference(one, two), torch.tensor(1 - 16 / 25))
    torch.testing.assert_close(histogram_difference(one, 2 * one), torch.tensor(0.0))


@pytest.mark.slow
def test_measures_error_on_the_phantom() -> None:
    """On moving heads, with noise, blinks and flicker: strain beats onset-only methods."""
    specs = clip_specs(
        seed=5, subjects=4, counts={"happiness": 8, "anger": 8}, first_subject=300, fps=50.0
    )
    clips = [(to_float(render_clip(s, 64)[0]), s.clip.apex_index or 0) for s in specs]
    errors = measure_apex(clips, ["strain"])
    assert set(errors) == {"strain", "middle"}
    assert errors["strain"].clips == 16
    spotted = [spot_apex(clip) for clip, _ in clips]
    wrong = [abs(one - apex) for one, (_, apex) in zip(spotted, clips, strict=True)]
    assert errors["strain"].frames == pytest.approx(np.mean(wrong))
    shares = [e / len(clip) for e, (clip, _) in zip(wrong, clips, strict=True)]
    assert errors["strain"].share == pytest.approx(np.mean(shares))
    middle = [abs((len(clip) - 1) // 2 - apex) for clip, apex in clips]
    assert errors["middle"].frames == pytest.approx(np.mean(middle))
    assert errors["strain"].share < 0.15  # a guess at random is wrong by 0.26
    onset = [abs(spot_apex(clip, reference="onset") - apex) for clip, apex in clips]
    assert np.mean(onset) > errors["strain"].frames


def test_measures_nothing_without_clips() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        measure_apex([])


_CLIP = torch.rand(5, 3, 32, 32)


@pytest.mark.parametrize(
    ("clip", "options", "message"),
    [
        (_CLIP[:1], {}, "3 frames or more, got 1; leave"),
        (_CLIP[:2], {}, "3 frames or more, got 2; leave"),
        (_CLIP[:, :, :20], {}, "frames of 32 x 32 pixels or more, got 20 x 32; .*--image-size"),
        (_CLIP[:1].expand(5, -1, -1, -1), {}, "all 5 frames of the clip are the same"),
        (_CLIP + 1, {}, r"must lie in \[0, 1\]"),
        (torch.full_like(_CLIP, torch.nan), {}, r"must lie in \[0, 1\]"),
        ((_CLIP * 255).byte(), {}, "divide uint8 by 255"),
        (_CLIP, {"method": "middle"}, "strain, flow, lbp, difference, got 'middle'"),
        (_CLIP, {"reference": "offset"}, "must be one of ends, onset, got 'offset'"),
        (_CLIP, {"smoothing": -0.1}, r"\[0, 1\), a share of the clip, got -0.1"),
    ],
)
def test_refuses(clip: Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spot_apex(clip, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", APEX_METHODS)
def test_a_change_of_light_alone_is_not_movement(method: str) -> None:
    clip = _CLIP[:1] * torch.tensor([1.0, 0.5, 0.25, 0.5, 1.0])[:, None, None, None]
    with pytest.raises(ValueError, match="finds no movement in the clip of 5 frames"):
        spot_apex(clip, method)
