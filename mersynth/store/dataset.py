"""A store as a torch Dataset of clips."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mersynth.checks import check_choice, check_whole, listed
from mersynth.clips import Strength
from mersynth.facs.action_units import stronger_side
from mersynth.facs.emotions import SCHEMES, classes, label
from mersynth.store.clip_store import ClipStore

logger = logging.getLogger(__name__)


class ClipSample(TypedDict):
    """One sample; a DataLoader adds the batch dimension B in front.

    Keys:
        clip: (T, 3, H, W) float32 in [0, 1].
        aus: (T, 20) float32 in [0, 1], the stronger side of each AU; NaN where not measured.
        landmarks: (T, 68, 2) float32, (x, y) in pixels; NaN where not measured.
        label: class index in ``ClipDataset.classes``.
        subject: index of the person in ``ClipDataset.subjects``.
        apex_index: which of the T frames is nearest to the apex; -1 if there is no apex.
        strength: ``"micro"`` or ``"macro"``.
        index: position of the clip in ``ClipDataset.store``.
    """

    clip: Tensor
    aus: Tensor
    landmarks: Tensor
    label: int
    subject: int
    apex_index: int
    strength: Strength
    index: int


class ClipDataset(Dataset[ClipSample]):
    """The clips of a store that have a class in a label scheme, all with the same frame count.

    Args:
        store: any ClipStore, real or synthetic.
        num_frames: frames per sample, T: those nearest to T even steps from onset to offset.
        scheme: label scheme (``facs.emotions.SCHEMES``); clips without a class in it are left out.

    Raises:
        ValueError: if ``num_frames`` is not in 1..10000, the scheme is unknown, or no clip is left.

    Example:
        >>> data = ClipDataset(ClipStore.open("stores/samm"), scheme="five")  # doctest: +SKIP
        >>> next(iter(DataLoader(data, batch_size=4)))["clip"].shape          # doctest: +SKIP
        torch.Size([4, 16, 3, 128, 128])
    """

    def __init__(self, store: ClipStore, num_frames: int = 16, scheme: str = "native") -> None:
        check_whole("num_frames", num_frames, 1, 10_000)
        check_choice("scheme", scheme, SCHEMES)
        self.num_frames = num_frames
        self.store = store.filter(lambda c: label(c.source, c.emotion, scheme) is not None)
        if not self.store.clips:
            raise ValueError(f"no clip of {store.path} has a class in the label scheme {scheme!r}")
        labels = [label(c.source, c.emotion, scheme) for c in self.store.clips]
        sources = {clip.source for clip in self.store.clips}
        named = [name for source in sorted(sources) for name in classes(source, scheme)]
        # Faces from a folder have classes that their own source does not define.
        self.classes = tuple(dict.fromkeys([*named, *(name for name in labels if name)]))
        self.subjects = self.store.subjects
        self._subject_numbers = {name: i for i, name in enumerate(self.subjects)}
        numbers = {name: i for i, name in enumerate(self.classes)}
        self.labels = tuple(numbers[name] for name in labels if name is not None)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> ClipSample:
        item = self.store[index]
        chosen = np.linspace(0, item.clip.num_frames - 1, self.num_frames).round().astype(int)
        return ClipSample(
            clip=to_float(item.frames[chosen]),
            aus=torch.from_numpy(stronger_side(item.intensities[chosen])),
            landmarks=torch.from_numpy(item.landmarks[chosen]),
            label=self.labels[index],
            subject=self._subject_numbers[item.clip.subject_id],
            apex_index=_nearest(chosen, item.clip.apex_index),
            strength=item.clip.strength,
            index=index,
        )


def warn_empty_classes(where: str, classes: Sequence[str], labels: Iterable[int]) -> None:
    """Warn of classes without clips, since a classifier has an output for each class.

    Args:
        where: where the clips come from; begins the warning.
        classes: names of the classes.
        labels: the clips' indices in ``classes``.
    """
    used = set(labels)
    empty = [name for i, name in enumerate(classes) if i not in used]
    if empty:
        logger.warning(
            "%s: no clip has the class %s; the classes are %s",
            where,
            listed(empty),
            listed(classes, 20),
        )


def _nearest(chosen: np.ndarray, apex: int | None) -> int:
    return -1 if apex is None else int(np.abs(chosen - apex).argmin())


def to_float(frames: np.ndarray) -> Tensor:
    """uint8 frames (..., H, W, 3) as a float32 tensor (..., 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(frames)).movedim(-1, -3).float() / 255


def to_uint8(clip: Tensor) -> np.ndarray:
    """A tensor (..., 3, H, W) in [0, 1] as stored frames (..., H, W, 3) uint8."""
    return (clip * 255).round().clamp(0, 255).byte().movedim(-3, -1).cpu().numpy()
