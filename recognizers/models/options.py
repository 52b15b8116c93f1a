"""What constructors of systems ask of their options."""

from __future__ import annotations

from collections.abc import Iterable


def check_choice(option: str, value: object, allowed: Iterable[str]) -> None:
    """Refuse what is not one of a few words.

    Raises:
        ValueError: with the option, the value and the words allowed.
    """
    words = tuple(allowed)
    if value not in words:
        raise ValueError(f"{option} must be one of {', '.join(words)}, got {value!r}")


def check_counts(**counts: int) -> None:
    """Refuse numbers of layers, channels and the like below 1.

    Raises:
        ValueError: with the names of all, and the first that is below 1.
    """
    if low := [f"{name}={value}" for name, value in counts.items() if value < 1]:
        raise ValueError(f"{', '.join(counts)} must be 1 or more, got {low[0]}")


def check_dropout(dropout: float) -> None:
    """Refuse a portion of values to drop that is negative, or leaves none.

    Raises:
        ValueError: with the value.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
