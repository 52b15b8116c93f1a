"""Checks of arguments, and lists of names in error messages, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable


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
        shown = ", ".join("null (None in Python)" if v is None else str(v) for v in values)
        raise error(f"{name} must be one of {shown}, got {value!r}")


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
