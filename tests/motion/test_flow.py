"""Optical flow against scikit-image, OpenCV, closed forms and the phantom's truth."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest
import torch
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.flow import (
    METHODS,
    dis,
    farneback,
    magnitude,
    optical_flow,
    optical_strain,
    tvl1,
)
from mersynth.motion.flow_images import flow_to_hsv, hsv_to_rgb, on_apex_off_magnitudes
from mersynth.motion.luma import luma
from mersynth.motion.warp import warp
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.store.dataset import to_float, to_uint8
from tests.script_modules import script

flow_accuracy = script("measuring.flow_accuracy")

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Onset and apex (3, 3, 128, 128) with true flow: a micro, a macro and a weak movement."""
    firsts, seconds, flows = [], [], []
    for subject, aus, intensity in ((7, (1, 12), 0.3), (8, (4, 12, 25), 0.9), (9, (15,), 0.1)):
        wanted = torch.zeros(2, len(CONDITION_AUS), 2)
        for au in aus:
            wanted[1, CONDITION_AUS.index(au)] = intensity
        rendered = PhantomRenderer(PhantomSubject.sample(subject), 128).render(
            wanted, noise_generator=torch.Generator().manual_seed(subject), flow=True
        )
        assert rendered.flow is not None
        firsts.append(rendered.frames[0])
        seconds.append(rendered.frames[1])
        flows.append(rendered.flow[1])
    return torch.stack(firsts), torch.stack(seconds), torch.stack(flows)


def pattern(height: int, width: int, dx: float = 0.0, dy: float = 0.0) -> Tensor:
    """A smooth pattern (1, 1, H, W) in [0, 1], moved by so many pixels."""
    y = torch.arange(height)[:, None] - dy
    x = torch.arange(width) - dx
    waves = torch.sin(x / 3.1 + 0.3 * torch.sin(y / 5)) + torch.cos(y / 3.7 + 0.2 * x / 3)
    return (waves / 4 + 0.5)[None, None]


def scikit_image(first: Tensor, second: Tensor, **options: object) -> Tensor:
    greys = [(frames * LUMA).sum(1).numpy() if frames.shape[1] == 3 else frames[:, 0].numpy()
             for frames in (first, second)]  # fmt: skip
    flows = [optical_flow_tvl1(*pair, **options)[::-1] for pair in zip(*greys, strict=True)]
    return torch.from_numpy(np.stack(flows))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attachment": 38.25, "prefilter": True, "num_iter": 5},
        {"attachment": 5.0, "tightness": 0.15, "num_warp": 3, "tol": 1e-2},
    ],
    ids=["defaults", "filtered", "stops early"],
)
def test_tvl1_agrees_with_scikit_image(
    pairs: tuple[Tensor, Tensor, Tensor], options: dict[str, float]
) -> None:
    first, second = (frames[..., 24:104, 24:104] for frames in pairs[:2])  # the face
    ours, theirs = tvl1(first, second, **options), scikit_image(first, second, **options)
    assert ours.dtype == torch.float32
    difference = (ours - theirs).norm(dim=1)  # end-point difference, pixels
    # A median may choose another neighbour where two differ by rounding.
    assert difference.mean((1, 2)).max() < (0.01 if options.get("prefilter") else 1e-4)


@pytest.mark.parametrize("size", [(47, 66), (129, 33), (16, 90)])
def test_tvl1_agrees_with_scikit_image_at_odd_sizes(size: tuple[int, int]) -> None:
    first, second = pattern(*size), pattern(*size, dx=1.3, dy=-0.7)
    difference = (tvl1(first, second) - scikit_image(first, second)).norm(dim=1)
    assert difference.mean() < 1e-3


def test_a_flow_does_not_depend_on_the_batch(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    # The weak movement stops after other numbers of warps than the strong one; pairs that show
    # nothing stop at once.
    first, second, _ = pairs
    batch = torch.cat([first, first, first]), torch.cat([second, first, second.flip(-1)])
    together = tvl1(*batch, tol=1e-3)
    alone = [tvl1(one[None], two[None], tol=1e-3) for one, two in zip(*batch, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    assert together[3:6].abs().max() < 1e-3


def test_the_tolerance_ends_iterations_early(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, _ = pairs
    once = tvl1(first, second, num_warp=1)
    assert torch.equal(tvl1(first, second, num_warp=4, tol=1e6), once)
    assert not torch.allclose(tvl1(first, second, num_warp=4, tol=0), once, atol=1e-2)


def test_the_number_of_threads_is_left_as_it_was(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        tvl1(pairs[0], pairs[1], num_warp=1, num_iter=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_is_found(method: str) -> None:
    flow = optical_flow(pattern(64, 80), pattern(64, 80, dx=1.5, dy=-0.5), method)
    assert flow.shape == (1, 2, 64, 80)
    inside = flow[..., 12:-12, 12:-12].mean((0, 2, 3))
    torch.testing.assert_close(inside, torch.tensor([1.5, -0.5]), atol=0.15, rtol=0)


@pytest.mark.parametrize(("method", "bound"), [("tvl1", 0.7), ("farneback", 0.7), ("dis", 0.5)])
def test_the_phantom_moves_as_it_truly_moves(
    pairs: tuple[Tensor, Tensor, Tensor], method: str, bound: float
) -> None:
    first, second, truth = pairs
    flow = optical_flow(first, second, method)
    length = truth.norm(dim=1)
    moved = length > 0.05 * length.amax((1, 2), keepdim=True)
    error = (flow - truth).norm(dim=1)
    for pair in range(2):  # the third movement drowns in the camera's noise
        relative = error[pair][moved[pair]].mean() / length[pair][moved[pair]].mean()
        assert relative < bound


def test_flow_errors_are_those_of_the_definition() -> None:
    measured = flow_accuracy.flow_pairs(2, "micro", 64)
    again = flow_accuracy.flow_pairs(2, "micro", 64)
    assert torch.equal(measured.apex, again.apex)
    methods = {
        "truth": lambda first, second: measured.flow,
        "nothing": lambda first, second: torch.zeros_like(measured.flow),
        "off": lambda first, second: measured.flow + torch.tensor([3.0, 4.0])[:, None, None],
    }
    errors = flow_accuracy.measure_flow(methods, measured)
    assert errors["truth"].pixels == 0
    assert errors["nothing"].relative == pytest.approx(1)
    assert errors["nothing"].pixels == pytest.approx(errors["nothing"].motion)
    assert errors["off"].pixels == pytest.approx(5, abs=1e-4)
    assert errors["off"].elsewhere == pytest.approx(5, abs=1e-4)
    # What moves less than the region's bound is all there is elsewhere.
    assert 0 <= errors["nothing"].elsewhere < 0.05 * measured.flow.norm(dim=1).max()


def test_opencv_methods_are_opencvs_on_stored_frames(
    pairs: tuple[Tensor, Tensor, Tensor],
) -> None:
    stored = [torch.from_numpy(to_uint8(frames[1])) for frames in pairs[:2]]  # (H, W, 3) uint8
    first, second = (frame.permute(2, 0, 1)[None] / 255 for frame in stored)
    greys = [(frame[0] * LUMA).sum(0).mul(255).round().byte().numpy() for frame in (first, second)]
    wanted = cv2.calcOpticalFlowFarneback(*greys, None, 0.5, 1, 15, 2, 5, 1.1, 0)
    found = farneback(first, second)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert (
        np.abs(farneback(first, second, winsize=31)[0].permute(1, 2, 0).numpy() - found).max() > 1
    )
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(1)
    wanted = method.calc(*greys, None)
    found = dis(first, second, preset="fast", finest_scale=1)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_grey_and_colour_frames_give_one_flow(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, _ = (values[:1] for values in pairs)
    greys = [(frames * LUMA).sum(1, keepdim=True) for frames in (first, second)]
    torch.testing.assert_close(tvl1(*greys), tvl1(first, second), atol=1e-3, rtol=0)


def test_double_precision_is_kept() -> None:
    first, second = pattern(48, 48).double(), pattern(48, 48, dx=1.0).double()
    exact = tvl1(first, second)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(tvl1(first.float(), second.float()).double(), exact, atol=1e-3,
                               rtol=0)  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tvl1_on_a_gpu_is_that_of_the_cpu(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, _ = pairs
    found = tvl1(first.cuda(), second.cuda())
    assert found.is_cuda
    assert (found.cpu() - tvl1(first, second)).norm(dim=1).mean() < 1e-3


def test_warping_back_undoes_the_movement(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, truth = (values[1:2] for values in pairs)
    moved = truth.norm(dim=1, keepdim=True).expand_as(first) > 1
    before = (second - first)[moved].abs().mean()
    assert (warp(second, truth) - first)[moved].abs().mean() < 0.6 * before
    shift = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 128, 128)
    torch.testing.assert_close(
        warp(first, shift)[..., 3:, :-2], first[..., :-3, 2:], atol=1e-4, rtol=0
    )


def test_magnitude_and_strain_of_a_linear_flow() -> None:
    # u = 0.3 x + 0.1 y, v = -0.2 x + 0.4 y: strain is the same everywhere.
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    flow = torch.stack([0.3 * x + 0.1 * y, -0.2 * x + 0.4 * y])[None]
    strain = np.sqrt(0.3**2 + 0.4**2 + 2 * (0.5 * (0.1 - 0.2)) ** 2)
    torch.testing.assert_close(optical_strain(flow), torch.full((1, 1, 9, 11), float(strain)))
    assert magnitude(flow)[0, 0, 2, 5] == pytest.approx(np.hypot(1.7, -0.2))


def test_a_rotation_has_no_strain() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    assert optical_strain(torch.stack([-0.1 * y, 0.1 * x])[None]).abs().max() < 1e-6


def test_hsv_holds_direction_saturation_and_length(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    apex, flow = pairs[1], pairs[2]
    hsv = flow_to_hsv(flow, apex)
    assert hsv.shape == (3, 3, 128, 128)
    assert hsv.min() >= 0
    assert hsv.max() <= 1
    length, angle = cv2.cartToPolar(flow[1, 0].numpy(), flow[1, 1].numpy(), angleInDegrees=True)
    moved = length > 0.1
    # OpenCV's angle is good to 0.3 degrees.
    np.testing.assert_allclose(hsv[1, 0].numpy()[moved] * 360, angle[moved], atol=0.5)
    pixels = to_uint8(apex[1])
    saturation = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1] / 255
    bright = pixels.max(-1) > 60  # in dark pixels 8 bits say little about saturation
    np.testing.assert_allclose(hsv[1, 1].numpy()[bright], saturation[bright], atol=0.03)
    value = cv2.normalize(length, None, 0, 1, cv2.NORM_MINMAX)
    np.testing.assert_allclose(hsv[1, 2].numpy(), value, atol=1e-5)


def test_hsv_of_a_still_face_is_black(pairs: tuple[Tensor, Tensor, Tensor]) -> None:
    hsv = flow_to_hsv(torch.zeros(3, 2, 128, 128), pairs[0])
    assert hsv[:, 2].abs().max() == 0
    assert not hsv.isnan().any()


def test_hsv_becomes_the_colours_that_python_makes_of_it() -> None:
    hsv = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    wanted = [colorsys.hsv_to_rgb(*pixel) for pixel in hsv[0].flatten(1).T.tolist()]
    found = hsv_to_rgb(hsv)[0].flatten(1).T
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-5, rtol=0)


def test_on_and_off_magnitudes_show_where_the_face_moved(
    pairs: tuple[Tensor, Tensor, Tensor],
) -> None:
    onset, apex, truth = pairs
    images = on_apex_off_magnitudes(onset, apex, apex, method="dis")
    assert images.shape == (3, 2, 128, 128)
    length = magnitude(optical_flow(onset, apex, "dis"))[1, 0]
    stretched = (length - length.min()) / (length.max() - length.min())
    kept = stretched >= 1.5 * stretched.mean()
    torch.testing.assert_close(images[1, 0], torch.where(kept, stretched, torch.zeros(())))
    everything = on_apex_off_magnitudes(onset, apex, apex, method="dis", threshold=0)
    torch.testing.assert_close(everything[1, 0], stretched)
    # Seen from the apex itself, nothing moved.
    assert images[:, 1].sum() < 0.01 * images[:, 0].sum() or images[:, 1].max() == 0
    by_tvl1 = on_apex_off_magnitudes(onset[1:2], apex[1:2], onset[1:2])
    assert torch.equal(by_tvl1[:, 0], by_tvl1[:, 1])
    moved = truth[1].norm(dim=0)
    assert by_tvl1[0, 0][moved > 1].mean() > 3 * by_tvl1[0, 0][moved < 0.1].mean()


def test_unfit_frames_are_refused_by_name() -> None:
    frame = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 32, 32\) and \(1, 3, 32, 32\)"):
        tvl1(frame, frame[:1])
    with pytest.raises(ValueError, match=r"the first frames must have shape \(B, 1 or 3, H, W\)"):
        farneback(frame[:, :2], frame[:, :2])
    with pytest.raises(
        ValueError, match=r"needs frames of 16 x 16 pixels or more, got 12 x 32; .*--image-size 16"
    ):
        dis(frame[..., :12, :], frame[..., :12, :])
    with pytest.raises(
        ValueError, match=r"the second frames must lie in \[0, 1\], got .*\.\.2\d\d"
    ):
        tvl1(frame, frame * 255)
    with pytest.raises(ValueError, match=r"the first frames must lie in \[0, 1\], got nan"):
        tvl1(frame * torch.nan, frame)
    with pytest.raises(ValueError, match=r"torch\.uint8; divide uint8 by 255"):
        tvl1((frame * 255).byte(), (frame * 255).byte())


def test_unfit_options_are_refused_by_name() -> None:
    frame = torch.zeros(1, 1, 16, 16)
    with pytest.raises(ValueError, match="one of tvl1, farneback, dis, got 'raft'"):
        optical_flow(frame, frame, "raft")
    with pytest.raises(ValueError, match="one of ultrafast, fast, medium, got 'slow'"):
        dis(frame, frame, preset="slow")
    for option, value in {"attachment": 0, "tightness": -1, "num_warp": 0, "tol": -1}.items():
        with pytest.raises(ValueError, match=f"{option} must be .*, got {value}"):
            tvl1(frame, frame, **{option: value})
    with pytest.raises(ValueError, match="threshold must be 0 or more"):
        on_apex_off_magnitudes(frame, frame, frame, threshold=-1)
    with pytest.raises(ValueError, match=r"flow must have shape \(B, 2, H, W\), got \(1, 1, 16"):
        magnitude(frame)
    with pytest.raises(ValueError, match=r"apex must be RGB of the flow's size, \(1, 3, 16, 16\)"):
        flow_to_hsv(torch.zeros(1, 2, 16, 16), frame)
    with pytest.raises(ValueError, match=r"\(1, 1, 16, 16\) and \(1, 2, 8, 8\)"):
        warp(frame, torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("method", METHODS)
def test_between_two_frames_that_are_the_same_nothing_flows(method: str) -> None:
    """Farneback alone finds 0.4 pixels, which a picture stretched to its range would show."""
    frames = to_float(render_clip(clip_specs(seed=3)[0], 64)[0])
    pair = torch.stack([frames[0], frames[0]]), torch.stack([frames[0], frames[10]])
    flow = optical_flow(*pair, method)
    assert flow[0].abs().max() == 0
    assert flow[1].abs().max() > 0.1
    assert torch.equal(flow[1:], optical_flow(pair[0][1:], pair[1][1:], method))
    assert flow_to_hsv(flow, pair[1])[0, 2].max() == 0
    assert on_apex_off_magnitudes(*pair, pair[1], method=method)[0].max() == 0


def test_luma_is_the_grey_of_opencv() -> None:
    frames = np.random.default_rng(0).random((2, 3, 8, 9, 3), np.float32)
    grey = luma(torch.from_numpy(frames).movedim(-1, -3))
    assert grey.shape == (2, 3, 1, 8, 9)
    wanted = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames.reshape(6, 8, 9, 3)]
    np.testing.assert_allclose(grey.numpy().reshape(6, 8, 9), wanted, atol=1e-6)
    assert torch.equal(luma(grey), grey)
    with pytest.raises(ValueError, match=r"\(\.\.\., 1 or 3, H, W\), got shape \(2, 8, 9\)"):
        luma(torch.rand(2, 8, 9))
