"""Whether what was written is whole: stores and checkpoints, read as a whole and compared."""

from __future__ import annotations

from pathlib import Path

from mersynth.disk.partial import partials_of
from mersynth.gan.checkpoint import CheckpointError, find_groups, load_generator
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.journal import clips_done


def check_store(path: Path) -> str:
    """Read a store whole, compare its checksums again, and say what it holds.

    Raises:
        StoreError: if it is missing, damaged or not finished; then with how far its writing came.
    """
    if not path.exists() and (begun := partials_of(path)):
        done = max(clips_done(partial) for partial in begun)
        raise StoreError(
            f"{path} was begun and not finished: {done} clips are kept; repeat the command that "
            f"makes it with --resume, or remove {begun[0]}"
        )
    store = ClipStore.open(path, verify=True)
    made = sum(clip.is_synthetic for clip in store.clips)
    kind = f", {made} of them synthetic" if made else ""
    return (
        f"{path} is whole: {len(store)} clips{kind} of {len(store.subjects)} people, "
        f"{store.image_size} pixels"
    )


def check_checkpoint(path: Path) -> str:
    """Load all generators of a checkpoint, and say what they are.

    Raises:
        CheckpointError: if one is missing or damaged, or the training is not finished.
    """
    cards = [load_generator(group)[1] for group in find_groups(path)]
    if unfinished := next((card.unfinished for card in cards if card.unfinished), None):
        raise CheckpointError(
            f"{path} is of a training that is not finished, after {unfinished}; finish it with "
            "`mersynth train --resume` and its original options"
        )
    first = cards[0]
    many = f"{len(cards)} generators" if len(cards) > 1 else "a generator"
    return f"{path} is whole: {many} of {first.image_size} pixels, after {first.step} steps"
