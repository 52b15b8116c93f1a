"""mersynth: balanced synthetic facial micro-expression clips, and the field's augmentations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mersynth.store.loading import load_clips

__version__ = "0.1.0"

__all__ = ["__version__", "load_clips"]


def __getattr__(name: str) -> Any:
    """Import what needs torch only on first use, so that ``import mersynth`` stays light."""
    if name == "load_clips":
        from mersynth.store.loading import load_clips

        return load_clips
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
