"""Spotting movements in a long recording of a face: when each begins, is strongest, and ends.

Of every frame it is asked how far the face has moved away and come back, by its flow to the frames
some time before and after it, without the head's motion (:func:`mersynth.motion.head.fit_head`):
steady motion cancels, what comes and goes remains, as in the contrast of Moilanen, Zhao and
Pietikäinen ("Spotting rapid facial movements from videos using appearance-based feature difference
analysis", ICPR 2014) and the maximal difference along the main direction of Wang et al. ("A main
directional maximal difference analysis for spotting facial movements from long-term videos",
Neurocomputing 230, 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mersynth.motion.flow import farneback, magnitude, optical_strain
from mersynth.motion.head import face_mask, fit_head, rigid_flow
from mersynth.ranges import Range

SIDE = 64
"""Side of the frames that movements are spotted in, in pixels."""

REACHES = (0.2, 0.45)
"""Seconds between a frame and those that it is compared with: for fast movements, and slow ones."""

_FLOW: dict[str, Any] = {"winsize": 7, "levels": 2}  # blinks do not spread as with more
_RATE = 25.0  # comparisons a second
_BATCH = 64
_SHARE = 0.025  # of the face's pixels: what moves most counts
_APART = 0.5  # seconds between two apexes
_BLINK = 4.0  # an eye that moves so many times as far as the rest of the face blinks
_LONGEST = 2.0  # seconds from an apex to its onset and offset
_PLATEAU = 0.3  # seconds in which a face comes no closer to rest
_REST = 0.85  # of its way: closer to rest is rest
_PAUSE = 0.425  # of its way: a stop before that is a pause, not rest
_SLOWEST = 10.0  # frames a second; with fewer, a micro-expression has hardly a frame on each side
# The eyes in HEAD: height, and left and right ends.
_EYES = (0.29, 0.405), ((0.24, 0.46), (0.54, 0.76))


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement of a face.

    Attributes:
        onset, apex, offset: frames, from 0.
        strength: how far it stands out of what the recording shows at rest; 1 is the threshold.
    """

    onset: int
    apex: int
    offset: int
    strength: float


def spot_movements(frames: Tensor, fps: float, threshold: float = 5.0) -> list[Movement]:
    """Spot movements in a recording; blinks are left out.

    Args:
        frames: (T, 1, 64, 64) in [0, 1], grey, of a face aligned to
            :data:`mersynth.face.template.HEAD`.
        fps: frames a second, 10 or more.
        threshold: how far a movement must stand out of the median of the recording, in median
            absolute deviations.

    Returns:
        The movements, by time; they do not overlap.

    Raises:
        ValueError: if the frames have another shape or lie outside [0, 1], the rate or the
            threshold is out of range, or the recording lasts 0.4 s or less.
    """
    _check(frames, fps, threshold)
    seen = _Recording(frames, fps)
    reaches = _reaches(seen)
    signals, blinks = zip(*(_signals(seen, reach, threshold) for reach in reaches), strict=True)
    own = np.argmax(signals, 0)  # the reach that shows most
    every = np.arange(len(own))
    signal, blink = np.stack(signals)[own, every], np.stack(blinks)[own, every]
    return _disjoint(
        [
            _extent(seen, apex, reaches[own[apex]], float(signal[apex]))
            for apex in _peaks(signal, round(_APART * fps))
            if not blink[apex]
        ]
    )


class _Recording:
    """The frames in one light, and their flow without the head's motion."""

    def __init__(self, frames: Tensor, fps: float) -> None:
        mask = face_mask(SIDE)
        at = (torch.arange(SIDE) + 0.5) / SIDE
        (top, bottom), sides = _EYES
        across = torch.stack([(at > left) & (at < right) for left, right in sides]).any(0)
        self.eyes = across[None] & ((at > top) & (at < bottom))[:, None]
        self.face = mask & ~self.eyes
        light = frames[:, 0, mask].mean(1).clamp(min=1e-3)  # a frame may be black
        frames = (frames * (light.median() / light)[:, None, None, None]).clamp(0, 1)
        around = torch.cat([frames[:1], frames, frames[-1:]])
        self.frames = (around[:-2] + 2 * around[1:-1] + around[2:]) / 4  # less camera noise
        self.fps = fps
        self.step = max(1, round(fps / _RATE))

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, 2, S, S) between frames, by their numbers."""
        flow = farneback(self.frames[first], self.frames[second], **_FLOW)
        return flow - rigid_flow(fit_head(flow, rounds=3), SIDE).to(flow)

    def deviation(self, middle: Tensor, reach: int) -> Tensor:
        """(B, 2, S, S) how far frames lie off the way between those ``reach`` before and after."""
        before, after = middle - reach, middle + reach
        return self.flow(before, middle) - self.flow(before, after) / 2


def _reaches(seen: _Recording) -> list[int]:
    """In frames, those for which the recording is long enough."""
    reaches = [max(1, round(reach * seen.fps)) for reach in REACHES]
    return [reach for reach in reaches if 2 * reach < len(seen.frames)] or reaches[:1]


def _signals(seen: _Recording, reach: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """How much moves and comes back at each of T frames, 1 at the threshold; whether eyes blink."""
    count, face = len(seen.frames), seen.face
    middles = torch.arange(reach, count - reach, seen.step)
    most = max(1, round(_SHARE * int(face.sum())))
    found = []
    for part in middles.split(_BATCH):
        moved = seen.deviation(part, reach)
        strains, length = optical_strain(moved)[:, 0], magnitude(moved)[:, 0]
        strongest = strains[:, face].topk(most, 1).values.mean(1)
        means = length[:, face].mean(1), length[:, seen.eyes].mean(1)
        found.append(torch.stack([strongest, *means]))
    width = round(0.04 * seen.fps)
    strain, rest, eyes = (
        _smooth(np.interp(np.arange(count), middles.numpy(), each), width)
        for each in torch.cat(found, 1).double().numpy()
    )
    middle = np.median(strain)
    spread = max(float(np.median(np.abs(strain - middle))), 1e-6)
    signal = (strain - middle) / (threshold * spread)
    signal[:reach] = signal[count - reach :] = 0
    return signal, eyes > _BLINK * rest


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    weights = np.hanning(2 * max(1, width) + 1)
    padded = np.pad(values, max(1, width), mode="edge")
    return np.convolve(padded, weights / weights.sum(), "valid")


def _peaks(signal: np.ndarray, apart: int) -> list[int]:
    """Frames above the threshold, the strongest first, none close to a stronger one."""
    free, found = signal > 1, []
    for frame in np.argsort(-signal, kind="stable").tolist():
        if free[frame]:
            found.append(frame)
            free[max(0, frame - apart) : frame + apart + 1] = False
    return found


def _extent(seen: _Recording, apex: int, reach: int, strength: float) -> Movement:
    """The movement around an apex: how far frames lie from it, along the way that it has gone."""
    count, window = len(seen.frames), round(_LONGEST * seen.fps)
    frames = torch.arange(max(0, apex - window), min(count, apex + window + 1), seen.step)
    way = seen.deviation(torch.tensor([apex]), reach)[:, :, seen.face]
    parts = [
        seen.flow(torch.full_like(part, apex), part)[:, :, seen.face]
        for part in frames.split(_BATCH)
    ]
    gone = -(torch.cat(parts) * way).sum((1, 2)) / way.square().sum()
    back = _smooth(gone.double().numpy(), 1)
    middle = int(np.searchsorted(frames.numpy(), apex))
    still = max(1, round(_PLATEAU * seen.fps / seen.step))
    before = middle - _until_rest(back[middle::-1], still)
    after = middle + _until_rest(back[middle:], still)
    onset, offset = int(frames[max(0, before)]), int(frames[min(len(frames) - 1, after)])
    inside = slice(max(0, before), after + 1)
    highest = int(frames[inside][int(back[inside].argmin())])
    highest = min(max(highest, onset + 1), max(onset + 1, offset - 1))
    return Movement(onset, highest, max(offset, highest + 1), strength)


def _until_rest(back: np.ndarray, still: int) -> int:
    """Steps from the apex until the face is at rest, where it comes back no further for a while."""
    best, place = back[0], 0
    for step, value in enumerate(back):
        if value > best:
            best, place = value, step
        elif step - place >= still and best > _PAUSE:
            break
    return int(np.argmax(back[: place + 1] >= back[0] + _REST * (best - back[0])))


def _disjoint(movements: list[Movement]) -> list[Movement]:
    """By time; of those that overlap, the strongest."""
    kept: list[Movement] = []
    for each in sorted(movements, key=lambda m: -m.strength):
        if all(each.offset < other.onset or each.onset > other.offset for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda m: m.onset)


def _check(frames: Tensor, fps: float, threshold: float) -> None:
    if frames.dim() != 4 or tuple(frames.shape[1:]) != (1, SIDE, SIDE):
        raise ValueError(f"frames must be (T, 1, {SIDE}, {SIDE}), grey, got {tuple(frames.shape)}")
    for name, value, allowed in (
        ("fps", fps, Range(_SLOWEST)),
        ("threshold", threshold, Range(0, above=True)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if not (frames.min() >= 0 and frames.max() <= 1):
        raise ValueError(
            f"frames must lie in [0, 1], got {frames.min().item():g}..{frames.max().item():g}"
        )
    if len(frames) <= 2 * max(1, round(REACHES[0] * fps)):
        raise ValueError(
            f"a recording must last more than {2 * REACHES[0]:g} s, got {len(frames)} frames at "
            f"{fps:g} a second"
        )
