"""Linear Eulerian magnification against gratings, whose motion is a phase."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mersynth.motion.magnify.evm import eulerian, eulerian_pair
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SIZE = 96


def grating(wavelength: float, shift: float | Tensor, size: int = SIZE) -> Tensor:
    """(N, 1, S, S): vertical stripes moved to the right by ``shift`` pixels."""
    x = torch.arange(size, dtype=torch.float32)
    phase = (x - torch.as_tensor(shift, dtype=torch.float32).reshape(-1, 1)) * math.tau / wavelength
    return (0.5 + 0.2 * torch.sin(phase))[:, None, None].expand(-1, 1, size, -1)


def shift_of(image: Tensor, wavelength: float) -> float:
    """Shift of the stripes of (1, 1, S, S) from the Fourier coefficient of its middle."""
    periods = int((SIZE - 32) // wavelength)
    left = 16
    x = torch.arange(left, left + round(periods * wavelength), dtype=torch.float64)
    row = image[0, 0, SIZE // 2, left : left + len(x)].double() - 0.5
    wave = torch.exp(-1j * math.tau * x / wavelength)
    # sin(w (x - s)) has the coefficient exp(-i (w s + pi / 2)) / 2
    angle = -torch.angle((row * wave).mean()).item() - math.pi / 2
    return (angle + math.pi) % math.tau * wavelength / math.tau - wavelength / 2


@pytest.mark.parametrize("alpha", [1.0, 2.0, 4.0, 8.0])
def test_motion_of_long_waves_becomes_alpha_times_as_large(alpha: float) -> None:
    wavelength, delta = 16.0, 0.1  # alpha * delta stays below lambda / 8 = 2
    made = eulerian_pair(grating(wavelength, 0), grating(wavelength, delta), alpha, wavelength=4)
    assert shift_of(made, wavelength) == pytest.approx(alpha * delta, rel=0.05)


def test_waves_shorter_than_the_cutoff_get_a_smaller_share() -> None:
    alpha, cutoff, delta = 8.0, 64.0, 0.02
    obtained = {}
    for wavelength in (4.0, 8.0, 16.0):
        made = eulerian_pair(grating(wavelength, 0), grating(wavelength, delta), alpha, cutoff)
        obtained[wavelength] = shift_of(made, wavelength) / delta
    assert obtained[4.0] == pytest.approx(1, abs=0.02)  # 8 * 4 / 64 is below 1: left alone
    assert obtained[4.0] < obtained[8.0] < obtained[16.0]
    # No wave of at most 16 pixels lies in the levels that get more than half of alpha.
    assert obtained[16.0] < alpha / 2


def test_without_cutoff_and_residual_the_difference_is_amplified() -> None:
    generator = torch.Generator().manual_seed(0)
    apex = 0.5 + 0.02 * torch.randn(2, 3, 64, 64, generator=generator)
    onset = 0.5 + 0.02 * torch.randn(2, 3, 64, 64, generator=generator)
    alpha = torch.tensor([2.0, 3.0])
    made = eulerian_pair(onset, apex, alpha, wavelength=0)
    wanted = apex + (alpha - 1)[:, None, None, None] * (apex - onset)
    # What is left out is the residual, here the local mean of noise over half of the image.
    assert (made - wanted).abs().max() < 0.1 * (made - apex).abs().max()


def test_light_that_changes_everywhere_is_not_motion() -> None:
    onset = torch.full((1, 3, 64, 64), 0.4)
    torch.testing.assert_close(eulerian_pair(onset, onset + 0.1, 10.0), onset + 0.1)


def test_alpha_one_changes_nothing() -> None:
    clip = torch.rand(2, 5, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(eulerian_pair(clip[:, 0], clip[:, 1], 1.0), clip[:, 1])
    torch.testing.assert_close(eulerian(clip, 1.0, 1.0, 10.0, 30.0), clip)


def test_only_the_band_is_magnified() -> None:
    count, fps, wavelength = 60, 60.0, 16.0
    t = torch.arange(count) + 0.5
    slow, fast = (0.1 * torch.cos(math.pi * t * k / count) for k in (4, 24))  # 2 Hz and 12 Hz
    clip = grating(wavelength, slow + fast)[None]
    made = eulerian(clip, 5.0, 8.0, 16.0, fps, wavelength=4)
    shifts = np.array([shift_of(made[:, i], wavelength) for i in range(count)])
    wanted = (slow + 5 * fast).numpy()
    assert np.abs(shifts - wanted).max() < 0.05
    still = eulerian(clip, 5.0, 20.0, 30.0, fps, wavelength)
    torch.testing.assert_close(still, clip, atol=2e-3, rtol=0)


def test_the_filter_is_the_fourier_transform_of_the_mirrored_clip() -> None:
    generator = torch.Generator().manual_seed(1)
    clip = 0.5 + 0.01 * torch.randn(1, 9, 1, 16, 16, generator=generator)
    low, high, fps, alpha = 5.0, 14.0, 30.0, 3.0
    change = eulerian(clip, alpha, low, high, fps, wavelength=0) - clip
    series = clip.numpy()
    spectrum = np.fft.rfft(np.concatenate([series, series[:, ::-1]], 1), axis=1)
    frequency = np.fft.rfftfreq(18, 1 / fps)
    spectrum[:, (frequency < low) | (frequency > high)] = 0
    filtered = torch.from_numpy(np.fft.irfft(spectrum, axis=1)[:, :9]).float()
    # The spatial part is tested above: it is linear, and the same for all frames.
    wanted = torch.stack(
        [
            eulerian_pair(torch.full_like(f, 0.5) - f, torch.full_like(f, 0.5), alpha, 0) - 0.5
            for f in filtered.unbind(1)
        ],
        1,
    )
    torch.testing.assert_close(change, wanted, atol=1e-5, rtol=0)


def test_phantom_frames_come_nearer_to_the_truth() -> None:
    renderer = PhantomRenderer(PhantomSubject.sample(6100), 96)
    aus = torch.zeros(3, 20, 2)
    aus[1:, 9] = torch.tensor([0.1, 0.3])[:, None]
    onset, apex, truth = renderer.render(aus).frames[:, None]
    made = eulerian_pair(onset, apex, 3.0, wavelength=8)
    assert (made - truth).square().mean() < 0.5 * (apex - truth).square().mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.5}, "1 or more"),
        ({"alpha": torch.ones(3)}, r"shape \(2,\)"),
        ({"low": 9.0}, "low=9.0"),
        ({"high": 16.0}, "high=16.0"),
        ({"low": 0.1, "high": 0.2}, "no frequency"),
        ({"levels": 4}, r"1\.\.3"),
        ({"wavelength": -1.0}, "wavelength"),
        ({"clip": torch.zeros(5, 3, 32, 32)}, r"\(B, T, C, H, W\)"),
        ({"clip": torch.zeros(2, 5, 3, 6, 32)}, "8 x 8 pixels or more, got 6 x 32"),
    ],
)
def test_errors_name_the_value(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "clip": torch.zeros(2, 5, 3, 32, 32), "alpha": 2.0, "low": 1.0, "high": 8.0, "fps": 30.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        eulerian(**{**arguments, **change})  # type: ignore[arg-type]


def test_frames_of_a_pair_must_have_one_shape() -> None:
    with pytest.raises(ValueError, match="onset and apex"):
        eulerian_pair(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 18), 2.0)
