"""Settings that are numbers and ranges of numbers: how they are read, checked and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

Range = tuple[float, float]


class Settings:
    """A dataclass whose values come from a config group.

    Attributes:
        group: name of the config group.
        numbers: lowest and highest value of each number.
        ranges: lowest and highest value of each range, which is a tuple of two numbers.
        optional: names of the values that may be None.
    """

    __slots__ = ()

    group: ClassVar[str]
    numbers: ClassVar[Mapping[str, Range]]
    ranges: ClassVar[Mapping[str, Range]]
    optional: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The settings in a config or a record, where ranges are lists.

        Raises:
            ValueError: if a value has the wrong type or lies outside its range.
        """
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """The values in the form of a config or a record."""
        values = asdict(self)  # type: ignore[call-overload]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def __post_init__(self) -> None:
        for name, (low, high) in {**self.numbers, **self.ranges}.items():
            value = getattr(self, name)
            if value is None and name in self.optional:
                continue
            both = name in self.ranges
            parts = value if both and isinstance(value, tuple) else (value,)
            right = all(_is_number(v) and low <= v <= high for v in parts)
            if right and len(parts) == 1 + both and list(parts) == sorted(parts):
                continue
            shown = list(value) if isinstance(value, tuple) else value
            what = (
                f"be two numbers [LOW,HIGH] within [{low:g},{high:g}], the lower first"
                if both
                else f"lie in {low:g}..{high:g}"
            )
            raise ValueError(f"{self.group}.{name} must {what}, got {shown!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
