"""What every layout starts from: the clips to export, their classes and their provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mersynth.clips import Clip, flat_name
from mersynth.face.template import FramingChoice
from mersynth.facs.emotions import label
from mersynth.motion.maps import Scale
from mersynth.store.clip_store import ClipStore

Naming = Literal["raw", "cropped"]
Frames = Literal["all", "apex"]
Codec = Literal["mp4v", "vp09"]
ImageFormat = Literal["png", "bmp", "jpg"]


class ExportError(Exception):
    """A store cannot be exported in this layout or to this place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """Options of an export; their defaults and reasons are in ``configs/export.yaml``.

    Args:
        classes: label scheme; None: the store's own.
        skip_bad: leave out the clips that the layout cannot hold, instead of stopping.
        naming: for casme2 and samm: release whose file names are used.
        first_frame: clips with an earlier onset are renumbered so that their onset is this frame.
        emotions: ``class:label`` pairs for classes without a label in the layout's database; by
            default they become its ``other`` or ``others``.
        format: format of frames; None: the layout's own.
        quality: JPEG quality, 1 to 100.
        frames: for imagefolder: all frames of a clip, or only its apex.
        codec: for mp4.
        shard_clips: for webdataset and parquet: clips per shard.
        features: for npz: names of :data:`mersynth.export.arrays.FEATURES`.
        size: for npz and meb: side of the images, in pixels.
        scale: for npz and meb: what each channel of each clip is brought to
            (:data:`mersynth.motion.maps.Scale`).
        framing: for npz and meb: the part of the face that x shows; ``auto``: all of the
            frames.
        flow: for npz and meb: method and options of :func:`mersynth.motion.flow.optical_flow`.
        device: for npz and meb: where flow is computed.
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
    scale: Scale
    framing: FramingChoice
    flow: Mapping[str, Any]
    device: str


class LabelledClips(Protocol):
    """Clips with a class each, such as :class:`mersynth.store.dataset.ClipDataset`.

    Attributes:
        store: the clips.
        classes: names of the classes.
        labels: for each clip its index in them.
    """

    store: ClipStore
    classes: tuple[str, ...]
    labels: tuple[int, ...]


class AllClips:
    """All clips of a store; one without a class in the scheme has the class of the empty name.

    Args:
        store: the clips.
        scheme: label scheme.
    """

    def __init__(self, store: ClipStore, scheme: str) -> None:
        names = [label(clip.source, clip.emotion, scheme) or "" for clip in store.clips]
        self.store = store
        self.classes = tuple(dict.fromkeys(names))
        self.labels = tuple(self.classes.index(name) for name in names)


@dataclass(frozen=True, slots=True)
class Job:
    """An export that is about to be written.

    Attributes:
        data: the clips to export, each with its class (``data.store``, ``data.labels``).
        settings: the options.
        card: the export's card, to which the layout adds.
        seed: of random choices.
    """

    data: LabelledClips
    settings: ExportSettings
    card: Mapping[str, Any]
    seed: int

    @property
    def store(self) -> ClipStore:
        """The clips to export."""
        return self.data.store

    @property
    def class_names(self) -> list[str]:
        """The class of each clip."""
        return [self.data.classes[label] for label in self.data.labels]


@dataclass(frozen=True, slots=True)
class Written:
    """The result of writing a layout.

    Attributes:
        paths: for each clip its folder, file or glob, relative to the export.
        facts: additions to the card.
        columns: additions to the provenance of each clip.
    """

    paths: Sequence[str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def provenance(job: Job) -> Iterator[dict[str, Any]]:
    """The provenance, one row per clip; see :func:`provenance_of`."""
    return (provenance_of(job, i) for i in range(len(job.store)))


def provenance_of(job: Job, index: int) -> dict[str, Any]:
    """The provenance of a clip, with the store's own names and frame numbers.

    ``face`` is the id of the subject whose face is shown, for a real clip its own; ``template``,
    ``generator`` and ``unseen`` (ids joined by ``;``) are empty for a real clip.
    """
    clip = job.store.clips[index]
    return {
        "dataset": clip.source,
        "subject": clip.subject,
        "clip": clip.name,
        "emotion": clip.emotion,
        "class": job.data.classes[job.data.labels[index]],
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


def flat_names(clips: Iterable[Clip]) -> list[str]:
    """A name for each clip, unique in one folder and without a dot: ``source_subject_name``.

    Raises:
        ExportError: if two clips would have the same name.
    """
    names = [flat_name(clip) for clip in clips]
    check_unique(names, clips)
    return names


def check_unique(names: Sequence[str], clips: Iterable[Clip]) -> None:
    """Check that no two clips get the same name, even on case-insensitive file systems.

    Raises:
        ExportError: names both clips.
    """
    seen: dict[str, Clip] = {}
    for name, clip in zip(names, clips, strict=True):
        first = seen.setdefault(name.casefold(), clip)
        if first is not clip:
            raise ExportError(f"{first.id} and {clip.id} would both be called {name}; rename one")
