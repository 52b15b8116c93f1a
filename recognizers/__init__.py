"""Recognition systems for micro-expressions, their evaluation and their reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recognizers.models import create_model, describe, list_models, load_published
    from recognizers.trained.recognizer import load

__all__ = ["create_model", "describe", "list_models", "load", "load_published"]


def __getattr__(name: str) -> Any:
    """Import the models, and torch, on first use: ``import recognizers`` stays light."""
    if name == "load":
        from recognizers.trained.recognizer import load

        return load
    if name in __all__:
        from recognizers import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
