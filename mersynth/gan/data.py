"""What a training step sees: frames with their AU intensities, and whole clips with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mersynth.dataset import to_float
from mersynth.gan.conditions import (
    ConditionSettings,
    clip_curve,
    jitter,
    movement,
    resample,
    tell_assumed_apexes,
)
from mersynth.store import ClipStore

#: A clip whose AU intensities change by less, of 1, shows no movement to learn from.
LEAST_CHANGE = 0.01


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """Pairs of frames of one clip, and the intensities to generate from the first of them.

    A clip of one frame is a pair with itself. Its condition is always another clip's, as its only
    true frame would teach the generator to give back what it was given.

    Attributes:
        image: (B, 3, H, W) in [0, 1], the input I_in.
        image_aus: (B, N, 2), its intensities, left and right, NaN where not known.
        truth: (B, 3, H, W), another frame of the same clip.
        truth_aus: (B, N, 2), its intensities.
        target_aus: (B, N, 2) in [0, 1], the condition Y; NaN where nothing is asked.
        own: (B,) bool, whether Y is ``truth_aus``, so that ``truth`` is the ground truth.
    """

    image: Tensor
    image_aus: Tensor
    truth: Tensor
    truth_aus: Tensor
    target_aus: Tensor
    own: Tensor

    def to(self, device: torch.device) -> ImageBatch:
        """The batch on another device."""
        return ImageBatch(*(getattr(self, name).to(device) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class VideoBatch:
    """Real clips with their labels, and for each a curve of a clip of another subject.

    Attributes:
        clip: (B, K, 3, H, W) in [0, 1].
        labels: (B,) int64, classes of ``clip``.
        curves: (B, K, N, 2) in [0, 1], the conditions Y_c that the first frame is to follow.
        curve_labels: (B,) int64, classes of ``curves``.
    """

    clip: Tensor
    labels: Tensor
    curves: Tensor
    curve_labels: Tensor

    def to(self, device: torch.device) -> VideoBatch:
        """The batch on another device."""
        return VideoBatch(*(getattr(self, name).to(device) for name in self.__slots__))


class TrainingClips:
    """The clips of a store as training sees them: with an AU curve each.

    Clips without any known AU (annotated ``?``, or neither annotated nor measured) cannot teach a
    condition; they are left out.

    Args:
        store: real clips.
        settings: how annotations become curves.

    Attributes:
        left_out: how many clips have no known AU.
        emotions: labels of the clips, sorted; their positions are the video critic's classes.
        subjects: ids of the subjects, sorted.
        moving: which clips' AU intensities change, by at least :data:`LEAST_CHANGE`. Only they have
            true frames to learn from, and are shown to the video critic.

    Raises:
        ValueError: if no clip has a known AU.
    """

    def __init__(self, store: ClipStore, settings: ConditionSettings) -> None:
        tell_assumed_apexes(store)
        curves = [clip_curve(item, settings) for item in store]
        known = [i for i, curve in enumerate(curves) if not np.isnan(curve).all()]
        if not known:
            raise ValueError(
                f"no clip of {store.path} has a known Action Unit, measured or annotated; "
                "a generator cannot be trained on it. Prepare it with measured ones, by "
                "--intensities v2 (`mersynth doctor` says what that needs)"
            )
        self.items = [store[i] for i in known]
        self.curves = [curves[i] for i in known]
        self.clips = [item.clip for item in self.items]
        self.settings = settings
        self.path, self.left_out = store.path, len(curves) - len(known)
        self.emotions = tuple(sorted({clip.emotion for clip in self.clips}))
        self.subjects = tuple(sorted({clip.subject_id for clip in self.clips}))
        self.moving = [i for i, c in enumerate(self.curves) if largest_change(c) >= LEAST_CHANGE]
        self._by_emotion: dict[str, list[int]] = {}
        for i in self.moving:
            self._by_emotion.setdefault(self.clips[i].emotion, []).append(i)
        self._moving_subjects = {self.clips[i].subject_id for i in self.moving}

    def draw_pairs(
        self, rng: np.random.Generator, count: int, own_share: float, noise: float
    ) -> list[tuple[np.ndarray, ...]]:
        """Draw frame pairs for an :class:`ImageBatch`.

        The input is the first frame of a clip half of the time, any other one else. A share
        ``own_share`` of the pairs are frames of a clip that moves, the condition being that of the
        second; of the others it is a frame of another subject, with uniform noise as in GANimation.
        """
        pairs: list[tuple[np.ndarray, ...]] = []
        for _ in range(count):
            own = bool(self.moving) and bool(rng.random() < own_share)
            i = self.moving[rng.integers(len(self.moving))] if own else self._draw(rng)
            item, curve = self.items[i], self.curves[i]
            a = 0 if rng.random() < 0.5 else int(rng.integers(len(curve)))
            b = int(rng.integers(len(curve) - 1)) if len(curve) > 1 else 0
            b += b >= a and len(curve) > 1  # another frame: a pair of the same teaches nothing
            if own:
                target = curve[b]
            else:
                alone = len(self.subjects) == 1
                j = self._draw_of_another(i, lambda: self._draw(rng), alone)
                target = self.curves[j][rng.integers(len(self.curves[j]))]
                spread = noise * rng.uniform(-1, 1, (len(target), 1)) * np.nanmax(target)
                target = np.clip(target + spread, 0, 1)
            pairs.append(
                (item.frames[a], curve[a], item.frames[b], curve[b], target, np.array(own))
            )
        return pairs

    def video_batch(self, rng: np.random.Generator, count: int, num_frames: int) -> VideoBatch:
        """Draw clips that move, resampled to ``num_frames``, each with the curve of another.

        Classes come evenly.
        """
        clips, labels, curves, curve_labels = [], [], [], []
        for _ in range(count):
            i = self._draw_of_even_class(rng)
            alone = len(self._moving_subjects) == 1
            j = self._draw_of_another(i, lambda: self._draw_of_even_class(rng), alone)
            frames = self.items[i].frames
            chosen = np.linspace(0, len(frames) - 1, num_frames).round().astype(int)
            clips.append(np.asarray(frames[chosen]))
            labels.append(self.emotions.index(self.clips[i].emotion))
            curve = jitter(resample(movement(self.curves[j]), num_frames), rng, self.settings)
            curves.append(np.clip(np.nan_to_num(self.curves[i][:1]) + curve, 0, 1))
            curve_labels.append(self.emotions.index(self.clips[j].emotion))
        return VideoBatch(
            to_float(np.stack(clips)),
            torch.tensor(labels),
            torch.from_numpy(np.stack(curves)),
            torch.tensor(curve_labels),
        )

    def _draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self.items)))

    def _draw_of_even_class(self, rng: np.random.Generator) -> int:
        emotions = sorted(self._by_emotion)
        return int(rng.choice(self._by_emotion[emotions[rng.integers(len(emotions))]]))

    def _draw_of_another(self, i: int, draw: Callable[[], int], alone: bool) -> int:
        """Draw a clip of another subject than clip ``i``'s; any, where that subject is alone."""
        j = draw()
        while self.clips[j].subject_id == self.clips[i].subject_id and not alone:
            j = draw()
        return j


def largest_change(intensities: np.ndarray) -> float:
    """By how much the AU of (T, ...) intensities that changes most does; 0 where none is known."""
    change = np.fmax.reduce(intensities) - np.fmin.reduce(intensities)
    return float(np.nan_to_num(change).max())


def draw_image_batch(
    sets: Sequence[tuple[TrainingClips, int]],
    rng: np.random.Generator,
    own_share: float,
    noise: float,
) -> ImageBatch:
    """An :class:`ImageBatch` of so many pairs of each set (micro clips, macro faces)."""
    pairs = [
        pair for clips, count in sets for pair in clips.draw_pairs(rng, count, own_share, noise)
    ]
    image, image_aus, truth, truth_aus, target, own = (
        np.stack(x) for x in zip(*pairs, strict=True)
    )
    return ImageBatch(
        to_float(image),
        torch.from_numpy(image_aus).float(),
        to_float(truth),
        torch.from_numpy(truth_aus).float(),
        torch.from_numpy(target).float(),
        torch.from_numpy(own),
    )
