"""What the values of configs may be, as ``configs/ranges.yaml`` says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_RANGE = re.compile(r"(whole )?(>?)(-?[0-9.]+?)\.\.(?:(<?)([0-9.]+))?")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two ends.

    Attributes:
        low, high: the ends.
        above, below: whether the low or the high end itself is left out.
        whole: whether they are whole.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False

    @classmethod
    def read(cls, text: object) -> Range | None:
        """The range that a text such as ``>0..1`` names; None if it names none."""
        found = _RANGE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            return None
        whole, above, low, below, high = found.groups()
        ends = float(low), math.inf if high is None else float(high)
        return cls(*ends, bool(above), bool(below), bool(whole))

    @classmethod
    def of(cls, text: str) -> Range:
        """The range that a text names.

        Raises:
            ValueError: if it names none.
        """
        found = cls.read(text)
        if found is None:
            raise ValueError(f"{text!r} names no range such as >0..1")
        return found

    def __contains__(self, value: object) -> bool:
        kinds = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        return low and high and math.isfinite(value)

    def __str__(self) -> str:
        kind = "a whole number, " if self.whole else ""
        low = f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        if math.isinf(self.high):
            return kind + low
        if self.above or self.below:
            return f"{kind}{low} and {'below' if self.below else 'at most'} {self.high:.12g}"
        return f"{kind}in {self.low:.12g}..{self.high:.12g}"


Rule = tuple[object, ...]
"""Alternatives: ranges, and values themselves."""


def out_of_range(name: str, config: object, file: Path) -> str | None:
    """What is wrong with the first value of a config that is not allowed, or None.

    Args:
        name: of the config.
        config: its values, as plain Python.
        file: ``ranges.yaml``.
    """
    rules = read_rules(file)
    for path, value in leaves(config, (name,)):
        rule = rule_of(path, rules)
        if rule is None or value in rule or any(value in each for each in _ranges(rule)):
            continue
        if value is None and _ranges(rule):  # not given
            continue
        shown = "null" if value is None else repr(value)
        shown = f"{shown[:60]}..." if len(shown) > 63 else shown
        return f"{'.'.join(path[1:])} must be {_words(rule)}, got {shown}"
    return None


def leaves(node: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Path and value of all values within mappings and lists; a list's have its own path."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, path)
    else:
        yield path, node


def rule_of(path: tuple[str, ...], rules: Mapping[str, Rule]) -> Rule | None:
    """The rule of the longest key in which a path ends."""
    ends = (".".join(path[start:]) for start in range(len(path)))
    return next((rules[end] for end in ends if end in rules), None)


@lru_cache
def read_rules(file: Path) -> Mapping[str, Rule]:
    """The rules of ``ranges.yaml`` by key; none without the file."""
    import yaml

    if not file.exists():
        return {}
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {key: _rule(value) for key, value in found.items()}


def _rule(value: object) -> Rule:
    every = value if isinstance(value, list) else [value]
    return tuple(each if (found := Range.read(each)) is None else found for each in every)


def _ranges(rule: Rule) -> list[Range]:
    return [each for each in rule if isinstance(each, Range)]


def _words(rule: Rule) -> str:
    if len(rule) == 1:
        return str(rule[0])
    shown = ["null (None in Python)" if each is None else str(each) for each in rule]
    return f"one of {', '.join(shown)}"
