"""Following a clip: one face wears another's AU curve, ``mersynth transfer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mersynth.transfer.run import transfer

__all__ = ["transfer"]


def __getattr__(name: str) -> Any:
    """Import what needs torch only on first use."""
    if name == "transfer":
        from mersynth.transfer.run import transfer

        return transfer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
