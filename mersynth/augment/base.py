"""What every augmentation shares: what it takes, how its parameters are drawn, kept and replayed.

An augmentation is an ``nn.Module`` over a pure function. It takes

- a tensor: images (B, C, H, W) or (C, H, W), or clips (B, T, C, H, W); or
- a mapping with ``"image"`` (B, C, H, W) or ``"clip"`` (B, T, C, H, W) and whatever of
  :class:`Batch` is known, which then stays consistent with the frames; other keys pass through
  untouched. A sample of a :class:`mersynth.dataset.ClipDataset`, alone (without B) or collated, is
  such a mapping;

and returns the same. Parameters are drawn apart from being applied and kept in ``params``, so that
``augment(other, params=augment.params)`` does the same to other frames, on any device. A clip's
frames share all spatial parameters: nothing moves that did not move before.

So an augmentation is an item of ``torchvision.transforms.v2.Compose``, of
``kornia.augmentation.AugmentationSequential`` (images alone), and, behind ``default_collate``, a
``collate_fn``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from mersynth.augment.au_sets import ORDER
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import NUM_LANDMARKS

Params = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """What an augmentation sees, always as a batch of clips; an image is a clip of one frame.

    Attributes:
        frames: (B, T, C, H, W) float.
        label: (B,) int64, the class.
        aus: (B, T, 20) float in [0, 1], columns as ``CONDITION_AUS``; NaN where not measured.
        au_set: (B, S, 2) float in [0, 1], 1 where an AU is there; rows as ``au_sets.ORDER``, then
            the subject's left and right side.
        landmarks: (B, T, 68, 2) float, x, y in pixels, the first pixel's centre at 0; NaN where
            not measured. They may lie outside of the image, and may be moved there.
        subject: (B,) int64, a number for each person.
        onset_index: (B,) int64, the position of the onset among the frames.
        apex_index: (B,) int64, the position of the apex among the frames.
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
        """Where the frames lie."""
        return self.frames.device


# Shape of a sample behind B; T is the clip's.
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


class Augmentation(nn.Module, ABC):
    """Base of the augmentations.

    Args:
        p: probability that a sample is changed.
        generator: a generator on the CPU, from which parameters are drawn; None: torch's own, that
            ``torch.manual_seed`` sets. Either way the same seed gives the same parameters on every
            device. Leave it out within a DataLoader's workers: torch seeds each of them anew,
            whereas of a generator all have the same copy.

    Attributes:
        params: what was drawn last, a tensor a name; ``"on"`` (B,) says which samples changed.

    Raises:
        ValueError: if ``p`` lies outside of [0, 1].
    """

    unit_range = False
    """Whether frames must lie in [0, 1]; others may be flow, or normalised."""

    resizes = False
    """Whether the result has another size or number of frames; ``transform`` then heeds ``"on"``
    itself, and gives samples that are off the same size without chance."""

    def __init__(self, p: float = 0.5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must lie in [0, 1], got {p}")
        self.p = p
        self.generator = generator
        self.params: Params = {}

    @abstractmethod
    def draw(self, batch: Batch) -> Params:
        """Parameters for every sample of a batch, on the batch's device.

        ``"on"`` is added; where a subclass gives it, it says which samples can change at all.
        """

    @abstractmethod
    def transform(self, batch: Batch, params: Params) -> Batch:
        """The batch with every sample changed; samples that are not ``"on"`` are put back."""

    def forward(
        self, inputs: Tensor | Mapping[str, Any], params: Params | None = None
    ) -> Tensor | dict[str, Any]:
        """Augment.

        Args:
            inputs: see the module's text.
            params: those of an earlier call, to be replayed; None draws new ones.

        Returns:
            The same kind as ``inputs``; what is passed in is not changed.

        Raises:
            ValueError: if shapes do not fit together, frames are no float, or leave [0, 1] where
                they must not; if AUs leave [0, 1] (NaN, not measured, is allowed); or if ``params``
                are for another number of samples.
        """
        batch, restore = unpack(inputs)
        if self.unit_range:
            check_unit_range(type(self).__name__, batch.frames)
        if params is None:
            params = self.draw(batch)
            on = self.uniform(batch, 0, 1) < self.p
            params["on"] = on & params["on"] if "on" in params else on
        else:
            params = self._fit(params, batch)
        self.params = params
        changed = self.transform(batch, params)
        return restore(changed if self.resizes else _choose(params["on"], changed, batch))

    def _fit(self, params: Params, batch: Batch) -> Params:
        """Replayed parameters on the batch's device; refuse those of another number of samples."""
        size = len(params["on"]) if "on" in params else 0
        if size != len(batch):
            raise ValueError(
                f"{type(self).__name__}: the params are for {size} samples, the batch has "
                f"{len(batch)}; replay the params of a batch of the same size"
            )
        return {name: value.to(batch.device) for name, value in params.items()}

    def uniform(self, batch: Batch, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) evenly distributed numbers in [low, high), on the batch's device."""
        drawn = torch.rand(len(batch), *shape, generator=self.generator)
        return (low + (high - low) * drawn).to(batch.device)

    def extra_repr(self) -> str:
        """The probability; a subclass adds its own."""
        return f"p={self.p}"


def unpack(
    inputs: Tensor | Mapping[str, Any],
) -> tuple[Batch, Callable[[Batch], Tensor | dict[str, Any]]]:
    """Inputs as a batch of clips, and the function that gives a batch their form again.

    Raises:
        ValueError: if a shape is wrong or frames are no float.
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
        raise ValueError(f"expected one of 'image' and 'clip' in the mapping, got {list(inputs)}")
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
    """Raise ValueError if AUs leave [0, 1]; NaN, not measured, does not. Not while compiling."""
    if torch.compiler.is_compiling():
        return
    wrong = (value < 0) | (value > 1)
    if wrong.any():
        raise ValueError(
            f"{name} must lie in [0, 1], or be NaN where not measured; got {value[wrong][0]:.3g} "
            "(OpenFace's intensities are to be divided by 5)"
        )


def check_unit_range(name: str, frames: Tensor) -> None:
    """Raise ValueError if frames leave [0, 1] or are NaN; left out while compiling."""
    if torch.compiler.is_compiling():
        return
    low, high = (bound.item() for bound in frames.detach().aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"{name}: frames must lie in [0, 1], got {low:.3g}..{high:.3g}")


def _choose(on: Tensor, changed: Batch, batch: Batch) -> Batch:
    """The changed samples where ``on``, else those of the batch."""
    chosen = {}
    for field in fields(batch):
        new, old = getattr(changed, field.name), getattr(batch, field.name)
        if new is not None and new is not old:
            wide = on.reshape(-1, *[1] * (new.dim() - 1))
            chosen[field.name] = torch.where(wide, new, old)
    return replace(changed, **chosen)
