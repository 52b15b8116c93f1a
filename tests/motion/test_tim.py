"""TIM against the paper's steps with a dense eigen-decomposition, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.motion.tim import tim, tim_weights


def _by_the_paper(clip: np.ndarray, num_frames: int) -> np.ndarray:
    """Zhou et al. 2011, 3: graph, singular values, linear map and its inverse. (T, D) -> (., D)."""
    n = len(clip)
    mean = clip.mean(0)
    u, s, vt = np.linalg.svd((clip - mean).T, full_matrices=False)
    u, q = u[:, : n - 1], (np.diag(s) @ vt)[: n - 1]
    adjacency = np.eye(n, k=1) + np.eye(n, k=-1)
    laplacian = np.diag(adjacency.sum(1)) - adjacency
    vectors = np.linalg.eigh(laplacian)[1][:, 1:]  # n x (n - 1), by rising eigenvalue
    w = np.linalg.solve(q @ q.T, q @ vectors)

    def sines(t: float) -> np.ndarray:
        k = np.arange(1, n)
        return np.sin(np.pi * k * t + np.pi * (n - k) / (2 * n))

    scale = q[:, 0] @ w / sines(1 / n)  # eigenvectors have any sign and length
    places = np.linspace(1 / n, 1, num_frames)
    return np.stack([mean + u @ np.linalg.solve(w.T, scale * sines(t)) for t in places])


@pytest.mark.parametrize(("length", "num_frames"), [(2, 5), (7, 7), (9, 4), (12, 31)])
def test_agrees_with_the_steps_of_the_paper(length: int, num_frames: int) -> None:
    clip = torch.from_numpy(np.random.default_rng(0).uniform(0.4, 0.6, (length, 3, 8, 8)))
    expected = _by_the_paper(clip.reshape(length, -1).numpy(), num_frames)
    actual = tim(clip, num_frames).reshape(num_frames, -1).numpy()
    assert np.all((expected > 0) & (expected < 1))  # nothing was clipped
    np.testing.assert_allclose(actual, expected, atol=1e-9)


@pytest.mark.parametrize("length", [2, 5, 33])
def test_as_many_frames_as_there_are_change_nothing(length: int) -> None:
    clip = torch.rand(length, 3, 4, 4)
    torch.testing.assert_close(tim(clip, length), clip, atol=1e-6, rtol=0)


def test_linearly_dependent_frames_keep_their_places_and_the_limit_of_independent_ones() -> None:
    """Where the paper's W does not exist, the result is the limit of clips for which it does."""
    rng = np.random.default_rng(1)
    still, moved = rng.uniform(0.4, 0.6, (2, 192))
    clip = np.stack([still, still, moved, moved, moved, still])
    nearly = clip + 1e-5 * rng.normal(size=clip.shape)
    shape = (6, 3, 8, 8)
    actual = tim(torch.from_numpy(clip).reshape(shape), 16).reshape(16, -1).numpy()
    np.testing.assert_allclose(actual, _by_the_paper(nearly, 16), atol=2e-4)
    np.testing.assert_allclose(actual[::3], clip, atol=1e-12)


@pytest.mark.parametrize("num_frames", [2, 6, 40])
def test_ends_are_reproduced_and_a_still_clip_stays(num_frames: int) -> None:
    clip = torch.rand(11, 1, 4, 4)
    result = tim(clip, num_frames)
    assert result.shape == (num_frames, 1, 4, 4)
    assert result.dtype == clip.dtype
    torch.testing.assert_close(result[[0, -1]], clip[[0, -1]], atol=1e-6, rtol=0)
    still = clip[:1].expand(11, -1, -1, -1)
    torch.testing.assert_close(
        tim(still, num_frames), clip[:1].expand(num_frames, -1, -1, -1), atol=1e-6, rtol=0
    )


def test_a_batch_is_its_clips() -> None:
    clips = torch.rand(3, 8, 3, 4, 4)
    expected = torch.stack([tim(clip, 5) for clip in clips])
    torch.testing.assert_close(tim(clips, 5), expected)


def test_overshoot_is_clipped() -> None:
    clip = (torch.arange(10) >= 5).float()[:, None, None, None].expand(-1, 1, 2, 2)
    raw = tim_weights(10, 37) @ clip[:, 0, 0, 0].double()
    assert raw.min() < -0.01
    assert raw.max() > 1.01
    torch.testing.assert_close(tim(clip, 37)[:, 0, 0, 0], raw.clamp(0, 1).float())


def test_movement_keeps_its_pace() -> None:
    """Half a cosine over the path is the first eigenvector: it is drawn exactly."""
    time = (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    curve = tim_weights(20, 50) @ torch.cos(torch.pi * time)
    places = torch.linspace(0.5 / 20, 1 - 0.5 / 20, 50, dtype=torch.float64)
    torch.testing.assert_close(curve, torch.cos(torch.pi * places))


def test_gradient_is_that_of_the_weights() -> None:
    clip = torch.full((6, 1, 1, 1), 0.5, dtype=torch.float64, requires_grad=True)
    tim(clip, 4)[1].sum().backward()
    assert clip.grad is not None
    torch.testing.assert_close(clip.grad.flatten(), tim_weights(6, 4)[1])


@pytest.mark.parametrize(
    ("clip", "num_frames", "message"),
    [
        (torch.rand(1, 3, 4, 4), 5, "2 frames or more"),
        (torch.rand(5, 3, 4, 4), 1, "2 frames or more"),
        (torch.rand(5, 4, 4), 3, r"got \(5, 4, 4\)"),
        (torch.zeros(5, 3, 4, 4, dtype=torch.uint8), 3, "divide uint8 by 255"),
        (torch.rand(5, 3, 4, 4) + 1, 3, r"must lie in \[0, 1\]"),
        (torch.full((5, 3, 4, 4), torch.nan), 3, r"must lie in \[0, 1\]"),
    ],
)
def test_refuses(clip: torch.Tensor, num_frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tim(clip, num_frames)
