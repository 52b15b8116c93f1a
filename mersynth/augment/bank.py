"""A bank of clips from which augmentations take parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from mersynth.augment.au_sets import au_sets
from mersynth.augment.base import Batch, unpack
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import ClipDataset
from mersynth.store.loading import own_scheme

_ANNOTATIONS = ("aus", "au_set", "landmarks")  # of frames


@dataclass(frozen=True)
class ClipBank:
    """Annotated clips, parts of which replace parts of a batch's samples.

    Attributes:
        frames: (N, T, C, H, W), float like the batches', or uint8, divided by 255. T is 1 in a bank
            of images.
        label: (N,) int64, classes numbered as in the batches.
        subject: (N,) int64, people numbered as in the batches; None if unknown.
        aus: (N, T, 20), see :class:`mersynth.augment.base.Batch`; None if unknown.
        au_set: (N, S, 2), likewise.
        landmarks: (N, T, 68, 2), likewise.
        clip_ids: id of each clip (``Clip.id``), so that a protocol can check that no test clip is
            in the bank; empty if unknown.
        subject_ids: id of each clip's subject (``Clip.subject_id``), likewise.

    Raises:
        ValueError: if a shape does not fit, the bank is empty, or frames are neither float nor
            uint8.
    """

    frames: Tensor
    label: Tensor
    subject: Tensor | None = None
    aus: Tensor | None = None
    au_set: Tensor | None = None
    landmarks: Tensor | None = None
    clip_ids: tuple[str, ...] = ()
    subject_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.frames.dim() != 5 or not len(self.frames):
            raise ValueError(
                "a bank's frames must have shape (N, T, C, H, W), with N of 1 or more, got "
                f"{tuple(self.frames.shape)}"
            )
        corner = self.frames[:, :, :1, :1, :1]
        corner = corner.float() if corner.dtype == torch.uint8 else corner
        known: dict[str, Tensor | None] = {"clip": corner, "label": self.label}
        known |= {name: getattr(self, name) for name in ("subject", *_ANNOTATIONS)}
        unpack(known)  # checks the shapes
        for name in ("clip_ids", "subject_ids"):
            if len(getattr(self, name)) not in (0, len(self)):
                raise ValueError(
                    f"{name} must name all {len(self)} clips of the bank or none, got "
                    f"{len(getattr(self, name))}"
                )

    @classmethod
    def from_store(
        cls,
        store: ClipStore,
        num_frames: int = 16,
        scheme: str | None = None,
        device: torch.device | str = "cpu",
    ) -> ClipBank:
        """The clips of a store, as from ``mersynth.load_clips``.

        Classes are numbered as in that dataset: give the store that the batches come from, or a
        subset of it with clips from every source. Subjects are numbered in the order of their ids
        in the store; :meth:`number_subjects` gives a batch the same numbers.

        Args:
            store: real or synthetic.
            num_frames: frames per clip, as in the batches.
            scheme: label scheme; clips without a class in it are left out. None: the store's own
                (``mersynth.store.loading.own_scheme``).
            device: where the bank is kept: uint8, N * T * 3 * H * W bytes.

        Raises:
            ValueError: see :class:`mersynth.store.dataset.ClipDataset`.
        """
        data = ClipDataset(store, num_frames, own_scheme(store) if scheme is None else scheme)
        clips = data.store.clips
        ids = tuple(clip.subject_id for clip in clips)
        frames, aus, landmarks = [], [], []
        for i in range(len(data)):
            sample = data[i]
            frames.append((sample["clip"] * 255).round().to(torch.uint8))
            aus.append(sample["aus"])
            landmarks.append(sample["landmarks"])
        bank = cls(
            frames=torch.stack(frames),
            label=torch.tensor(data.labels),
            subject=torch.from_numpy(np.unique(ids, return_inverse=True)[1]),
            aus=torch.stack(aus),
            au_set=au_sets([clip.aus for clip in clips]),
            landmarks=torch.stack(landmarks),
            clip_ids=tuple(clip.id for clip in clips),
            subject_ids=ids,
        )
        return bank.to(device)

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device | str) -> ClipBank:
        """The bank on another device."""
        tensors = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **tensors)  # type: ignore[arg-type]

    def number_subjects(self, ids: Sequence[str]) -> Tensor:
        """The bank's numbers for subjects.

        Args:
            ids: ``Clip.subject_id`` of each sample.

        Returns:
            (B,) int64 on the bank's device; -1 for a subject that is not in the bank.

        Raises:
            ValueError: if the bank has no subjects.
        """
        if self.subject is None or not self.subject_ids:
            raise ValueError("this bank was made without subject and subject_ids; give both")
        numbers = dict(zip(self.subject_ids, self.subject.tolist(), strict=True))
        return torch.tensor([numbers.get(i, -1) for i in ids], device=self.subject.device)

    def take(self, rows: Tensor, like: Batch) -> Batch:
        """Clips of the bank as a batch.

        Args:
            rows: (B,) int64.
            like: a batch; the clips get its device, its type and those annotations that it has.

        Raises:
            ValueError: if frames differ from the batch's in shape, or the bank lacks an annotation
                that the batch has.
        """
        if self.frames.shape[1:] != like.frames.shape[1:]:
            raise ValueError(
                f"the bank's clips are {tuple(self.frames.shape[1:])} (T, C, H, W), the batch's "
                f"{tuple(like.frames.shape[1:])}; make the bank with the batch's frames and size"
            )
        rows = rows.to(self.frames.device)
        frames = self.frames[rows].to(like.device)
        scale = 255 if frames.dtype == torch.uint8 else 1
        frames = frames.to(like.frames.dtype) / scale
        known = {}
        for name in _ANNOTATIONS:
            own, wanted = getattr(self, name), getattr(like, name)
            if wanted is None:
                continue
            if own is None:
                raise ValueError(
                    f"the batch has {name!r}, the bank does not: make the bank with it, or leave "
                    "it out of the batch"
                )
            if own.shape[1:] != wanted.shape[1:]:
                raise ValueError(
                    f"the bank's {name} has shape {tuple(own.shape)}, the batch's "
                    f"{tuple(wanted.shape)}: they must agree after the first dimension"
                )
            known[name] = own[rows].to(wanted)
        return Batch(frames, label=self.label[rows].to(like.device), **known)
