"""Dynamic images: a clip summed up in one image by approximate rank pooling.

Bilen, Fernando, Gavves, Vedaldi and Gould, "Dynamic Image Networks for Action Recognition", CVPR
2016, section 3.1; and its longer form, Bilen et al., PAMI 2018.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mersynth.checks import check_choice

Pooling = Literal["means", "frames"]
Normalization = Literal["minmax", "channel_minmax", "symmetric", "none"]

POOLINGS: tuple[Pooling, ...] = ("means", "frames")
NORMALIZATIONS: tuple[Normalization, ...] = ("minmax", "channel_minmax", "symmetric", "none")


def dynamic_image(
    clip: Tensor, pooling: Pooling = "means", normalization: Normalization = "minmax"
) -> Tensor:
    """Sum up each clip in the image d = sum_t alpha_t I_t.

    d is the first gradient step, from 0, of the ranking machine that learns the frames' order.

    Args:
        clip: (B, T, C, H, W) in [0, 1], T of 2 or more.
        pooling: which weights, see :func:`rank_pooling_weights`.
        normalization: how d becomes an image. ``"minmax"``: the clip's smallest value to 0 and its
            largest to 1, over all channels, as in the paper; ``"channel_minmax"``: likewise for
            each channel; ``"symmetric"``: 0.5 + d / (2 max |d|), so that 0.5 means no change;
            ``"none"``: d itself.

    Returns:
        (B, C, H, W) in [0, 1], except for ``"none"``, which is unbounded; of the clip's type.

    Raises:
        ValueError: if the clip has another shape, fewer than 2 frames, or is not float; if an
            argument is unknown; or if a clip does not change, so that d cannot be normalized
            (``"none"`` gives zeros).

    Example:
        >>> dynamic_image(torch.rand(2, 10, 3, 64, 64)).shape
        torch.Size([2, 3, 64, 64])
    """
    check_choice("normalization", normalization, NORMALIZATIONS)
    if clip.dim() != 5 or not clip.numel():
        raise ValueError(f"clip must have shape (B, T, C, H, W), got {tuple(clip.shape)}")
    if not clip.is_floating_point():
        raise ValueError(f"clip must be float in [0, 1], got {clip.dtype}; divide uint8 by 255")
    weights = rank_pooling_weights(clip.shape[1], pooling).to(clip.device)
    # The weights sum to 0: subtracting the first frame changes nothing, but makes a still clip 0.
    moved = clip.double() - clip[:, :1].double()
    image = torch.einsum("t,btchw->bchw", weights, moved)
    return _normalized(image, normalization).to(clip.dtype)


def rank_pooling_weights(num_frames: int, pooling: Pooling = "means") -> Tensor:
    """Weights alpha_t of approximate rank pooling.

    ``"means"`` ranks the running means V_t = 1/t sum_{s <= t} I_s, the paper's definition and
    default (CVPR 2016, the closed form of section 3.1, H_t the t-th harmonic number, H_0 = 0)::

        d = sum_{q > t} (V_q - V_t) = sum_t alpha_t I_t
        alpha_t = 2 (T - t + 1) - (T + 1) (H_T - H_{t-1})

    ``"frames"`` ranks the frames themselves, the simpler choice of the longer paper::

        d = sum_{q > t} (I_q - I_t),   alpha_t = 2 t - T - 1

    Args:
        num_frames: T, 2 or more.
        pooling: ``"means"`` or ``"frames"``.

    Returns:
        (T,) float64, adding up to 0.

    Raises:
        ValueError: if there are fewer than 2 frames, or the pooling is unknown.
    """
    check_choice("pooling", pooling, POOLINGS)
    if num_frames < 2:
        raise ValueError(f"ranking needs 2 frames or more, got {num_frames}")
    t = torch.arange(1, num_frames + 1, dtype=torch.float64)
    if pooling == "frames":
        return 2 * t - num_frames - 1
    harmonic_rest = (1 / t).flip(0).cumsum(0).flip(0)  # H_T - H_{t-1}
    return 2 * (num_frames - t + 1) - (num_frames + 1) * harmonic_rest


def _normalized(image: Tensor, normalization: Normalization) -> Tensor:
    if normalization == "none":
        return image
    if normalization == "symmetric":
        largest = image.abs().amax((1, 2, 3), keepdim=True)
        _check_range(largest, normalization)
        return 0.5 + image / (2 * largest)
    dims = (2, 3) if normalization == "channel_minmax" else (1, 2, 3)
    low, high = image.amin(dims, keepdim=True), image.amax(dims, keepdim=True)
    _check_range(high - low, normalization)
    return (image - low) / (high - low)


def _check_range(extent: Tensor, normalization: str) -> None:
    """Refuse clips whose dynamic image is flat."""
    flat = (extent.flatten(1) == 0).any(1).nonzero().flatten().tolist()
    if flat:
        raise ValueError(
            f"normalization {normalization!r}: the dynamic image of clip {flat} of the batch is "
            "flat (nothing in it changes); leave the clip out, or use 'none'"
        )
