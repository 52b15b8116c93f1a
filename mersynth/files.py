"""Files that are whole or absent, checksums of them, and the tensors in them."""

from __future__ import annotations

import hashlib
import json
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
    """Tensors of a safetensors file or of a ``torch.save`` state dict, on the CPU.

    Raises:
        ValueError: if the file is missing or holds no tensors by name.
    """
    import torch
    from safetensors.torch import load_file

    if not path.exists():
        raise ValueError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever the file's bytes lead it to
        raise ValueError(f"{path} cannot be read as weights ({error})") from error
    if not isinstance(values, dict) or not all(torch.is_tensor(v) for v in values.values()):
        raise ValueError(f"{path} holds no state dict of tensors")
    return values
