"""Checks of the options of systems' constructors."""

from __future__ import annotations

from mersynth.checks import check_number


def check_counts(**counts: int) -> None:
    """Refuse numbers of layers, channels and so on that are below 1.

    Raises:
        ValueError: with the names of all, and the first that is below 1.
    """
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{', '.join(counts)} must be 1 or more, got {name}={value!r}")


def check_dropout(dropout: float) -> None:
    """Refuse a dropout outside [0, 1).

    Raises:
        ValueError: with the value.
    """
    check_number("dropout", dropout, "0..<1")
