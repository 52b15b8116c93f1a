"""Checks of the arguments of augmentations' constructors."""

from __future__ import annotations

from collections.abc import Sequence


def span(
    owner: object, name: str, value: float | Sequence[float], low: float, high: float
) -> tuple[float, float]:
    """A range to draw from, as in kornia and torchvision.

    Args:
        owner: whose argument it is, for the error.
        name: the argument's name.
        value: (lowest, highest), or one number for both.
        low: lowest number allowed.
        high: highest number allowed.

    Raises:
        ValueError: if ``value`` is not a range within [low, high].
    """
    pair = (value, value) if isinstance(value, int | float) else tuple(value)
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"{type(owner).__name__}: {name} must be (lowest, highest) within [{low}, {high}], got "
            f"{value}"
        )
    return float(pair[0]), float(pair[1])


def around(
    owner: object, name: str, value: float | Sequence[float], centre: float, reach: float
) -> tuple[float, float]:
    """A range around a centre; one number is the reach to both sides, as in torchvision.

    Args:
        owner: whose argument it is, for the error.
        name: the argument's name.
        value: (lowest, highest), or a number x for (centre - x, centre + x).
        centre: the value that changes nothing.
        reach: how far from the centre the range may go.

    Raises:
        ValueError: if the range leaves [centre - reach, centre + reach].
    """
    if isinstance(value, int | float):
        value = (centre - value, centre + value)
    return span(owner, name, value, centre - reach, centre + reach)
