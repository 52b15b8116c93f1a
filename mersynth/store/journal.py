"""The journal of a store in the making: how far its writer got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mersynth.files import partials_of
from mersynth.json_files import read_json
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
