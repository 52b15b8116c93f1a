"""FRL-DGT's displacement: its losses against loops, its direction against the phantom's truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.motion.warp import warp
from recognizers.models.frl_dgt.dgm import (
    DisplacementGenerator,
    approximate_apex,
    dgm_losses,
    draw_pairs,
    in_pixels,
    normalise,
)
from tests.recognizers.models.frl_dgt.face import noise
from tests.recognizers.models.frl_dgt.measure import agreement, flow_of, phantom_clips, supervise


def loop_losses(onset: np.ndarray, apex: np.ndarray, d: np.ndarray) -> tuple[float, float, float]:
    """Eq. 1-3 of a pair, pixel by pixel; sampled bilinearly, the border goes on outside."""
    channels, h, w = onset.shape
    rec = nm = along_x = along_y = 0.0
    for y, x in np.ndindex(h, w):
        sx = min(max(x - d[0, y, x] * (w - 1) / 2, 0), w - 1)
        sy = min(max(y - d[1, y, x] * (h - 1) / 2, 0), h - 1)
        x0, y0 = min(int(sx), w - 2), min(int(sy), h - 2)
        fx, fy = sx - x0, sy - y0
        for c in range(channels):
            corner = onset[c, y0 : y0 + 2, x0 : x0 + 2]
            value = np.array([1 - fy, fy]) @ corner @ np.array([1 - fx, fx])
            rec += abs(value - apex[c, y, x]) / (channels * h * w)
        nm += np.hypot(*d[:, y, x]) / (w * h)
        if x:
            along_x += np.hypot(*(d[:, y, x] - d[:, y, x - 1])) / (h * (w - 1))
        if y:
            along_y += np.hypot(*(d[:, y, x] - d[:, y - 1, x])) / (w * (h - 1))
    return rec, nm, along_x + along_y


def test_losses_are_the_loops_of_equations_1_to_3() -> None:
    onset, apex = noise(2, 3, 6, 9), noise(2, 3, 6, 9, seed=4)
    d = 0.4 * noise(2, 2, 6, 9, seed=5) - 0.2
    terms = dgm_losses(onset, apex, d)
    for i in range(2):
        expected = loop_losses(*(v[i].double().numpy() for v in (onset, apex, d)))
        found = [terms[name][i].item() for name in ("rec", "nm", "sm")]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_displacement_points_from_onset_to_apex() -> None:
    onset = F.avg_pool2d(noise(1, 3, 24, 34), 3, 1, 1)
    pixels = torch.zeros(1, 2, 24, 34)
    pixels[:, 0], pixels[:, 1] = 3, -2  # to the right and up
    d = pixels / torch.tensor([33 / 2, 23 / 2]).view(2, 1, 1)
    assert_close(in_pixels(d), pixels)
    apex = onset.roll((-2, 3), (2, 3))
    inner = (..., slice(3, -3), slice(4, -4))
    moved = approximate_apex(onset, d)
    assert_close(moved[inner], apex[inner], atol=1e-5, rtol=0)
    assert_close(warp(apex, pixels)[inner], onset[inner], atol=1e-5, rtol=0)  # as optical flow


def test_still_pairs_have_gradients_that_are_numbers() -> None:
    d = torch.zeros(1, 2, 5, 5, requires_grad=True)
    terms = dgm_losses(torch.zeros(1, 3, 5, 5), torch.ones(1, 3, 5, 5), d)
    (terms["rec"] + terms["nm"] + terms["sm"] + normalise(d).sum()).sum().backward()
    assert d.grad is not None
    assert d.grad.isfinite().all()
    assert normalise(d).eq(0).all()


def test_normalising_brings_the_longest_vector_to_1() -> None:
    d = torch.zeros(2, 3, 2, 4, 4)
    d[0, 1, :, 2, 3] = torch.tensor([0.03, -0.04])
    d[0, 2, 0, 1, 1] = 0.01
    d[1, 0, 1, 0, 0] = -0.2
    found = normalise(d)
    assert_close(found[0, 1, :, 2, 3], torch.tensor([0.6, -0.8]))
    assert found[0, 2, 0, 1, 1] == pytest.approx(0.2)  # the sequence keeps its course
    assert_close(found[1], 5 * d[1])
    assert_close(normalise(7 * d), found)


@pytest.mark.parametrize("widths", [(4,), (4, 6, 8)])
def test_dgm_gives_every_pixel_a_displacement_within_alpha(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dgm = DisplacementGenerator(widths, alpha=0.3)
    d = dgm(noise(2, 3, 27, 30), noise(2, 3, 27, 30, seed=4))
    assert d.shape == (2, 2, 27, 30)
    assert d.abs().max() < 0.01  # nearly nothing moves at first
    nn.init.normal_(dgm.head.weight, std=100)
    d = dgm(noise(2, 3, 27, 30), noise(2, 3, 27, 30, seed=4))
    assert d.abs().max().item() == pytest.approx(0.3, abs=1e-4)
    blocks = list(zip((6, *widths[:-1]), widths, strict=True))
    blocks += [(n + m, m) for m, n in pairwise(widths)]
    count = sum(9 * n * m + 9 * m * m + 4 * m for n, m in blocks) + 12 + 18 * widths[0]
    assert sum(p.numel() for p in dgm.parameters()) == count


def test_pairs_are_all_pairs_of_different_frames_equally_often() -> None:
    number = torch.arange(2)[:, None] * 10 + torch.arange(3)
    frames = number[:, :, None, None, None].float()
    torch.manual_seed(1)
    first, second = draw_pairs(frames, 600)
    assert first.shape == second.shape == (1200, 1, 1, 1)
    seen: dict[tuple[int, int], int] = {}
    for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True):
        seen[int(a), int(b)] = seen.get((int(a), int(b)), 0) + 1
    expected = {(c + i, c + j) for c in (0, 10) for i in range(3) for j in range(3) if i != j}
    assert set(seen) == expected
    assert min(seen.values()) > 60
    assert first.flatten()[:600].max() < 10  # the pairs of a clip stand together
    torch.manual_seed(1)
    assert torch.equal(draw_pairs(frames, 600)[0], first)


@pytest.mark.slow
def test_self_supervision_teaches_the_direction_of_the_true_flow() -> None:
    learned_from = phantom_clips(range(100, 124), 8, 64)
    unseen = phantom_clips(range(6000, 6006), 4, 64)
    torch.manual_seed(0)
    dgm = DisplacementGenerator((16, 32, 64)).eval()
    before = agreement(flow_of(dgm), unseen)
    assert abs(before.cosine) < 0.25
    supervise(dgm, learned_from.frames, 400)
    after = agreement(flow_of(dgm), unseen)
    assert after.cosine > 0.5
    assert after.error < 0.9 * before.error
    still = learned_from.frames[:, :1].expand_as(learned_from.frames)
    torch.manual_seed(0)
    taught_nothing = DisplacementGenerator((16, 32, 64))
    supervise(taught_nothing, still, 100)
    assert abs(agreement(flow_of(taught_nothing), unseen).cosine) < 0.35
