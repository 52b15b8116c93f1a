"""Checks of arguments, and lists in messages."""

from __future__ import annotations

import pytest

from mersynth.checks import check_choice, listed, listed_lines
from mersynth.config import ConfigError


def test_a_value_that_is_not_one_of_a_few_is_named_with_those() -> None:
    check_choice("half", "eyes", ("eyes", "mouth"))
    check_choice("strength", None, ("micro", None))
    with pytest.raises(ValueError, match=r"^half must be one of eyes, mouth, got 'nose'$"):
        check_choice("half", "nose", ("eyes", "mouth"))
    with pytest.raises(ConfigError, match=r"one of micro, null \(None in Python\), got 'None'$"):
        check_choice("strength", "None", ("micro", None), ConfigError)


@pytest.mark.parametrize(
    ("names", "limit", "line", "lines"),
    [
        ([], 2, "", []),
        (["a", "b"], 2, "a, b", ["- a", "- b"]),
        ([1, 2, 3, 4], 2, "1, 2 and 2 more", ["- 1", "- 2", "- and 2 more"]),
    ],
)
def test_long_lists_are_cut_and_say_by_how_many(
    names: list[object], limit: int, line: str, lines: list[str]
) -> None:
    assert listed(names, limit) == line
    assert listed_lines(names, limit, indent="- ") == lines
