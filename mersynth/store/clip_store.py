"""ClipStore: a set of annotated face clips on disk, real or synthetic.

A store is a folder::

    my_store/
        clips.parquet     one row per clip: the fields of Clip
        frames.npy        (F, H, W, 3) uint8, RGB; the frames of all clips, one clip after another
        intensities.npy   (F, 20, 2) float32, AU intensities in [0, 1], rows as CONDITION_AUS, then
                          the subject's left and right side; NaN = not measured
        landmarks.npy     (F, 68, 2) float32, (x, y) in pixels; NaN = not measured
        store.json        schema version, header (source, licence, seed ...), SHA-256 of each file

        .verified.json    which of these files matched their checksums, and when

A store is written beside its final place, in ``.<name>.<who>.partial``, and renamed when it is
complete: a folder of the final name is always a complete store. Opening it compares the checksums
once (:mod:`mersynth.store.verdict`). Intensities of schema version 1 have no sides, (F, 20); such a
store opens with equal values on both sides.
"""

from __future__ import annotations

import logging
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np

from mersynth.clips import Clip
from mersynth.disk.files import checksum_of
from mersynth.face.template import Framing, framing_in
from mersynth.store.clip_table import CLIP_FIELDS, ClipTable
from mersynth.store.format import (
    StoreError,
    check_emotions,
    check_values,
    open_arrays,
    read_clips,
    read_meta,
)
from mersynth.store.verdict import DamagedError, check_files, remember

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ClipStore",
    "StoreError",
    "StoredClip",
    "require_real",
    "shared_framing",
    "warn_framings",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip with its arrays (views into the memory-mapped store).

    Attributes:
        clip: the annotation.
        frames: (T, H, W, 3) uint8, RGB.
        intensities: (T, 20, 2) float32 in [0, 1], the last axis as ``SIDES``; NaN where not
            measured.
        landmarks: (T, 68, 2) float32, (x, y) in pixels; NaN where not measured.
    """

    clip: Clip
    frames: np.ndarray
    intensities: np.ndarray
    landmarks: np.ndarray


class ClipStore(Sequence[StoredClip]):
    """A memory-mapped set of annotated clips; the module docstring lists the files.

    Open one with :meth:`open`; write one with :class:`mersynth.store.writer.StoreWriter`.

    Example:
        >>> store = ClipStore.open("stores/samm")               # doctest: +SKIP
        >>> angry = store.filter(lambda c: c.emotion == "anger")  # doctest: +SKIP
        >>> angry[0].frames.shape                                 # doctest: +SKIP
        (71, 128, 128, 3)
    """

    def __init__(
        self,
        path: Path,
        clips: Sequence[Clip],
        starts: Sequence[int],
        frames: np.ndarray,
        intensities: np.ndarray,
        landmarks: np.ndarray,
        meta: Mapping[str, Any],
        rows: Sequence[int] | None = None,
    ) -> None:
        self.path = path
        self._clips = clips
        self._rows = rows  # of clips.parquet; None: the clips are not as they are there
        self.starts = tuple(starts)
        self.frames = frames
        self.intensities = intensities
        self.landmarks = landmarks
        # Of these, slices are cheap: a slice of a memory map has attributes of its own.
        self._arrays = tuple(np.asarray(array) for array in (frames, intensities, landmarks))
        self.meta = dict(meta)

    @classmethod
    def open(cls, path: str | Path, verify: bool = False) -> ClipStore:
        """Open a store, its arrays memory-mapped and read-only.

        Its files are read and compared with the SHA-256 in ``store.json``; the result is remembered
        until they change.

        Args:
            path: the store's folder.
            verify: compare them now, even if a result is remembered.

        Raises:
            StoreError: if the folder is not a store, is of another schema version, is damaged, or
                holds values that no store has.
        """
        path = Path(path)
        meta = read_meta(path)
        try:
            new = check_files(path, meta["sha256"], again=verify)
        except DamagedError as error:
            raise StoreError(f"{error}; make the store again, or use an undamaged copy") from error
        clips = read_clips(path / "clips.parquet")
        check_emotions(clips.pairs("source", "emotion"), meta["header"], path / "clips.parquet")
        ends = np.cumsum(clips.lengths)
        total = int(ends[-1]) if len(ends) else 0
        arrays = open_arrays(path, total, meta["schema_version"])
        starts = (ends - clips.lengths).tolist()
        if new:  # remembered only now, so that wrong values are not accepted the next time
            check_values(path, clips, arrays)
            remember(path, new)
        return cls(path, clips, starts, meta=meta, rows=range(len(clips)), **arrays)

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The annotations, in stored order."""
        if not isinstance(self._clips, tuple):  # made on first use: a worker needs only a few
            self._clips = tuple(self._clips)
        return self._clips

    def __len__(self) -> int:
        return len(self._clips)

    @overload
    def __getitem__(self, index: int) -> StoredClip: ...
    @overload
    def __getitem__(self, index: slice) -> ClipStore: ...
    def __getitem__(self, index: int | slice) -> StoredClip | ClipStore:
        if isinstance(index, slice):
            return self._chosen(range(len(self))[index])
        if not -len(self) <= operator.index(index) < len(self):
            raise IndexError(f"{self.path} has {len(self)} clips, there is no clip {index}")
        clip = self._clips[index]
        rows = slice(self.starts[index], self.starts[index] + clip.num_frames)
        return StoredClip(clip, *(array[rows] for array in self._arrays))

    def __iter__(self) -> Iterator[StoredClip]:
        return (self[i] for i in range(len(self)))

    @property
    def image_size(self) -> int:
        """Side of the square frames, in pixels."""
        return int(self.frames.shape[1])

    @property
    def framing(self) -> Framing | None:
        """Where the faces lie in the frames; None if that is not known.

        Raises:
            StoreError: if the framing in ``store.json`` is damaged.
        """
        try:
            return framing_in(self.meta["header"])
        except (ValueError, TypeError) as error:
            file = self.path / "store.json"
            raise StoreError(f"{file} is damaged ({error}); make the store again") from error

    @property
    def checksum(self) -> str:
        """SHA-256 over the names and SHA-256s of the store's files: equal for equal bytes."""
        return checksum_of(self.meta["sha256"])

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of the subjects, sorted."""
        return tuple(sorted({clip.subject_id for clip in self.clips}))

    @property
    def table(self) -> pd.DataFrame:
        """The clips as a pandas table, one row per clip, in stored order."""
        import pandas as pd

        names = ("id", "subject_id", *CLIP_FIELDS)
        columns = {name: [getattr(clip, name) for clip in self.clips] for name in names}
        columns["unseen"] = [list(people) for people in columns["unseen"]]
        return pd.DataFrame(columns)

    def filter(self, keep: Callable[[Clip], bool]) -> ClipStore:
        """The clips for which ``keep`` is true, as a view without copies."""
        return self._chosen([i for i, clip in enumerate(self.clips) if keep(clip)])

    def _chosen(self, chosen: Sequence[int]) -> ClipStore:
        rows = None if self._rows is None else [self._rows[i] for i in chosen]
        clips, starts = [self.clips[i] for i in chosen], [self.starts[i] for i in chosen]
        return self._part(tuple(clips), starts, rows)

    def view(self, clips: Sequence[Clip], starts: Sequence[int]) -> ClipStore:
        """A view with other annotations of the same frames, each with its first row."""
        same = clips is self._clips and starts is self.starts
        return self._part(tuple(clips), starts, self._rows if same else None)

    def _part(
        self, clips: Sequence[Clip], starts: Sequence[int], rows: Sequence[int] | None
    ) -> ClipStore:
        arrays = self.frames, self.intensities, self.landmarks
        return ClipStore(self.path, clips, starts, *arrays, self.meta, rows)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as its path: a pickled memory map would copy all frames for each worker.
        path, rows = self.path.absolute(), self._rows
        if rows is None:
            return _open_again, (path, self.checksum, self.clips, self.starts)
        return _open_rows, (path, self.checksum, array("q", rows))


def _open_rows(path: Path, checksum: str, rows: Sequence[int]) -> ClipStore:
    """Open a store, or these rows of one, that another process pickled."""
    whole = _open_same(path, checksum)
    table = cast(ClipTable, whole._clips)
    return whole._part(table.part(rows), [whole.starts[i] for i in rows], rows)


def _open_again(
    path: Path, checksum: str, clips: Sequence[Clip], starts: Sequence[int]
) -> ClipStore:
    """Open a view of a store, with other annotations, that another process pickled."""
    return _open_same(path, checksum).view(clips, starts)


def _open_same(path: Path, checksum: str) -> ClipStore:
    whole = ClipStore.open(path)
    if whole.checksum != checksum:
        raise StoreError(
            f"{path} was replaced by another store while it was in use; open it again, and restart "
            "what reads it"
        )
    return whole


def require_real(store: ClipStore) -> ClipStore:
    """The store itself, if no clip of it is synthetic.

    Synthetic clips derive from more people than their store lists as subjects, so the provenance of
    anything trained on them or made from them would be incomplete.

    Raises:
        StoreError: if a clip is synthetic.
    """
    for clip in store.clips:
        if clip.is_synthetic:
            raise StoreError(
                f"{store.path} holds synthetic clips ({clip.id}); use the store of real clips made "
                "by `mersynth prepare`"
            )
    return store


def shared_framing(stores: Iterable[ClipStore]) -> Framing | None:
    """The framing that all stores have; None: it is not known, or they have several."""
    framings = {store.framing for store in stores}
    return framings.pop() if len(framings) == 1 else None


def warn_framings(framings: Mapping[str, Framing | None], advice: str) -> None:
    """Warn if framings that are used together differ; unknown ones (None) are ignored.

    Args:
        framings: by the name of the store, checkpoint or option.
        advice: what to do about it.
    """
    known = {name: framing for name, framing in framings.items() if framing is not None}
    if len(set(known.values())) > 1:
        said = "; ".join(f"{name}: {framing}" for name, framing in known.items())
        logger.warning("faces are not framed alike. %s. %s", said, advice)
