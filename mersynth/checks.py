"""Checks of arguments, and lists of names in error messages, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from numbers import Integral

from mersynth.ranges import Range


def check_choice(
    name: str, value: object, allowed: Iterable[object], error: type[Exception] = ValueError
) -> None:
    """Refuse a value that is not one of those allowed.

    Args:
        name: what the user calls the value: an argument, a config key.
        value: what was given.
        allowed: the values allowed.
        error: what to raise.

    Raises:
        error: with name, value and what is allowed.

    Example:
        >>> check_choice("half", "eyes", ("eyes", "mouth"))
    """
    values = tuple(allowed)
    if value not in values:
        allowed = ", ".join("null (None in Python)" if v is None else str(v) for v in values)
        raise error(f"{name} must be one of {allowed}, got {shown(value)}")


def check_whole(
    name: str, value: object, low: int, high: int, error: type[Exception] = ValueError
) -> None:
    """Refuse what is no whole number from ``low`` to ``high``, both included.

    Args:
        name: what the user calls the value.
        value: what was given.
        low: the least allowed.
        high: the most allowed.
        error: what to raise.

    Raises:
        error: with name, value and what is allowed.

    Example:
        >>> check_whole("num_frames", 16, 1, 10000)
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise error(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def check_number(
    name: str, value: object, allowed: str, error: type[Exception] = ValueError
) -> None:
    """Refuse what is no number of a range.

    Args:
        name: what the user calls the value.
        value: what was given.
        allowed: the range as :meth:`mersynth.ranges.Range.read` reads it.
        error: what to raise.

    Raises:
        error: with name, value and what is allowed.

    Example:
        >>> check_number("dropout", 0.5, "0..<1")
    """
    if value not in (wanted := Range.of(allowed)):
        raise error(f"{name} must be a number, {wanted}, got {value!r}")


def shown(value: object, limit: int = 60) -> str:
    """A value for an error message, cut where it is long.

    Example:
        >>> shown("a" * 100, 10)
        "'aaaaaaaa... (100 characters)"
    """
    text = repr(value)
    if len(text) <= limit:
        return text
    return f"{text[: limit - 1]}... ({len(str(value))} characters)"


def listed(names: Collection[object], limit: int = 10, separator: str = ", ") -> str:
    """The first few names in one line, and how many more there are.

    Example:
        >>> listed(["sub01", "sub02", "sub03"], 2)
        'sub01, sub02 and 1 more'
    """
    shown = separator.join(str(name) for name in list(names)[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def listed_lines(names: Collection[object], limit: int = 10, indent: str = "") -> list[str]:
    """As :func:`listed`, one name per line."""
    shown = [str(name) for name in list(names)[:limit]]
    if len(names) > limit:
        shown.append(f"and {len(names) - limit} more")
    return [f"{indent}{line}" for line in shown]


def ranges(numbers: Iterable[int]) -> str:
    """Frames in words, from their numbers in order.

    Example:
        >>> ranges([3, 7, 8, 9])
        'frames 3, 7-9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return f"{'frame' if shown == [str(runs[0][0])] else 'frames'} {', '.join(shown)}"
