"""Batches of a training step: frames with their AU intensities, and whole clips with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mersynth.curves import (
    ConditionSettings,
    added_to_rest,
    clip_curve,
    jitter,
    movement,
    resample,
    warn_assumed_apexes,
)
from mersynth.gan.motion_generator import shrink
from mersynth.gan.true_motion import SIZE, load_true_motion
from mersynth.motion.camera_noise import camera_noise
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_float

#: A clip whose AU intensities change by less shows no movement to learn from.
LEAST_CHANGE = 0.01


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """Frames of clips, each with M others of its clip, and the intensities to generate from it.

    A clip of one frame is paired with itself. Its condition is always another clip's, because its
    only true frame would teach the generator to return its input.

    Attributes:
        image: (B, 3, H, W) in [0, 1], the input I_in.
        image_aus: (B, N, 2), its intensities, left and right, NaN where not known.
        truth: (B M, 3, H, W), other frames of the same clips, grouped by clip.
        truth_aus: (B M, N, 2), their intensities.
        target_aus: (B M, N, 2) in [0, 1], the conditions Y; NaN where nothing is asked for.
        own: (B M,) bool, whether Y is ``truth_aus``, so that ``truth`` is the ground truth.
        noise: (B M,), how much a still pixel varies from frame to frame
            (:func:`mersynth.motion.camera_noise.camera_noise`).
        flow: (B M, 2, h, w), where each place of ``truth`` comes from in the input, as shares of
            the side; NaN where not known (it is known only from first frames of rendered clips).
    """

    image: Tensor
    image_aus: Tensor
    truth: Tensor
    truth_aus: Tensor
    target_aus: Tensor
    own: Tensor
    noise: Tensor
    flow: Tensor

    @property
    def each(self) -> int:
        """M."""
        return len(self.truth) // len(self.image)

    @property
    def start(self) -> Tensor:
        """(B M, 3, H, W): the input of each condition."""
        return self.image.repeat_interleave(self.each, 0)

    def map(self, change: Callable[[Tensor], Tensor]) -> ImageBatch:
        """The batch with every tensor changed."""
        return ImageBatch(*(change(getattr(self, name)) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class VideoBatch:
    """Real clips with their labels, and for each the curve of another subject's clip.

    Attributes:
        clip: (B, K, 3, H, W) in [0, 1].
        labels: (B,) int64, classes of ``clip``.
        curves: (B, K, N, 2) in [0, 1], the conditions Y_c for the first frame.
        curve_labels: (B,) int64, classes of ``curves``.
        noise: (B,), how much a still pixel of ``clip`` varies from frame to frame.
    """

    clip: Tensor
    labels: Tensor
    curves: Tensor
    curve_labels: Tensor
    noise: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> VideoBatch:
        """The batch with every tensor changed."""
        return VideoBatch(*(change(getattr(self, name)) for name in self.__slots__))


class TrainingClips:
    """The clips of a store for training, each with an AU curve.

    Clips without any known AU (annotated ``?``, or neither annotated nor measured) are left out.

    Args:
        store: real clips.
        settings: how annotations become curves.

    Attributes:
        left_out: number of clips without any known AU.
        emotions: labels of the clips, sorted; their positions are the video critic's classes.
        subjects: ids of the subjects, sorted.
        moving: which clips' AU intensities change by at least :data:`LEAST_CHANGE`. Only these are
            used for true frames and shown to the video critic.

    Raises:
        ValueError: if no clip has a known AU.
    """

    def __init__(self, store: ClipStore, settings: ConditionSettings) -> None:
        warn_assumed_apexes(store)
        curves = [clip_curve(item, settings) for item in store]
        known = [i for i, curve in enumerate(curves) if not np.isnan(curve).all()]
        if not known:
            raise ValueError(
                f"no clip of {store.path} has a known Action Unit, measured or annotated; "
                "a generator cannot be trained on it. Prepare it with measured AUs: --intensities "
                "v2 (`mersynth doctor` says what that needs)"
            )
        self.items = [store[i] for i in known]
        self.curves = [curves[i] for i in known]
        self.clips = [item.clip for item in self.items]
        self.noise = [camera_noise(item.frames) for item in self.items]
        self.true_motion = load_true_motion(store)
        self.starts = [store.starts[i] for i in known]
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
        self, rng: np.random.Generator, count: int, own_share: float, noise: float, each: int
    ) -> list[tuple[np.ndarray, ...]]:
        """Draw frames for an :class:`ImageBatch`, each with ``each`` others of its clip.

        Half of the time the input is a clip's first frame, else any other. A share ``own_share`` of
        the inputs come from clips that move, with the conditions of the other frames; the rest have
        the conditions of other subjects' frames, with uniform noise as in GANimation.
        """
        drawn: list[tuple[np.ndarray, ...]] = []
        for _ in range(count):
            own = bool(self.moving) and bool(rng.random() < own_share)
            i = self.moving[rng.integers(len(self.moving))] if own else self._draw(rng)
            item, curve = self.items[i], self.curves[i]
            a = 0 if rng.random() < 0.5 else int(rng.integers(len(curve)))
            others = _other_frames(a, len(curve), each, rng)
            targets = curve[others] if own else self._targets_of_others(i, rng, noise, each)
            truth = np.stack([item.frames[b] for b in others])
            flow = self._true_motion(i, a, others)
            of_face = (np.array(own), np.array(self.noise[i]), flow)
            drawn.append((item.frames[a], curve[a], truth, curve[others], targets, *of_face))
        return drawn

    def _true_motion(self, i: int, a: int, others: np.ndarray) -> np.ndarray:
        """(M, 2, SIZE, SIZE): from frame ``a`` of clip ``i``; NaN where not known."""
        if self.true_motion is None or a:
            return np.full((len(others), 2, SIZE, SIZE), np.nan, np.float16)
        return self.true_motion[self.starts[i] + others]

    def _targets_of_others(
        self, i: int, rng: np.random.Generator, noise: float, each: int
    ) -> np.ndarray:
        """(M, N, 2): conditions from other subjects than clip ``i``'s."""
        alone = len(self.subjects) == 1
        targets = []
        for _ in range(each):
            j = self._draw_of_another(i, lambda: self._draw(rng), alone)
            target = self.curves[j][rng.integers(len(self.curves[j]))]
            spread = noise * rng.uniform(-1, 1, (len(target), 1)) * np.nanmax(target)
            targets.append(np.clip(target + spread, 0, 1))
        return np.stack(targets)

    def video_batch(
        self, rng: np.random.Generator, count: int, num_frames: int, size: int | None = None
    ) -> VideoBatch:
        """Draw clips that move, resampled to ``num_frames``, each with the curve of another.

        Classes are drawn uniformly.

        Args:
            rng: source of randomness.
            count: number of clips.
            num_frames: K.
            size: see :func:`draw_image_batch`.
        """
        clips, labels, curves, curve_labels, noise = [], [], [], [], []
        for _ in range(count):
            i = self._draw_of_even_class(rng)
            alone = len(self._moving_subjects) == 1
            j = self._draw_of_another(i, lambda: self._draw_of_even_class(rng), alone)
            frames = self.items[i].frames
            chosen = np.linspace(0, len(frames) - 1, num_frames).round().astype(int)
            clips.append(np.asarray(frames[chosen]))
            labels.append(self.emotions.index(self.clips[i].emotion))
            curve = jitter(resample(movement(self.curves[j]), num_frames), rng, self.settings)
            curves.append(added_to_rest(self.curves[i], curve))
            curve_labels.append(self.emotions.index(self.clips[j].emotion))
            noise.append(self.noise[i])
        return VideoBatch(
            frames_of(np.concatenate(clips), size).unflatten(0, (count, num_frames)),
            torch.tensor(labels),
            torch.from_numpy(np.stack(curves)),
            torch.tensor(curve_labels),
            torch.tensor(noise),
        )

    def _draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self.items)))

    def _draw_of_even_class(self, rng: np.random.Generator) -> int:
        emotions = sorted(self._by_emotion)
        return int(rng.choice(self._by_emotion[emotions[rng.integers(len(emotions))]]))

    def _draw_of_another(self, i: int, draw: Callable[[], int], alone: bool) -> int:
        """Draw a clip of another subject than clip ``i``'s; of any if there is only one."""
        j = draw()
        while self.clips[j].subject_id == self.clips[i].subject_id and not alone:
            j = draw()
        return j


def _other_frames(a: int, count: int, each: int, rng: np.random.Generator) -> np.ndarray:
    """(M,) frames of a clip other than frame ``a``, with repeats in a short clip.

    A clip of one frame gives that frame.
    """
    if count == 1:
        return np.zeros(each, int)
    others = np.delete(np.arange(count), a)
    return rng.choice(others, each, replace=each > len(others))


def largest_change(intensities: np.ndarray) -> float:
    """The largest change of any AU in (T, ...) intensities; 0 if none is known."""
    change = np.fmax.reduce(intensities) - np.fmin.reduce(intensities)
    return float(np.nan_to_num(change).max())


def draw_image_batch(
    sets: Sequence[tuple[TrainingClips, int]],
    rng: np.random.Generator,
    own_share: float,
    noise: float,
    each: int = 1,
    size: int | None = None,
) -> ImageBatch:
    """An :class:`ImageBatch` with a number of inputs from each set (micro clips, macro faces).

    Args:
        sets: clips, and their number of inputs.
        rng: source of randomness.
        own_share: share of inputs with the conditions of their own clips' frames.
        noise: uniform noise up to this on the other conditions.
        each: conditions per input, M.
        size: longer side in pixels to resize frames to; None: frames already have one size.
    """
    parts = [
        _stacked(clips.draw_pairs(rng, count, own_share, noise, each), size)
        for clips, count in sets
        if count
    ]
    return ImageBatch(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _stacked(drawn: Sequence[tuple[np.ndarray, ...]], size: int | None) -> tuple[Tensor, ...]:
    """The tensors of an :class:`ImageBatch`, in its order."""
    stacked = map(np.stack, zip(*drawn, strict=True))
    image, image_aus, truth, truth_aus, target, own, noise, flow = stacked
    each = truth.shape[1]
    return (
        frames_of(image, size),
        torch.from_numpy(image_aus).float(),
        frames_of(truth.reshape(-1, *truth.shape[2:]), size),
        torch.from_numpy(truth_aus).float().flatten(0, 1),
        torch.from_numpy(target).float().flatten(0, 1),
        torch.from_numpy(own).repeat_interleave(each),
        torch.from_numpy(noise).float().repeat_interleave(each),
        torch.from_numpy(flow).float().flatten(0, 1),
    )


def frames_of(frames: np.ndarray, size: int | None) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, h, w) in [0, 1], the longer side ``size`` pixels, if given."""
    tensor = to_float(frames)
    return tensor if size is None else shrink(tensor, size)
