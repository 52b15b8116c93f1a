"""Temporal interpolation model (TIM): resampling a clip to any number of frames.

Zhou, Zhao and Pietikäinen, "Towards a practical lipreading system", CVPR 2011, section 3. The
frames of a clip are the vertices of a path graph, whose Laplacian's eigenvectors are sines, which
are also defined between the vertices. A linear map takes the frames to the eigenvectors; its
inverse takes a place on the curve of sines to an image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def tim(clip: Tensor, num_frames: int) -> Tensor:
    """Interpolate a clip to a number of frames along its curve of sines.

    The first and last frame do not change, nor does the clip if ``num_frames`` is its length.
    Repeated or otherwise linearly dependent frames are allowed, see :func:`tim_weights`.

    Args:
        clip: (T, C, H, W) or (B, T, C, H, W) in [0, 1], T of 2 or more.
        num_frames: wanted number of frames, 2 or more; more or fewer than T.

    Returns:
        (num_frames, C, H, W) or (B, num_frames, C, H, W), of the clip's type, computed in float64.
        Sines overshoot beside a jump; values outside [0, 1] are clipped.

    Raises:
        ValueError: if the clip has another shape, is not float in [0, 1], or there are fewer than
            2 frames on either side.

    Example:
        >>> tim(torch.rand(33, 3, 64, 64), 10).shape
        torch.Size([10, 3, 64, 64])
    """
    if clip.dim() not in (4, 5) or not clip.numel():
        raise ValueError(
            f"clip must have shape (T, C, H, W) or (B, T, C, H, W), got {tuple(clip.shape)}"
        )
    if not clip.is_floating_point():
        raise ValueError(f"clip must be float in [0, 1], got {clip.dtype}; divide uint8 by 255")
    low, high = (bound.item() for bound in clip.detach().aminmax())
    if not (low >= 0 and high <= 1):  # NaN fails, too
        raise ValueError(f"clip must lie in [0, 1], got {low:.3g}..{high:.3g}")
    weights = tim_weights(clip.shape[-4], num_frames).to(clip.device)
    frames = torch.einsum("st,...tchw->...schw", weights, clip.double())
    return frames.clamp(0, 1).to(clip.dtype)


def tim_weights(length: int, num_frames: int) -> Tensor:
    """The share of each given frame in each interpolated one: TIM in closed form.

    With n frames minus their mean as the columns of X = U S V^T, Q = S V^T, and Y the orthonormal
    eigenvectors of the path's Laplacian except the constant one, the paper learns W from
    W^T Q = Y^T, and computes the image at the place t in [1/n, 1] of the curve F(t)::

        f_k(t) = sqrt(2/n) sin(pi k t + pi (n - k) / (2n)),   k = 1..n-1
        image  = U (W^T)^-1 F(t) + mean

    For linearly independent frames W is invertible, (W^T)^-1 = Q Y and U Q = X, so that image =
    X Y F(t) + mean: W cancels, and the weights depend only on n and t. They also hold where frames
    are linearly dependent and W does not exist, so no matrix is inverted here. The same weights
    interpolate AU intensities and landmarks.

    Args:
        length: number of given frames n, 2 or more.
        num_frames: number of wanted frames, 2 or more; they lie evenly on [1/n, 1].

    Returns:
        (num_frames, length) float64; each row adds up to 1.

    Raises:
        ValueError: if there are fewer than 2 frames on either side.
    """
    if length < 2 or num_frames < 2:
        raise ValueError(
            "TIM needs 2 frames or more, given and wanted, for a curve from the first to the last; "
            f"got {length} and {num_frames}"
        )
    n = length
    k = torch.arange(1, n, dtype=torch.float64)
    at_frames = torch.arange(1, n + 1, dtype=torch.float64)[:, None] / n
    wanted = torch.linspace(1 / n, 1, num_frames, dtype=torch.float64)[:, None]

    def curve(t: Tensor) -> Tensor:
        # f_k(t) = sqrt(2/n) sin(pi k t + pi (n - k) / (2n))
        return math.sqrt(2 / n) * torch.sin(math.pi * (k * t + (n - k) / (2 * n)))

    return curve(wanted) @ curve(at_frames).T + 1 / n
