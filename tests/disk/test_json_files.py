"""JSON files are read against a type, and errors name the place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from mersynth.disk.json_files import converted, read_json


@dataclass
class Part:
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("a size is not negative")


@dataclass
class Whole:
    parts: list[Part]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"{", "truncated"),
        (b'{"a": NaN}', "malformed"),
        (b'{"a": "\xe4"}', "[Uu][Tt][Ff]-8"),
        (b"9" * 5000, "out of range"),
    ],
)
def test_what_is_no_json_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_json(tmp_path / "a.json")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_json(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a folder"):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"parts": [{"size": 1}, {"size": "x"}]}, r"parts\[1\].size is 'x': Expected `int`"),
        ({"parts": [{"size": -1}]}, r"parts\[0\] is \{'size': -1\}: a size is not negative"),
        ({"parts": 5}, "parts is 5: Expected `array`, got `int`"),
        ({}, "required field `parts` in the file"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_what_is_of_another_type_is_named_with_its_place(content: object, said: str) -> None:
    assert converted({"parts": [{"size": 1}]}, Whole) == Whole([Part(1)])
    with pytest.raises(ValueError, match=said):
        converted(content, Whole)
