"""The seven losses of AU-ICGAN (paper 3.4, eq. 6 to 9), and some beyond it.

Symbols: I_in input image, Y its wanted AU intensities, G(I|Y) the generated image, A the attention
mask, D_I and D_S the realness of image and sequence, D_AI the AU intensities read by the image
critic, D_ME the micro-expression class by the video critic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pytorch_msssim import ssim
from torch import Tensor
from torch.nn import functional as F

from mersynth.gan.processes import ALONE

Divisor = Callable[..., Tensor]
"""What to divide a sum over a batch by: :meth:`mersynth.gan.processes.Processes.divisor`."""

#: Added to the dissimilarity of an unmoved input, so that faces at rest do not divide by zero or
#: pull the mask to 1; about that of a weak macro-movement.
RESTING_DISSIMILARITY = 1e-2
#: Added to the mean difference of an unmoved input, for the same reason.
RESTING_DIFFERENCE = 2e-3
#: Added to the mean length of true motion, as a share of the side; about that of a weak movement.
RESTING_MOTION = 2e-4


def adversarial_loss(fake: Tensor) -> Tensor:
    """L_adv (and L_sa of eq. 8), the generator's part: ``- E[D(G(I|Y))]``.

    Args:
        fake: realness of generated images or sequences, any shape.
    """
    return -fake.mean()


def critic_loss(fake: Tensor, real: Tensor) -> Tensor:
    """L_adv and L_sa (eq. 8), the critic's part: ``E[D(G(I|Y))] - E[D(I)]``.

    Args:
        fake: realness of generated images or sequences, any shape.
        real: realness of real ones.
    """
    return fake.mean() - real.mean()


def gradient_penalty(
    realness: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor
) -> Tensor:
    """Last term of eq. 8 without its weight: ``E[(||grad D(I~)||_2 - 1)^2]`` (WGAN-GP).

    Args:
        realness: the critic's realness as a function of images or clips; the double backward needs
            the unwrapped module with autocast off.
        real: (B, ...).
        fake: (B, ...).
        mix: (B,) in [0, 1], position of I~ between fake (0) and real (1).
    """
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(realness(between).sum(), between, create_graph=True)
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()  # sqrt has no gradient at 0
    return (norm - 1).square().mean()


def consistency_loss(back: Tensor, image: Tensor) -> Tensor:
    """L_c: ``E[||G(G(I|Y)|Y_in) - I||_1]``, the mean over pixels.

    Args:
        back: (B, 3, H, W), the image generated back to the input's own intensities.
        image: (B, 3, H, W), the input.
    """
    return F.l1_loss(back, image)


def attention_loss(mask: Tensor, smoothness: float) -> Tensor:
    """L_att: ``E[mean A^2] + smoothness * E[sum of squared differences of neighbours in A]``.

    The first term keeps the mask from saturating at 1 (no change), the second keeps it smooth.

    Args:
        mask: (B, 1, H, W) in [0, 1].
        smoothness: weight of the total variation relative to the mean square.
    """
    dx = (mask[..., 1:] - mask[..., :-1]).square().sum(dim=(1, 2, 3))
    dy = (mask[..., 1:, :] - mask[..., :-1, :]).square().sum(dim=(1, 2, 3))
    return mask.square().mean() + smoothness * (dx + dy).mean()


def painting_loss(mask: Tensor) -> Tensor:
    """L_paint: ``E[mean (1 - A)]``, so that colour is only used where motion does not suffice.

    Args:
        mask: (B, 1, H, W) in [0, 1].
    """
    return (1 - mask).mean()


def motion_loss(motion: Tensor) -> Tensor:
    """L_mo: mean square of the displacement's differences between neighbours, in pixels.

    Skin stretches, so neighbouring pixels move alike; this also fixes motion where there is no
    texture.

    Args:
        motion: (B, 2, H, W), pixels.
    """
    dx = (motion[..., 1:] - motion[..., :-1]).square().mean()
    dy = (motion[..., 1:, :] - motion[..., :-1, :]).square().mean()
    return dx + dy


def flow_loss(
    motion: Tensor, flow: Tensor, counts: Tensor, divisor: Divisor = ALONE.divisor
) -> Tensor:
    """L_flow: ``E[||d - d*||_1 / (||d*||_1 + c)]``, beyond the paper.

    Smooth skin hardly changes when it moves, so pixels alone do not teach how cheeks follow a
    smile. Relative, so that weak movements count as much as strong ones.

    Args:
        motion: (B, 2, H, W) d in pixels, where each pixel comes from.
        flow: (B, 2, h, w) d* as shares of the longer side; NaN is ignored.
        counts: (B,) bool, samples that count.
        divisor: of a batch that several processes share.
    """
    small = F.interpolate(motion / max(motion.shape[-2:]), flow.shape[-2:], mode="area")
    known = ~flow.isnan()
    places = known.sum((1, 2, 3)).clamp(min=1)
    off, whole = (
        (each.abs() * known).sum((1, 2, 3)) / places
        for each in (small - flow.nan_to_num(), flow.nan_to_num())
    )
    counts = counts & known.flatten(1).any(1)
    return (off / (whole + RESTING_MOTION) * counts).sum() / divisor(counts.sum())


def au_intensity_loss(read: Tensor, wanted: Tensor, divisor: Divisor = ALONE.divisor) -> Tensor:
    """L_AI: ``E[(D_AI(I) - Y)^2]``, the mean over batch, AUs and sides; NaN is ignored.

    Args:
        read: (B, N, 2), AU intensities, left and right, read by the image critic.
        wanted: (B, N, 2) in [0, 1] or NaN.
        divisor: of a batch that several processes share.
    """
    known = ~wanted.isnan()
    squares = (read - wanted.nan_to_num()).square() * known
    return squares.sum() / divisor(known.sum())


def ssim_loss(
    generated: Tensor,
    target: Tensor,
    counts: Tensor | None = None,
    start: Tensor | None = None,
    divisor: Divisor = ALONE.divisor,
) -> Tensor:
    """L_SSIM (eq. 6): ``E[1 - SSIM(G(I|Y), target)]``.

    Args:
        generated: (B, 3, H, W) in [0, 1].
        target: (B, 3, H, W) in [0, 1]: I_in as in eq. 6, or the true frame as in the paper's text.
        counts: (B,) bool, samples that count; all by default.
        start: (B, 3, H, W), the input. If given, a sample's loss is divided by that of the unmoved
            input, so that weak movements count as much as strong ones.
        divisor: of a batch that several processes share.
    """
    loss = _dissimilarity(generated, target)
    if start is not None:
        loss = loss / (_dissimilarity(start, target) + RESTING_DISSIMILARITY)
    if counts is None:
        return loss.mean()
    return (loss * counts).sum() / divisor(counts.sum())


def _dissimilarity(image: Tensor, target: Tensor) -> Tensor:
    window = min(11, image.shape[-1] // 2 * 2 - 1)
    return 1 - ssim(image, target, data_range=1.0, size_average=False, win_size=window)  # (B,)


def true_frame_loss(
    generated: Tensor,
    truth: Tensor,
    counts: Tensor,
    start: Tensor,
    divisor: Divisor = ALONE.divisor,
) -> Tensor:
    """L_true: ``E[||G(I|Y) - truth||_1 / (||I - truth||_1 + c)]``, beyond the paper.

    Relative to the unmoved input, so that weak movements count as much as strong ones.

    Args:
        generated: (B, 3, H, W) in [0, 1].
        truth: (B, 3, H, W) in [0, 1].
        counts: (B,) bool, samples that count.
        start: (B, 3, H, W), the input.
        divisor: of a batch that several processes share.
    """
    off, unmoved = ((image - truth).abs().mean((1, 2, 3)) for image in (generated, start))
    relative = off / (unmoved + RESTING_DIFFERENCE)
    return (relative * counts).sum() / divisor(counts.sum())


def colour_loss(
    colour: Tensor,
    generated: Tensor,
    truth: Tensor,
    counts: Tensor,
    divisor: Divisor = ALONE.divisor,
) -> Tensor:
    """L_col: ``E[sum(|C - truth| w) / sum(w)]``, ``w = |G(I|Y) - truth|``, beyond the paper.

    The colour learns where the image is still wrong, even before the mask shows it: otherwise a
    colour that is not shown would never be learned, and one that is not learned never be shown.

    Args:
        colour: (B, 3, H, W) in [0, 1].
        generated: (B, 3, H, W) in [0, 1]; no gradient passes through it.
        truth: (B, 3, H, W) in [0, 1].
        counts: (B,) bool, samples that count.
        divisor: of a batch that several processes share.
    """
    wrong = (generated.detach() - truth).abs() * counts.view(-1, 1, 1, 1)
    return ((colour - truth).abs() * wrong).sum() / divisor(wrong.sum(), 1e-6)


def micro_expression_loss(expression: Tensor, labels: Tensor) -> Tensor:
    """L_ME (eq. 7): ``E[||D_ME(G(I|Y)) - ME_c||_2^2]``, D_ME as probabilities, ME_c one-hot.

    Args:
        expression: (B, C) logits of the video critic.
        labels: (B,) int64, class indices.
    """
    wanted = F.one_hot(labels, expression.shape[1]).to(expression.dtype)
    return (expression.softmax(1) - wanted).square().sum(1).mean()
