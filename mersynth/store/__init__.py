"""The ClipStore, the one format of clips on disk: reading, writing, checking, torch data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mersynth.store.clip_store import ClipStore, StoredClip, StoreError, require_real

__all__ = ["ClipStore", "StoreError", "StoredClip", "require_real"]


def __getattr__(name: str) -> Any:
    """Import the store on first use: modules that only need names of people do without it."""
    if name in __all__:
        from mersynth.store import clip_store

        return getattr(clip_store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
