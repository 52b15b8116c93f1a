"""The ClipStore, the one format of clips on disk: read, written, checked, and a torch data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mersynth.store.clip_store import ClipStore, StoredClip, StoreError, require_real

__all__ = ["ClipStore", "StoreError", "StoredClip", "require_real"]


def __getattr__(name: str) -> Any:
    """Import the store when it is asked for: who reads names of people needs none."""
    if name in __all__:
        from mersynth.store import clip_store

        return getattr(clip_store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
