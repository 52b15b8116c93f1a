"""JSON files, read against the type of their content; errors name the place and its value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from mersynth.disk.files import check_regular

T = TypeVar("T")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no file, or not JSON; the message gives no path.
    """
    check_regular(path)
    return decoded(path.read_bytes())


def decoded(text: bytes | str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: if it is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error}") from error
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error


def converted(content: Any, kind: type[T]) -> T:
    """The content of a JSON file as a type.

    Args:
        content: of :func:`read_json`.
        kind: a ``msgspec.Struct``, a data class, or whatever else msgspec converts to.

    Raises:
        ValueError: if a part is missing, has another type or is out of its range; names the place,
            the value and what is allowed.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_reason(str(error), content, kind)) from error


def _reason(message: str, content: Any, kind: type) -> str:
    """A message of msgspec, with the value received and the values allowed."""
    wrong, _, place = message.partition(" - at `$")
    place = place.removeprefix(".").removesuffix("`")
    if wrong.startswith("Object missing") or "..." in place:  # of a mapping, the key is not named
        return f"{wrong} in {place or 'the file'}"
    if not place:
        return wrong
    value = content
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", place):
        value = value[int(index)] if index else value[name]
    shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
    asked = get_type_hints(kind).get(place)
    if get_origin(asked) is Literal:
        wrong = f"it must be one of {', '.join(get_args(asked))}"
    return f"{place} is {shown}: {wrong}"
