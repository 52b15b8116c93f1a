"""Quality of a synthetic store, measured against a real one: ``mersynth quality``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mersynth.quality.run import measure_quality

__all__ = ["measure_quality"]


def __getattr__(name: str) -> Any:
    """Import what needs torch only on first use."""
    if name == "measure_quality":
        from mersynth.quality.run import measure_quality

        return measure_quality
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
