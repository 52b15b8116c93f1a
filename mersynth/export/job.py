"""What every layout starts from: the clips that go out, their classes, and where each is from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mersynth.checks import check_choice
from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import ClipDataset

Naming = Literal["raw", "cropped"]
Frames = Literal["all", "apex"]
Codec = Literal["mp4v", "vp09"]
ImageFormat = Literal["png", "bmp", "jpg"]


class ExportError(Exception):
    """A store cannot be exported in that layout, or not to that place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How a store is exported; ``configs/export.yaml`` has the defaults and their reasons.

    Args:
        classes: label scheme; None: the store's own.
        skip_bad: leave out the clips that the layout cannot hold, instead of stopping.
        naming: of casme2 and samm: which release's file names.
        first_frame: clips with an earlier onset are numbered so that their onset is this frame.
        emotions: ``class:label`` pairs, for classes that the layout's database has no label for;
            without one they become its ``other`` or ``others``.
        format: of frames; None: the layout's own.
        quality: of JPEG, 1 to 100.
        frames: of imagefolder: all frames of a clip, or its apex alone.
        codec: of mp4.
        shard_clips: of webdataset: clips a shard.
        features: of npz: names of :data:`mersynth.export.arrays.FEATURES`.
        size: of npz: side of the images, in pixels.
        flow: of npz: method and options of :func:`mersynth.motion.flow.optical_flow`.
        device: of npz: where flow is computed.

    Raises:
        ValueError: if a value lies out of its range.
    """

    classes: str | None
    skip_bad: bool
    naming: Naming
    first_frame: int
    emotions: Sequence[str]
    format: ImageFormat | None
    quality: int
    frames: Frames
    codec: Codec
    shard_clips: int
    features: Sequence[str]
    size: int
    flow: Mapping[str, Any]
    device: str

    def __post_init__(self) -> None:
        choices = {
            "naming": ("raw", "cropped"),
            "format": (None, "png", "bmp", "jpg"),
            "frames": ("all", "apex"),
            "codec": ("mp4v", "vp09"),
            "device": ("auto", "cpu", "cuda"),
        }
        for name, allowed in choices.items():
            check_choice(name, getattr(self, name), allowed)
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must lie in 1..100, got {self.quality}")
        for name, low in (("first_frame", 0), ("shard_clips", 1), ("size", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be {low} or more, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Job:
    """An export that is about to be written.

    Attributes:
        data: the clips that go out, each with its class (``data.store``, ``data.labels``).
        settings: how.
        card: what the export says of itself, but for what its layout adds.
        seed: of what is drawn by chance.
    """

    data: ClipDataset
    settings: ExportSettings
    card: Mapping[str, Any]
    seed: int

    @property
    def store(self) -> ClipStore:
        """The clips that go out."""
        return self.data.store

    @property
    def class_names(self) -> list[str]:
        """The class of each clip."""
        return [self.data.classes[label] for label in self.data.labels]


@dataclass(frozen=True, slots=True)
class Written:
    """What a layout has written.

    Attributes:
        paths: for each clip its folder, file or glob, relative to the export.
        facts: what the layout adds to the card.
        columns: what it adds to the provenance of each clip.
    """

    paths: Sequence[str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def provenance(job: Job) -> list[dict[str, Any]]:
    """Where each clip is from, a row a clip, in the store's own names and frame numbers.

    ``face`` is the id of the subject whose face is shown, for a real clip its own; ``template``,
    ``generator`` and ``unseen`` (ids joined by ``;``) are empty for a real clip.
    """
    return [
        {
            "dataset": clip.source,
            "subject": clip.subject,
            "clip": clip.name,
            "emotion": clip.emotion,
            "class": name,
            "aus": clip.aus,
            "onset": clip.onset,
            "apex": "" if clip.apex is None else clip.apex,
            "offset": clip.offset,
            "fps": clip.fps,
            "strength": clip.strength,
            "apex_method": clip.apex_method or "",
            "face": clip.subject_id,
            "template": clip.template or "",
            "generator": clip.generator or "",
            "unseen": ";".join(clip.unseen),
        }
        for clip, name in zip(job.store.clips, job.class_names, strict=True)
    ]


def file_name(text: str) -> str:
    """A text as a name that a file can have on any system and that leads nowhere else.

    Example:
        >>> file_name("../a b:c.d")
        '_a b_c.d'
    """
    return re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", text).lstrip(". ").rstrip(". ") or "_"


def flat_names(clips: Iterable[Clip]) -> list[str]:
    """A name for each clip, unique in one folder and without a dot: ``source_subject_name``.

    Raises:
        ExportError: if two clips would have one name.
    """
    names = [
        file_name(f"{clip.source}_{clip.subject}_{clip.name}").replace(".", "_") for clip in clips
    ]
    check_unique(names, clips)
    return names


def check_unique(names: Sequence[str], clips: Iterable[Clip]) -> None:
    """Make sure that no two clips get one name, on file systems without case either.

    Raises:
        ExportError: with both clips.
    """
    seen: dict[str, Clip] = {}
    for name, clip in zip(names, clips, strict=True):
        first = seen.setdefault(name.casefold(), clip)
        if first is not clip:
            raise ExportError(f"{first.id} and {clip.id} would both be called {name}; rename one")
