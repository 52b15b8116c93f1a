"""The stores that the page offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mersynth import paths
from mersynth.store.clip_store import ClipStore, StoreError


class Shelf:
    """The stores that the page offers: those that were named, and those in ``./stores``.

    Args:
        named: folders of stores.

    Raises:
        StoreError: if a named one is no store.
    """

    def __init__(self, named: Sequence[Path] = ()) -> None:
        self._named = tuple(named)
        for path in self._named:
            ClipStore.open(path)

    def names(self) -> list[str]:
        """Their folders, as they are chosen on the page."""
        found = sorted(file.parent for file in paths.store_path("").glob("*/store.json"))
        return list(dict.fromkeys(str(path) for path in (*self._named, *found)))

    def open(self, name: str | None) -> ClipStore:
        """The store of a name; no other folder is ever opened.

        Raises:
            StoreError: if there is no such name, or the store is damaged.
        """
        if name not in self.names():
            raise StoreError("choose a store from the list; `--store STORE` adds another one to it")
        return ClipStore.open(str(name))
