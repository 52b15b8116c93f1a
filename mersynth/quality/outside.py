"""Change outside the regions of the AUs asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from skimage.metrics import structural_similarity

from mersynth.augment.au_warp import au_flow
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.flow import magnitude
from mersynth.quality.sample import NotMeasuredError, Sample, asked_aus

_WINDOW = 7  # pixels, of the SSIM


def au_regions(size: int, share: float) -> np.ndarray:
    """(20, H, W) the region of an aligned face that each AU moves.

    Args:
        size: side of the frames, in pixels.
        share: the region is where the AU's displacement field
            (:func:`mersynth.augment.au_warp.au_flow`) exceeds this share of its maximum.
    """
    alone = torch.eye(len(CONDITION_AUS))[:, None]
    length = magnitude(au_flow(None, alone, (size, size))[:, 0])[:, 0]
    return (length > share * length.amax((1, 2), keepdim=True)).numpy()


def outside_figures(
    onset: np.ndarray, frame: np.ndarray, region: np.ndarray
) -> tuple[float, float] | None:
    """Mean absolute difference, in [0, 1], and SSIM of two frames outside a region.

    Args:
        onset: (H, W, 3) uint8.
        frame: likewise.
        region: (H, W) where movement is expected.

    Returns:
        Both figures over the pixels whose SSIM window does not touch the region; None if there is
        no such pixel.
    """
    window = np.ones((_WINDOW, _WINDOW), np.uint8)
    still = cv2.dilate(region.astype(np.uint8), window) == 0
    if not still.any():
        return None
    gap = np.abs(onset.astype(float) - frame).mean(-1)[still].mean() / 255
    _, full = structural_similarity(  # type: ignore[no-untyped-call]
        onset, frame, channel_axis=-1, full=True, win_size=_WINDOW
    )
    return float(gap), float(full.mean(-1)[still].mean())


def measure_outside(real: Sample, synthetic: Sample, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Change from onset to apex outside the regions of all AUs asked for.

    Args:
        real: real clips for comparison, which change by head motion, light and camera noise.
        synthetic: the clips to measure.
        settings: ``outside`` of ``configs/quality.yaml``.

    Raises:
        NotMeasuredError: if it is not known for any clip which AUs were asked for.
    """
    size = synthetic.frames.shape[2]
    regions = au_regions(size, settings["region_share"])
    own, per_clip = _clips(synthetic, regions, settings["min_asked"])
    if own["clips"] == 0:
        raise NotMeasuredError("no synthetic clip has intensities or AUs that say what moves")
    beside, _ = _clips(real, regions, settings["min_asked"])
    return {"synthetic": own, "real": beside, "per_clip": {"difference": per_clip}}


def _clips(
    sample: Sample, regions: np.ndarray, min_asked: float
) -> tuple[dict[str, Any], np.ndarray]:
    asked = asked_aus(sample, min_asked)
    values = np.full((len(sample), 2), np.nan)
    for row in np.flatnonzero(asked.any(1)):
        union = regions[asked[row]].any(0)
        found = outside_figures(sample.frames[row, 0], sample.apex_frames[row], union)
        values[row] = (np.nan, np.nan) if found is None else found
    known = np.isfinite(values[:, 0])
    means = values[known].mean(0) if known.any() else (None, None)
    return {
        "clips": int(known.sum()),
        "difference": None if means[0] is None else float(means[0]),
        "ssim": None if means[1] is None else float(means[1]),
    }, values[:, 0]
