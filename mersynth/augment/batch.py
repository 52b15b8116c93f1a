"""The inputs of augmentations: tensors and mappings, read as a batch of clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mersynth.augment.au_sets import ORDER
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import NUM_LANDMARKS


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of an augmentation as a batch of clips; an image is a clip of one frame.

    Attributes:
        frames: (B, T, C, H, W) float.
        label: (B,) int64, the class.
        aus: (B, T, 20) float in [0, 1], columns as ``CONDITION_AUS``; NaN where not measured.
        au_set: (B, S, 2) float in [0, 1], 1 where an AU is shown; rows as ``au_sets.ORDER``, then
            the subject's left and right side.
        landmarks: (B, T, 68, 2) float, x, y in pixels, the first pixel's centre at 0; NaN where
            not measured. They may lie outside the image, and may be moved there.
        subject: (B,) int64, a number for each person.
        onset_index: (B,) int64, the position of the onset among the frames.
        apex_index: (B,) int64, the position of the apex among the frames; -1 where not known.
    """

    frames: Tensor
    label: Tensor | None = None
    aus: Tensor | None = None
    au_set: Tensor | None = None
    landmarks: Tensor | None = None
    subject: Tensor | None = None
    onset_index: Tensor | None = None
    apex_index: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def device(self) -> torch.device:
        """The device of the frames."""
        return self.frames.device


# Shape of a sample after B; T is the clip's.
_SHAPES: dict[str, tuple[int | str, ...]] = {
    "label": (),
    "aus": ("T", len(CONDITION_AUS)),
    "au_set": (len(ORDER), 2),
    "landmarks": ("T", NUM_LANDMARKS, 2),
    "subject": (),
    "onset_index": (),
    "apex_index": (),
}
_OVER_TIME = ("frames", "aus", "landmarks")


def unpack(
    inputs: Tensor | Mapping[str, Any],
) -> tuple[Batch, Callable[[Batch], Tensor | dict[str, Any]]]:
    """Inputs as a batch of clips, and a function that gives a batch the form of the inputs.

    Raises:
        ValueError: if a shape is wrong or frames are not float.
    """
    if isinstance(inputs, Tensor):
        return _unpack_tensor(inputs)
    return _unpack_mapping(inputs)


def _unpack_tensor(frames: Tensor) -> tuple[Batch, Callable[[Batch], Tensor]]:
    if frames.dim() not in (3, 4, 5):
        raise ValueError(
            "expected images (C, H, W) or (B, C, H, W), or clips (B, T, C, H, W); got "
            f"{tuple(frames.shape)}"
        )
    _check_frames(frames)
    shape = frames.shape
    if frames.dim() == 3:
        frames = frames[None]
    if frames.dim() == 4:
        frames = frames[:, None]

    def restore(batch: Batch) -> Tensor:
        new = batch.frames
        if len(shape) < 5:
            new = new[:, 0]
        return new[0] if len(shape) == 3 else new

    return Batch(frames), restore


def _unpack_mapping(
    inputs: Mapping[str, Any],
) -> tuple[Batch, Callable[[Batch], dict[str, Any]]]:
    given = [key for key in ("image", "clip") if key in inputs]
    if len(given) != 1:
        raise ValueError(f"the mapping must have either 'image' or 'clip', got {list(inputs)}")
    (key,) = given
    frames = inputs[key]
    _check_frames(frames)
    sizes = {"image": (3, 4), "clip": (4, 5)}[key]
    if frames.dim() not in sizes:
        form = {"image": "(C, H, W) or (B, C, H, W)", "clip": "(T, C, H, W) or (B, T, C, H, W)"}
        raise ValueError(f"{key} must have shape {form[key]}, got {tuple(frames.shape)}")
    alone = frames.dim() == sizes[0]
    inner = key == "clip"

    def widen(name: str, value: Any) -> Tensor:
        tensor = torch.as_tensor(value, device=frames.device)
        tensor = tensor[None] if alone else tensor
        return tensor[:, None] if name in _OVER_TIME and not inner else tensor

    wide = widen("frames", frames)
    known = {n: widen(n, inputs[n]) for n in _SHAPES if inputs.get(n) is not None}
    for name, value in known.items():
        _check_shape(name, value, wide)
        if name in ("aus", "au_set"):
            _check_intensities(name, value)

    def restore(batch: Batch) -> dict[str, Any]:
        result = dict(inputs)
        for name in ("frames", *known):
            value = getattr(batch, name)
            if name in _OVER_TIME and not inner:
                value = value[:, 0]
            value = value[0] if alone else value
            if name in known and isinstance(inputs[name], int):
                value = int(value)
            result[key if name == "frames" else name] = value
        return result

    return Batch(wide, **known), restore


def _check_frames(frames: Tensor) -> None:
    if not isinstance(frames, Tensor) or not frames.is_floating_point():
        kind = frames.dtype if isinstance(frames, Tensor) else type(frames).__name__
        raise ValueError(f"frames must be a float tensor, got {kind}; divide uint8 by 255")
    if not frames.numel():
        raise ValueError(f"there are no frames in a tensor of shape {tuple(frames.shape)}")


def _check_shape(name: str, value: Tensor, frames: Tensor) -> None:
    wanted = (len(frames), *(frames.shape[1] if n == "T" else n for n in _SHAPES[name]))
    if tuple(value.shape) != wanted:
        raise ValueError(
            f"{name} must have shape {wanted} to go with frames {tuple(frames.shape)} (B, T, C, H, "
            f"W), got {tuple(value.shape)}"
        )


def _check_intensities(name: str, value: Tensor) -> None:
    """Raise ValueError if AUs lie outside [0, 1], except NaN. Skipped while compiling."""
    if torch.compiler.is_compiling():
        return
    wrong = (value < 0) | (value > 1)
    if wrong.any():
        raise ValueError(
            f"{name} must lie in [0, 1], or be NaN where not measured; got {value[wrong][0]:.3g} "
            "(divide OpenFace's intensities by 5)"
        )


def check_unit_range(name: str, frames: Tensor) -> None:
    """Raise ValueError if frames are NaN or lie outside [0, 1]. Skipped while compiling."""
    if torch.compiler.is_compiling():
        return
    low, high = (bound.item() for bound in frames.detach().aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"{name}: frames must lie in [0, 1], got {low:.3g}..{high:.3g}")
