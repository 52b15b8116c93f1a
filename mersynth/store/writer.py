"""Writing a ClipStore: first beside its final place, then renamed when it is complete."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mersynth.checks import check_whole
from mersynth.clips import Clip
from mersynth.disk.files import checksum_of, move_whole, write_json_atomically
from mersynth.disk.lock import hold
from mersynth.disk.partial import partial_of, remove_abandoned
from mersynth.disk.space import RowFile, new_array
from mersynth.facs.action_units import on_both_sides
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.clip_table import clip_row, write_clips
from mersynth.store.format import (
    CHECKSUMMED_FILES,
    FARTHEST,
    SCHEMA_VERSION,
    array_layout,
    check_emotions,
    check_header,
)
from mersynth.store.journal import JOURNAL, clips_done, find_begun
from mersynth.store.verdict import hash_files, remember

logger = logging.getLogger(__name__)

CLIPS_A_COMMIT = 25
"""How many clips a kill may lose, where there is no better measure."""


class StoreWriter:
    """Writes a store whose clips are known in advance; ``path`` appears only when it is complete.

    Clips are added in order. With ``resume=True`` an interrupted writing of the same clips and
    header continues after the last committed clip (see :attr:`done`), or finds the store whole (see
    :attr:`whole`). The store's lock (:func:`mersynth.disk.lock.hold`) is held until the end of the
    ``with`` block.

    Args:
        path: folder of the new store; it must not exist, unless ``resume`` finds this store there.
        clips: all clips of the store, ids unique.
        image_size: side of the square frames, in pixels.
        header: JSON-able facts about the store; ``source`` is required.
        resume: continue an interrupted writing, if there is one.

    Raises:
        StoreError: if ``path`` exists, an id occurs twice, or the interrupted store is a different
            one.
        InUseError: if another process is writing the store.
        NoSpaceError: if the disk has no room for it.
    """

    def __init__(
        self,
        path: str | Path,
        clips: Sequence[Clip],
        image_size: int,
        header: Mapping[str, Any],
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.clips = tuple(clips)
        if not self.clips:
            raise StoreError(f"a store needs at least one clip; none was given for {self.path}")
        check_whole("image_size", image_size, 1, 32_768, StoreError)
        _check_header(header, self.path)
        _check_unique(self.clips)
        check_emotions(((clip.source, clip.emotion) for clip in self.clips), header, self.path)
        self._ends = np.cumsum([clip.num_frames for clip in self.clips]).tolist()
        self._plan = _plan_checksum(self.clips, image_size, header)
        self._header = dict(header)
        self._arrays: dict[str, RowFile] = {}
        self._written = 0  # frames of the next clip
        self.done = 0
        self.whole = False
        self.partial = partial_of(self.path)
        self._journal = self.partial / JOURNAL
        with ExitStack() as lock:
            lock.enter_context(hold(self.path))
            self._begin(image_size, resume)
            self._lock = lock.pop_all()
        self._next = self.done

    def _begin(self, image_size: int, resume: bool) -> None:
        if self.path.exists():
            if not resume or _plan_of(self.path) != self._plan:
                other = ", and is another store" if resume else ""
                raise StoreError(
                    f"{self.path} exists already{other}; remove it or choose another --out"
                )
            self.whole, self.done = True, len(self.clips)
            logger.info("%s is whole already", self.path)
            return
        begun = find_begun(self.path, self._plan, self._ends) if resume else None
        if begun is not None:
            self._take_over(begun)
        else:
            remove_abandoned(self.path)
            self.partial.mkdir(parents=True)
        try:
            for name, (kind, shape) in array_layout(image_size).items():
                file = self.partial / f"{name}.npy"
                if begun is None:
                    new_array(file, kind, (self._ends[-1], *shape))
                self._arrays[name] = RowFile(file)
            if begun is None:
                self._note()
        except BaseException:
            self._clear(failed=True)
            raise

    def _take_over(self, begun: Path) -> None:
        """Take over an interrupted writing by renaming it, which only one process can do."""
        try:
            begun.rename(self.partial)
        except FileNotFoundError as error:
            raise StoreError(f"{begun} was just taken over by another process") from error
        self.done = clips_done(self.partial)
        logger.info("continuing %s after clip %d of %d", self.path, self.done, len(self.clips))

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._clear(failed=True)
            if error is not None and self.done:
                logger.warning(
                    "%d of %d clips of %s are kept: repeat the command with --resume to continue",
                    self.done,
                    len(self.clips),
                    self.path,
                )

    def _clear(self, failed: bool) -> None:
        self._close()
        if failed and not self.done:  # nothing to resume
            shutil.rmtree(self.partial, ignore_errors=True)

    def add(
        self,
        frames: np.ndarray,
        intensities: np.ndarray | None = None,
        landmarks: np.ndarray | None = None,
    ) -> None:
        """Write the next clip's arrays; None is stored as not measured (NaN).

        Args:
            frames: (T, H, W, 3) uint8, RGB, with T the clip's number of frames.
            intensities: (T, 20, 2) in [0, 1], the last axis as ``facs.SIDES``; or (T, 20) without
                sides, stored for both.
            landmarks: (T, 68, 2), (x, y) in pixels.

        Raises:
            ValueError: if a shape, a type or a range is wrong.
        """
        clip = self._next_clip
        self._check_array("frames", frames)
        if frames.shape[:1] != (clip.num_frames,):
            raise self._misshapen("frames", frames.shape)
        self._written = 0
        self.add_frames(frames)
        self.end_clip(intensities, landmarks)

    def add_frames(self, frames: np.ndarray) -> None:
        """Write some frames of the next clip, after those written before; :meth:`end_clip` ends it.

        A clip of an hour then never has to be in memory as a whole.

        Args:
            frames: (n, H, W, 3) uint8, RGB.

        Raises:
            ValueError: if they have another type or shape, or are more than the clip has.
        """
        clip, array = self._next_clip, self._arrays["frames"]
        self._check_array("frames", frames)
        if frames.dtype != np.uint8:
            raise ValueError(f"clip {clip.id}: frames must be uint8, got {frames.dtype}")
        count = self._written + len(frames)
        if frames.shape[1:] != array.shape[1:] or count > clip.num_frames:
            raise self._misshapen("frames", (count, *frames.shape[1:]))
        array.write(self._ends[self._next] - clip.num_frames + self._written, frames)
        self._written = count

    def end_clip(
        self, intensities: np.ndarray | None = None, landmarks: np.ndarray | None = None
    ) -> None:
        """Write what belongs to the frames that :meth:`add_frames` wrote, and end the clip.

        Args:
            intensities: see :meth:`add`.
            landmarks: see :meth:`add`.

        Raises:
            ValueError: if the clip has more frames, or a shape or a range is wrong.
        """
        clip = self._next_clip
        if self._written != clip.num_frames:
            raise self._misshapen("frames", (self._written, *self._arrays["frames"].shape[1:]))
        for name, value in {"intensities": intensities, "landmarks": landmarks}.items():
            if value is not None:
                self._check_array(name, value)
                if value.dtype.kind != "f":
                    raise ValueError(f"clip {clip.id}: {name} must be floats, got {value.dtype}")
        if intensities is not None and intensities.ndim == 2:
            intensities = on_both_sides(intensities)
        first = self._ends[self._next] - clip.num_frames
        for name, value in {"intensities": intensities, "landmarks": landmarks}.items():
            shape = (clip.num_frames, *self._arrays[name].shape[1:])
            if value is not None and value.shape != shape:
                raise self._misshapen(name, value.shape)
            self._arrays[name].write(
                first, np.broadcast_to(np.nan, shape) if value is None else value
            )
        if intensities is not None and ((intensities < 0) | (intensities > 1)).any():
            raise ValueError(
                f"clip {clip.id}: AU intensities must lie in [0, 1], got "
                f"{np.nanmin(intensities):.3f}..{np.nanmax(intensities):.3f}"
            )
        if landmarks is not None and (np.abs(landmarks) > FARTHEST).any():
            raise ValueError(
                f"clip {clip.id}: landmarks must be pixels, {FARTHEST:g} from the frame at most, "
                f"or NaN, got {np.nanmin(landmarks):g}..{np.nanmax(landmarks):g}"
            )
        self._next += 1
        self._written = 0

    def _check_array(self, name: str, value: object) -> None:
        if not isinstance(value, np.ndarray):
            raise ValueError(
                f"clip {self._next_clip.id}: {name} must be a numpy array, got "
                f"{type(value).__name__}"
            )

    @property
    def _next_clip(self) -> Clip:
        if self._next >= len(self.clips):
            raise ValueError(f"all {len(self.clips)} clips of {self.path} were added already")
        return self.clips[self._next]

    def _misshapen(self, name: str, shape: tuple[int, ...]) -> ValueError:
        clip = self._next_clip
        wanted = (clip.num_frames, *self._arrays[name].shape[1:])
        return ValueError(f"clip {clip.id}: {name} must have shape {wanted}, got {shape}")

    def commit(self) -> None:
        """Make the clips added so far survive a kill: ``resume=True`` continues after them.

        Raises:
            StoreError: if another process has taken over or removed the partial store.
        """
        for array in self._arrays.values():
            array.flush()
        self._check_own()
        self.done = self._next
        self._note()

    def _close(self) -> None:
        for array in self._arrays.values():
            array.close()
        self._arrays.clear()

    def _note(self) -> None:
        write_json_atomically(self._journal, {"plan": self._plan, "done": self.done})

    def _check_own(self) -> None:
        if not self._journal.exists():
            raise StoreError(
                f"{self.partial} is gone: another process has taken over the writing of "
                f"{self.path}, or removed it; wait until that process ends"
            )

    def finish(
        self,
        furnish: Callable[[ClipStore], None] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> ClipStore:
        """Complete the store, move it to its place and open it; one that was whole is only opened.

        Args:
            furnish: called with the complete store before it is moved, for instance to add pictures
                to its folder.
            facts: additions to the header that were not known before.

        Raises:
            StoreError: if clips are missing, or something appeared at the store's path.
        """
        if self.whole:
            (self.path / JOURNAL).unlink(missing_ok=True)
            return ClipStore.open(self.path)
        if self._next != len(self.clips):
            raise StoreError(
                f"{self.path}: {self._next} of {len(self.clips)} clips were added; "
                "the store is incomplete and was not put in place"
            )
        if self.done:  # the next steps may fail, for instance on a full disk
            self.commit()
        for array in self._arrays.values():
            array.flush()
        self._close()
        self._check_own()
        write_clips(self.partial / "clips.parquet", self.clips)
        seals = hash_files(self.partial, CHECKSUMMED_FILES)
        sha256 = {name: seal["sha256"] for name, seal in seals.items()}
        header = {**self._header, **(facts or {})}
        meta = {
            "schema_version": SCHEMA_VERSION,
            "header": header,
            "sha256": sha256,
            "plan": self._plan,
        }
        write_json_atomically(self.partial / "store.json", meta)
        remember(self.partial, seals)
        if furnish is not None:
            furnish(ClipStore.open(self.partial))
        self._check_own()
        try:
            move_whole(self.partial, self.path)
        except FileExistsError as error:
            raise StoreError(str(error)) from error
        (self.path / JOURNAL).unlink()
        return ClipStore.open(self.path)


def _plan_of(path: Path) -> str | None:
    """What a finished store was made by; None if that is unknown."""
    try:
        plan: str | None = ClipStore.open(path).meta.get("plan")
        return plan
    except StoreError:
        return None


def _plan_checksum(clips: Iterable[Clip], image_size: int, header: Mapping[str, Any]) -> str:
    rows = hashlib.sha256()  # row by row: together they would be a large text
    for clip in clips:
        rows.update(json.dumps(clip_row(clip), sort_keys=True).encode())
    return checksum_of([rows.hexdigest(), image_size, dict(header), SCHEMA_VERSION])


def _check_header(header: Mapping[str, Any], path: Path) -> None:
    try:
        check_header(json.loads(json.dumps(dict(header), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: the header must be JSON-able and name its source, got {header}: {error}"
        ) from error


def _check_unique(clips: Iterable[Clip]) -> None:
    seen: set[str] = set()
    for clip in clips:
        if clip.id in seen:
            raise StoreError(f"clip id {clip.id!r} occurs twice; ids must be unique within a store")
        seen.add(clip.id)
