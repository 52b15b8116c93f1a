"""Frames that hold optical flow, whose vectors must be transformed with the image."""

from __future__ import annotations

import torch
from torch import Tensor

FlowChannels = tuple[int, int] | None
"""The channels that hold a flow's x and y displacement in pixels; None: frames are not flow."""


def turn_vectors(frames: Tensor, linear: Tensor, flow_channels: FlowChannels) -> Tensor:
    """Apply the linear part of an image's transform to the displacements in its pixels.

    A displacement d is the difference of two positions; x -> A x + t takes it to A d.

    Args:
        frames: (B, T, C, H, W).
        linear: (B, 2, 2), A of each sample.
        flow_channels: channels of x and y; None returns the frames unchanged.

    Returns:
        (B, T, C, H, W); the other channels (strain, magnitude) are unchanged.

    Raises:
        ValueError: if the frames lack a named channel.
    """
    if flow_channels is None:
        return frames
    check_flow_channels(frames, flow_channels)
    index = torch.tensor(flow_channels, device=frames.device)
    turned = torch.einsum("bij,btjhw->btihw", linear.to(frames), frames.index_select(2, index))
    return frames.index_copy(2, index, turned)


def check_flow_channels(frames: Tensor, flow_channels: tuple[int, int]) -> None:
    """Raise ValueError if frames (B, T, C, H, W) lack a channel that should hold flow."""
    channels = frames.shape[2]
    if len(set(flow_channels)) != 2 or not all(0 <= i < channels for i in flow_channels):
        raise ValueError(
            f"flow_channels must name two channels of frames with {channels}, counted from 0; got "
            f"{flow_channels}"
        )
