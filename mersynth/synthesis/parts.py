"""Parts of a synthetic store, made by several processes and joined to the bytes of one.

Part 3 of 8 of ``stores/samm_synthetic`` is the store ``stores/samm_synthetic.parts/3_of_8``. It
holds some of the plan's batches: their boundaries are fixed, so a clip's bytes do not depend on who
makes it.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mersynth.clips import Clip
from mersynth.disk.lock import hold
from mersynth.logs import progress
from mersynth.shards import Shard
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.journal import clips_written
from mersynth.store.writer import StoreWriter

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0


def part_path(target: Path, shard: Shard) -> Path:
    """Folder of a part."""
    return _folder(target) / f"{shard.number}_of_{shard.of}"


def all_parts(count: int) -> list[Shard]:
    """All shards of so many."""
    return [Shard(number, count) for number in range(1, count + 1)]


def begun_parts(target: Path, resume: bool) -> list[Shard]:
    """All parts of the store, if any of them was begun, whether complete or not.

    Raises:
        StoreError: if there are parts and ``resume`` is false, or they are of different plans.
    """
    folder = _folder(target)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    counts = {int(found[1]) for name in names if (found := re.search(r"\d_of_(\d+)", name))}
    if counts and not resume:
        raise StoreError(
            f"parts of this store are in {folder}; add --resume to make the missing ones and join "
            "them, or remove that folder"
        )
    if len(counts) > 1:
        raise StoreError(
            f"{folder} holds parts of {' and of '.join(map(str, sorted(counts)))} shards; remove "
            "those of one number"
        )
    return [shard for count in counts for shard in all_parts(count)]


def make_parts(
    target: Path, parts: Sequence[Shard], workers: int, make: Callable[[Shard], None], total: int
) -> None:
    """Make the missing parts in processes of this machine.

    Args:
        target: the store.
        parts: all its parts.
        workers: number of processes at once.
        make: makes a part, or completes it; can be pickled.
        total: number of clips in all.
    """
    import torch
    from joblib import Parallel, cpu_count, delayed, parallel_config

    missing = [shard for shard in parts if not part_path(target, shard).exists()]
    if not missing:
        return
    # As many threads as this process has: what they compute may depend on their number.
    threads, cores = torch.get_num_threads(), cpu_count()
    if workers > 1 and workers * threads > cores:
        logger.warning(
            "%d processes of %d threads share %d cores: OMP_NUM_THREADS=%d before the command is "
            "faster",
            *(workers, threads, cores, max(1, cores // workers)),
        )
    with (
        _shown(target, parts, total),
        parallel_config("loky", n_jobs=workers, inner_max_num_threads=threads),
    ):
        Parallel()(delayed(make)(shard) for shard in missing)


@contextmanager
def _shown(target: Path, parts: Sequence[Shard], total: int) -> Iterator[None]:
    """Show how many clips the processes have made."""

    def count() -> int:
        return sum(clips_written(part_path(target, shard)) for shard in parts)

    ended = threading.Event()
    before = count()

    def watch() -> None:
        seen = before
        with progress("generating", total - before, "clips") as advance:
            while not ended.wait(_SECONDS_BETWEEN_LOOKS):
                seen, last = max(seen, count()), seen
                advance(seen - last)
            advance(max(seen, count()) - seen)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def copy_parts(
    writer: StoreWriter, parts: Sequence[Shard], header: Mapping[str, Any], batch_clips: int
) -> None:
    """Add the clips of all parts to the whole store, from the one where its writer stands.

    Args:
        writer: of the whole store.
        parts: all its parts, complete.
        header: of the whole store.
        batch_clips: the plan's batches have so many clips.

    Raises:
        StoreError: if a part is damaged, or belongs to another plan.
        InUseError: if a part is being written.
    """
    with ExitStack() as held:
        for shard in parts:
            part = part_path(writer.path, shard)
            held.enter_context(hold(part))
            own = shard.share(len(writer.clips), batch_clips)
            store = ClipStore.open(part)
            _check_same(store, writer.clips[own], part_header(header, shard))
            for i in range(max(0, writer.done - own.start), len(store)):
                item = store[i]
                writer.add(item.frames, item.intensities, item.landmarks)
            writer.commit()


def part_header(header: Mapping[str, Any], shard: Shard) -> dict[str, Any]:
    """The header of a part of a store."""
    return {**header, "shard": str(shard)}


def remove_parts(target: Path) -> None:
    """Remove the parts, which the whole store has made useless."""
    shutil.rmtree(_folder(target), ignore_errors=True)


def _check_same(part: ClipStore, clips: Sequence[Clip], header: Mapping[str, Any]) -> None:
    # As read from a file, where tuples have become lists.
    if part.clips != tuple(clips) or part.meta["header"] != json.loads(json.dumps(header)):
        raise StoreError(
            f"{part.path} is a part of another store (other clips, settings or version of "
            f"mersynth); remove {part.path.parent}, or repeat the command that began it"
        )


def _folder(target: Path) -> Path:
    return target.with_name(f"{target.name}.parts")
