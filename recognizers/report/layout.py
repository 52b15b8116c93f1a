"""What the JSON files of a run's folder hold, as far as a report reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, cast

from recognizers.evaluation.metrics import STATISTICS

# A layout is a type, a tuple of layouts to choose from, a list of what each item is, a dict of
# named parts, or a dict from ``str`` to what each value is.
_NUMBER = (int, float)
_CLASSES = {str: int}
_LEAK = {"kind": str, "clip": str, "reason": str}
_SCORED = {str: {"mean": dict.fromkeys(STATISTICS, _NUMBER)}}
_INTERVAL = {
    **dict.fromkeys(("estimate", "low", "high", "level"), _NUMBER),
    **dict.fromkeys(("samples", "subjects"), int),
}
_INTERVALS = (dict.fromkeys(STATISTICS, _INTERVAL), NoneType)
_DATA = {
    "path": str,
    "role": str,
    "checksum": str,
    "clips": int,
    "subjects": int,
    "classes": _CLASSES,
}
_RESULTS_FOLD = {
    "name": str,
    "tested": [str],
    "train": int,
    "test": int,
    "missing": [str],
    "pretraining": (int, NoneType),
    "mixed": int,
    "leaks": [_LEAK],
}
_PRETRAINING = {
    "stores": [str],
    "clips": int,
    "classes": _CLASSES,
    "folds": [str],
    "generators": [str],
    "unseen": (int, NoneType),
}

RESULTS = {
    "mersynth": str,
    "protocol": str,
    "groups": (int, NoneType),
    "scheme": str,
    "habit": str,
    "marked": [str],
    "model": {
        "config": str,
        "name": str,
        "options": dict,
        "parameters": int,
        "paper": (str, NoneType),
    },
    "classes": [str],
    "seeds": [int],
    "selection": str,
    "data": [_DATA],
    "folds": [_RESULTS_FOLD],
    "pretraining": [_PRETRAINING],
    "headline": str,
    "strict": _SCORED,
    "oracle": (_SCORED, NoneType),
    "intervals": {"strict": _INTERVALS, "oracle": _INTERVALS},
    "device": str,
    "seconds": _NUMBER,
}
"""Layout of ``results.json``."""

_EPOCH = {"epoch": int, "loss": (*_NUMBER, NoneType)}

FOLD = {"fold": str, "seed": int, "epoch": int, "clips": [str], "curve": [_EPOCH]}
"""Layout of ``folds/*.json``."""

PRETRAINED = {"group": int, "seed": int, "curve": [_EPOCH]}
"""Layout of ``pretrained/*.json``."""


class RunError(ValueError):
    """A folder is not a whole, readable run."""


def read_json(path: Path, layout: object) -> Mapping[str, Any]:
    """Read a JSON file and hold it against a layout; parts that the layout lacks are let be.

    Raises:
        RunError: if the file is not JSON, or a part is missing or of another type.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, and of UTF-8
        raise RunError(
            f"{path} is damaged: {error}; delete it and repeat the command that made the run"
        ) from error
    _check(value, layout, "", path)
    return cast(Mapping[str, Any], value)


def _check(value: object, layout: object, where: str, path: Path) -> None:
    choices = layout if isinstance(layout, tuple) else (layout,)
    fitting = [choice for choice in choices if _has_type(value, choice)]
    if not fitting:
        raise _wrong(value, choices, where, path)
    chosen = fitting[0]
    if isinstance(chosen, list):
        for index, item in enumerate(cast(list[object], value)):
            _check(item, chosen[0], f"{where}[{index}]", path)
    elif isinstance(chosen, dict):
        given = cast(dict[str, object], value)
        parts = dict.fromkeys(given, chosen[str]) if str in chosen else chosen
        for key, part in parts.items():
            place = f"{where}.{key}" if where else key
            if key not in given:
                raise RunError(f"{path} lacks {place}; repeat the command that made the run")
            _check(given[key], part, place, path)


def _has_type(value: object, layout: object) -> bool:
    kind = layout if isinstance(layout, type) else type(layout)
    return isinstance(value, kind) and not isinstance(value, bool)


def _wrong(value: object, choices: Sequence[object], where: str, path: Path) -> RunError:
    names = {str: "a text", int: "a whole number", float: "a number", NoneType: "null"}
    names |= {dict: "an object", list: "a list"}
    kinds = [choice if isinstance(choice, type) else type(choice) for choice in choices]
    allowed = " or ".join(names[kind] for kind in kinds)
    got = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
    return RunError(
        f"{path}: {where or 'the file'} must be {allowed}, got {got}; repeat the command that made "
        "the run"
    )
