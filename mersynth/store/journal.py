"""The journal of a store in the making: how far its writer got."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mersynth.disk.json_files import read_json
from mersynth.disk.partial import partials_of
from mersynth.store.clip_store import ClipStore, StoreError

JOURNAL = "journal.json"
"""Its name, in the folder of the partial store."""


def check_target(path: Path, resume: bool) -> None:
    """Check, before any work is done, that a store can be written.

    Raises:
        StoreError: if it exists, or an interrupted writing of it would be lost. With ``resume`` the
            writer decides.
    """
    if resume:
        return
    if path.exists():
        raise StoreError(f"{path} exists already; remove it or choose another --out")
    for partial in partials_of(path):
        if is_damaged(partial):
            raise StoreError(
                f"an interrupted store is in {partial}, and its {JOURNAL} is damaged: add "
                "--resume to be told how to keep its clips, or remove that folder"
            )
        if (read_journal(partial) or {}).get("done"):
            raise StoreError(
                f"an interrupted store is in {partial}; add --resume to continue it, or remove "
                "that folder"
            )


def find_begun(path: Path, plan: str, ends: Sequence[int]) -> Path | None:
    """The interrupted writing of a store that got farthest; None if there is none.

    Args:
        path: folder of the store.
        plan: checksum of what is to be written.
        ends: number of frames up to the end of each clip.

    Raises:
        StoreError: if a journal is damaged, or all that was begun here is another store.
    """
    partials = partials_of(path)
    if damaged := next((folder for folder in partials if is_damaged(folder)), None):
        raise StoreError(_how_to_keep(damaged, path, plan, ends))
    found = {
        folder: journal for folder in partials if (journal := read_journal(folder)) is not None
    }
    fitting = [folder for folder, journal in found.items() if journal["plan"] == plan]
    if found and not fitting:
        raise StoreError(
            f"{next(iter(found))} holds the beginning of another store (other clips, sizes, "
            "settings or version of mersynth); remove that folder, or repeat the command that "
            "began it"
        )
    return max(fitting, key=lambda folder: int(found[folder]["done"]), default=None)


def _how_to_keep(begun: Path, path: Path, plan: str, ends: Sequence[int]) -> str:
    """What to do about an interrupted writing whose journal is damaged."""
    journal = json.dumps({"plan": plan, "done": _filled(begun / "frames.npy", ends)})
    return (
        f"{begun / JOURNAL} is damaged, so nobody knows how many clips of {path} were "
        f"written. Its frames suggest that this was in it: {journal}. Write that into it and "
        f"repeat the command with --resume; or remove {begun} to begin anew"
    )


def _filled(file: Path, ends: Sequence[int]) -> int:
    """How many clips an interrupted writing seems to have: the file began as zeros."""
    try:
        frames = np.load(file, mmap_mode="r")
        starts = [0, *ends[:-1]]
        pairs = zip(starts, ends, strict=True)
        return next((i for i, (a, b) in enumerate(pairs) if not frames[a:b].any()), len(starts))
    except (OSError, ValueError):
        return 0


def clips_written(path: Path) -> int:
    """Number of clips of a store that are on disk, whether it is complete or in the making."""
    if path.exists():
        return len(ClipStore.open(path))
    return max((int((read_journal(p) or {}).get("done", 0)) for p in partials_of(path)), default=0)


def clips_done(partial: Path) -> int:
    """How many clips an interrupted writing has kept."""
    journal = read_journal(partial)
    return 0 if journal is None else int(journal["done"])


def is_damaged(partial: Path) -> bool:
    """Whether there is a journal that says nothing."""
    return (partial / JOURNAL).exists() and read_journal(partial) is None


def read_journal(partial: Path) -> dict[str, Any] | None:
    """How far an interrupted writing got; None if that is unknown."""
    try:
        journal = read_json(partial / JOURNAL)
    except (OSError, ValueError):
        return None
    plain = isinstance(journal, dict) and isinstance(journal.get("plan"), str)
    return journal if plain and isinstance(journal.get("done"), int) else None
