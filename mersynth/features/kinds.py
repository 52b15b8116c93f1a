"""The kinds of features that a store may keep: what each needs, and how it is computed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mersynth.checks import check_choice, listed
from mersynth.face.intensity import difference_to_onset
from mersynth.facs.action_units import stronger_side
from mersynth.motion.dynamic_image import dynamic_image
from mersynth.motion.flow import optical_flow, optical_strain
from mersynth.motion.flow_images import flow_to_hsv, on_apex_off_magnitudes
from mersynth.motion.magnify import MagNet, eulerian_pair, load_magnet
from mersynth.motion.tim import tim
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float

logger = logging.getLogger(__name__)

Need = Literal["apex", "two frames", "frames that differ", "intensities", "landmarks"]
"""What a clip may lack."""


def has(item: StoredClip, need: Need) -> bool:
    """Whether a clip has what is needed."""
    if need == "apex":
        return item.clip.apex is not None
    if need == "two frames":
        return item.clip.num_frames > 1
    if need == "frames that differ":
        return any(bool((frame != item.frames[0]).any()) for frame in item.frames[1:])
    return bool(np.isfinite(getattr(item, need)).any())


def moves(item: StoredClip) -> bool:
    """Whether a pixel changes from onset to apex; False without an apex."""
    place = item.clip.apex_index
    return bool(place) and bool((item.frames[0] != item.frames[place]).any())


def warn_still(items: Iterable[StoredClip], of: str) -> None:
    """Warn of clips with an apex in which no pixel changes from onset to apex.

    Args:
        items: the clips.
        of: their feature or store; begins the warning.
    """
    given, still = 0, []
    for item in items:
        if has(item, "apex"):
            given += 1
            if not moves(item):
                still.append(item.clip.id)
    if still:
        logger.warning(
            "%s: in %d of %d clips no pixel changes from onset to apex, so their flow and other "
            "measures of movement are zero: %s; %s",
            of,
            len(still),
            given,
            listed(still),
            _STILL_REMEDY,
        )


@dataclass(frozen=True, slots=True)
class Feature:
    """A kind of feature.

    Attributes:
        compute: function of clips, a device and options that gives (B, ...) float32.
        of: what a row belongs to.
        needs: what a clip must have; the rows of clips without it are NaN.
        shape: shape of a row, in words.
        of_flow: the feature of clips whose flow (B, 2, H, W) with the same options is known.
    """

    compute: Callable[..., Tensor]
    shape: str
    needs: Need = "apex"
    of: Literal["clip", "frame"] = "clip"
    of_flow: Callable[[Tensor], Tensor] | None = None

    def fits(self, item: StoredClip) -> bool:
        """Whether a clip has what the feature needs."""
        return has(item, self.needs)


def _flow(clips: Sequence[StoredClip], device: torch.device, **options: Any) -> Tensor:
    return optical_flow(_onset(clips, device), _apex(clips, device), **options)


def _strain(clips: Sequence[StoredClip], device: torch.device, **options: Any) -> Tensor:
    return optical_strain(_flow(clips, device, **options))


def _flow_hsv(clips: Sequence[StoredClip], device: torch.device, **options: Any) -> Tensor:
    return flow_to_hsv(_flow(clips, device, **options), _apex(clips, device))


def _on_off(
    clips: Sequence[StoredClip], device: torch.device, alpha: float, **options: Any
) -> Tensor:
    onset, apex, offset = _onset(clips, device), _apex(clips, device), _offset(clips, device)
    if alpha != 1:
        apex = _magnify(_shipped_magnet(device), onset, apex, alpha)
    return on_apex_off_magnitudes(onset, apex, offset, **options)


def _magnified(
    clips: Sequence[StoredClip], device: torch.device, method: str, alpha: float
) -> Tensor:
    check_choice("magnified: method", method, ("magnet", "eulerian"))
    onset, apex = _onset(clips, device), _apex(clips, device)
    magnify = _shipped_magnet(device) if method == "magnet" else eulerian_pair
    return _magnify(magnify, onset, apex, alpha)


def _magnify(
    magnifier: Callable[[Tensor, Tensor, float], Tensor], onset: Tensor, apex: Tensor, alpha: float
) -> Tensor:
    """The magnified apex; the apex itself if it is the onset and nothing moves."""
    changed = (onset != apex).flatten(1).any(1)[:, None, None, None]
    return torch.where(changed, magnifier(onset, apex, alpha), apex)


def _dynamic_image(clips: Sequence[StoredClip], device: torch.device, **options: Any) -> Tensor:
    return torch.cat([dynamic_image(to_float(c.frames).to(device)[None], **options) for c in clips])


def _tim(clips: Sequence[StoredClip], device: torch.device, num_frames: int) -> Tensor:
    return torch.stack([tim(to_float(c.frames).to(device), num_frames) for c in clips])


def _intensity_change(clips: Sequence[StoredClip], device: torch.device) -> Tensor:
    changes = [difference_to_onset(stronger_side(clip.intensities)) for clip in clips]
    return torch.from_numpy(np.concatenate(changes))


def _onset(clips: Sequence[StoredClip], device: torch.device) -> Tensor:
    return to_float(np.stack([clip.frames[0] for clip in clips])).to(device)


def _apex(clips: Sequence[StoredClip], device: torch.device) -> Tensor:
    return to_float(np.stack([clip.frames[clip.clip.apex_index] for clip in clips])).to(device)


def _offset(clips: Sequence[StoredClip], device: torch.device) -> Tensor:
    return to_float(np.stack([clip.frames[-1] for clip in clips])).to(device)


@functools.lru_cache(maxsize=1)
def _shipped_magnet(device: torch.device) -> MagNet:
    return load_magnet().to(device)


_STILL_REMEDY = (
    "prepare the store with doubtful_apex=spot, which spots an apex where frames differ, or with "
    "doubtful_apex=leave_out"
)
REMEDIES: dict[Need, str] = {
    "apex": "prepare the store with apex=strain, which spots it",
    "two frames": "a single picture has no motion: leave the feature out",
    "frames that differ": "a clip in which nothing moves has no dynamic image: leave it out",
    "intensities": "prepare the store with --intensities v2 (`mersynth doctor` says what that "
    "needs), openface=DIR, libreface=DIR or blendshapes=FILE.task",
    "landmarks": "prepare the store with intensities=v2, which also measures landmarks",
}
FEATURES: dict[str, Feature] = {
    "flow": Feature(_flow, "2, H, W: x, y in pixels, onset to apex"),
    "strain": Feature(_strain, "1, H, W: optical strain, onset to apex", of_flow=optical_strain),
    "flow_hsv": Feature(_flow_hsv, "3, H, W: hue, saturation, value in [0, 1] (NMER)"),
    "on_off": Feature(_on_off, "2, H, W: On-A, Off-A in [0, 1] (dual branch)"),
    "magnified": Feature(_magnified, "3, H, W: the magnified apex frame, RGB in [0, 1]"),
    "dynamic_image": Feature(_dynamic_image, "3, H, W: RGB in [0, 1]", needs="frames that differ"),
    "tim": Feature(_tim, "T, 3, H, W: RGB in [0, 1], T frames", needs="two frames"),
    "intensity_change": Feature(
        _intensity_change,
        "20: AU intensities minus the onset's, the stronger side",
        "intensities",
        of="frame",
    ),
}
"""The features by name; their options are in ``configs/prepare.yaml``."""
