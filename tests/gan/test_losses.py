"""The losses against closed forms and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from mersynth.gan import losses


def test_adversarial_terms_of_eq_8() -> None:
    fake, real = torch.tensor([1.0, 3.0]), torch.tensor([4.0, 6.0])
    assert losses.critic_loss(fake, real) == -3.0
    assert losses.adversarial_loss(fake) == -2.0


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (2, 5, 3, 4, 4)])
def test_gradient_penalty_of_a_linear_critic(shape: tuple[int, ...]) -> None:
    """D(x) = a sum(x) has the gradient a everywhere, of norm a sqrt(n)."""
    slope = 0.5
    real, fake = torch.rand(shape), torch.rand(shape)
    elements = real[0].numel()
    penalty = losses.gradient_penalty(
        lambda x: slope * x.flatten(1).sum(1), real, fake, torch.rand(len(real))
    )
    torch.testing.assert_close(penalty.item(), (slope * elements**0.5 - 1) ** 2)


def test_gradient_penalty_trains_the_critic() -> None:
    critic = torch.nn.Linear(12, 1, bias=False)
    real, fake = torch.rand(4, 12), torch.rand(4, 12)
    losses.gradient_penalty(critic, real, fake, torch.rand(4)).backward()
    norm = critic.weight.norm()
    expected = 2 * (norm - 1) * critic.weight / norm  # of (||w|| - 1)^2
    torch.testing.assert_close(critic.weight.grad, expected.detach())


def test_consistency_is_the_mean_absolute_difference() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert losses.consistency_loss(image + 0.25, image).item() == pytest.approx(0.25)


def test_attention_loss() -> None:
    mask = torch.full((2, 1, 4, 4), 0.5)
    assert losses.attention_loss(mask, smoothness=1.0).item() == pytest.approx(0.25)
    mask[:, :, :, 2:] = 1.0  # a step of 0.5 in each of 4 rows
    expected = (0.25 + 1.0) / 2 + 0.1 * 4 * 0.25
    assert losses.attention_loss(mask, smoothness=0.1).item() == pytest.approx(expected)


def test_au_intensity_loss_leaves_out_what_was_not_measured() -> None:
    read = torch.tensor([[0.5, 0.0], [1.0, 0.9]])
    wanted = torch.tensor([[0.0, 0.0], [1.0, torch.nan]])
    assert losses.au_intensity_loss(read, wanted).item() == pytest.approx(0.25 / 3)
    assert losses.au_intensity_loss(read, torch.full((2, 2), torch.nan)).item() == 0.0


def test_ssim_loss_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((3, 24, 24), dtype=np.float32)
    image = np.clip(target + rng.normal(0, 0.1, target.shape), 0, 1).astype(np.float32)
    _, full = structural_similarity(
        target, image, channel_axis=0, data_range=1.0, gaussian_weights=True, full=True,
        use_sample_covariance=False, sigma=1.5,
    )  # fmt: skip
    # pytorch_msssim keeps only windows that lie wholly within the picture.
    expected = 1 - full[:, 5:-5, 5:-5].mean()
    loss = losses.ssim_loss(torch.from_numpy(image)[None], torch.from_numpy(target)[None])
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_ssim_loss_counts_only_what_has_a_truth() -> None:
    image, other = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    target = torch.stack([image[0], other[1]])
    counts = torch.tensor([True, False])
    assert losses.ssim_loss(image, target, counts).item() == pytest.approx(0, abs=1e-5)
    assert losses.ssim_loss(image, target, ~counts).item() > 0.5
    assert losses.ssim_loss(image, target, torch.zeros(2, dtype=torch.bool)).item() == 0.0


def test_micro_expression_loss_of_eq_7() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))
    loss = losses.micro_expression_loss(logits, torch.tensor([0, 2]))
    first, second = 0.3**2 + 0.2**2 + 0.1**2, 0.25**2 + 0.5**2 + 0.75**2
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_painting_is_what_the_mask_does_not_keep() -> None:
    mask = torch.tensor([1.0, 0.25]).view(1, 1, 1, 2)
    assert losses.painting_loss(mask) == pytest.approx(0.375)


def test_motion_loss_is_the_mean_square_of_neighbours_differences() -> None:
    slope = torch.arange(4.0).expand(1, 2, 5, 4)  # a pixel more with every column
    assert losses.motion_loss(slope) == pytest.approx(1.0)
    assert losses.motion_loss(3 * slope.transpose(2, 3)) == pytest.approx(9.0)
    assert losses.motion_loss(torch.full((1, 2, 5, 4), 7.0)) == 0
