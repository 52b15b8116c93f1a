"""Checks of the options of systems' constructors."""

from __future__ import annotations


def check_counts(**counts: int) -> None:
    """Refuse numbers of layers, channels and so on that are below 1.

    Raises:
        ValueError: with the names of all, and the first that is below 1.
    """
    if low := [f"{name}={value}" for name, value in counts.items() if value < 1]:
        raise ValueError(f"{', '.join(counts)} must be 1 or more, got {low[0]}")


def check_dropout(dropout: float) -> None:
    """Refuse a dropout outside [0, 1).

    Raises:
        ValueError: with the value.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
