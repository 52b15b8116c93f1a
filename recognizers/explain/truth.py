"""How much of a map lies where the face really moves, measured on the phantom."""

from __future__ import annotations

import numpy as np
import torch

from mersynth.phantom.motion import clip_motion, peak_intensities
from mersynth.phantom.population import ClipSpec
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

THRESHOLD = 0.25
"""A pixel belongs to the moving region if its flow is longer than this share of the longest."""


def apex_flow(spec: ClipSpec, image_size: int) -> np.ndarray:
    """The expression's true flow at a phantom clip's apex.

    The head is held in its pose at the apex, so that its drift from onset to apex does not count as
    movement of the face; blinks do not count either.

    Args:
        spec: which clip, as :func:`mersynth.phantom.population.clip_specs` plans it.
        image_size: side of the frames in pixels.

    Returns:
        (2, H, W) float32, pixels to the right and down, at the positions of the face at rest.
    """
    clip = spec.clip
    renderer = PhantomRenderer(PhantomSubject.sample(spec.subject), image_size)
    # The draws of population.render_clip, in their order.
    rng = np.random.default_rng(spec.seed)
    peaks = peak_intensities(clip.aus, clip.strength, renderer.subject.expressiveness, rng)
    apex = (clip.num_frames - 1) // 2 if clip.apex_index is None else clip.apex_index
    motion = clip_motion(peaks, clip.num_frames, apex, clip.fps, rng)
    aus = torch.from_numpy(motion.aus[[0, apex]])
    pose = torch.from_numpy(motion.pose[[apex, apex]])
    flow = renderer.render(aus, pose, flow=True).flow
    assert flow is not None
    return flow[1].numpy()


def moving_region(flow: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """Where a face moves.

    Args:
        flow: (2, H, W) in pixels.
        threshold: share of the longest displacement, in [0, 1), above which a pixel moves.

    Returns:
        (H, W) bool; nowhere true if nothing moves.

    Raises:
        ValueError: if the threshold or the shape does not fit.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), got {threshold}")
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"flow must be (2, H, W), got {flow.shape}")
    length = np.hypot(flow[0], flow[1])
    return length > threshold * length.max()


def mass_inside(heat: np.ndarray, region: np.ndarray) -> float:
    """Share of a map's sum that lies in a region; for a uniform map, the region's relative area.

    Args:
        heat: (H, W), 0 or more.
        region: (H, W) bool.

    Returns:
        In [0, 1]; NaN for an all-zero map.

    Raises:
        ValueError: if the shapes differ, or the map has values below 0.
    """
    if heat.shape != region.shape or heat.ndim != 2:
        raise ValueError(f"map and region must be (H, W) alike, got {heat.shape}, {region.shape}")
    if not heat.min() >= 0:
        raise ValueError(f"a map's values must be 0 or more, got {heat.min():g}")
    total = float(heat.sum(dtype=np.float64))
    return float(heat[region].sum(dtype=np.float64)) / total if total > 0 else float("nan")
