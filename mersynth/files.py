"""Files that are whole or absent, checksums of them, and the tensors in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def write_json_atomically(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")
    temporary.replace(path)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of(value: object) -> str:
    """SHA-256 of a JSON-able value, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Where two JSON-able mappings differ, for instance ``"gan.steps was 10, is 20"``."""
    before, after = flat(json.loads(json.dumps(old))), flat(json.loads(json.dumps(new)))
    return [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, their keys joined by dots."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = inner
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of what ``torch.save`` wrote, on the CPU.

    No code of the file is run. For where the tensors may lie see :func:`tensors_by_name`; beside
    them there may be numbers and arrays of numpy, such as a training's loss.

    Raises:
        ValueError: if the file is missing, needs code to be run, or holds no tensors by name.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            return tensors_by_name(load_file(path))
        with torch.serialization.safe_globals(_numpy_values()):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever the file's bytes lead it to
        raise ValueError(_unreadable(path, str(error))) from error
    return tensors_by_name(values, f" in {path}")


def tensors_by_name(values: object, where: str = "") -> dict[str, Tensor]:
    """The tensors of a state dict, or of a mapping in which one lies as training scripts put it.

    ``DataParallel``'s ``module.`` before every name is taken off.

    Args:
        values: a mapping with names, or one that has such a mapping as ``state_dict``,
            ``model_state_dict``, ``model`` or ``net``.
        where: stands in errors behind what was expected, for instance ``" in FILE"``.

    Raises:
        ValueError: if there are no tensors by name.
    """
    import torch

    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping):
        raise ValueError(f"expected tensors by name{where}, got {type(values).__name__}")
    wrong = [name for name, value in values.items() if not torch.is_tensor(value)]
    if wrong or not values:
        found = f"{wrong[0]!r} is no tensor" if wrong else "nothing"
        raise ValueError(f"expected tensors by name{where}, found: {found}")
    wrapped = all(str(name).startswith("module.") for name in values)
    return {str(n).removeprefix("module.") if wrapped else str(n): v for n, v in values.items()}


def _numpy_values() -> list[Any]:
    """What restores numpy's numbers, texts and arrays, which hold data and no code."""
    import numpy as np

    scalar: Any = np.float64(0).__reduce__()[0]
    array: Any = np.zeros(1).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "efdgFDG?SU"}
    # numpy 2 has moved these, and files name the place that they had.
    moved = [
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in (scalar, array)
        for core in ("core", "_core")
    ]
    return [np.dtype, np.ndarray, *kinds, *moved]


def _unreadable(path: Path, told: str) -> str:
    needed = re.search(r"[Uu]nsupported (?:global: GLOBAL|GLOBAL|class) ([\w.]+)", told)
    if needed is not None:
        return (
            f"{path} holds {needed[1]}, which takes code to read, and none is run. If you trust "
            f"the file, keep its tensors alone: torch.save(torch.load('{path}', weights_only=False)"
            "['state_dict'], NEW_FILE)"
        )
    reason = (told.partition("WeightsUnpickler error:")[2] or told).strip().partition("\n")[0]
    return f"{path} cannot be read as weights ({reason or 'it is empty'})"
