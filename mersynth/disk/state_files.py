"""The state of a training in one safetensors file, with a checksum that is checked on reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mersynth.disk.files import whole_file

_FACTS = "mersynth"  # one key: safetensors writes several in an order that changes
_SHA256 = "sha256"


def save_state_file(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata, all or nothing."""
    # Cloned, because safetensors refuses tensors that share memory.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as partial:
        facts = json.dumps({**metadata, _SHA256: _sha256(plain)}, sort_keys=True)
        save_file(plain, partial, {_FACTS: facts})


def load_state_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`save_state_file` wrote: tensors and metadata.

    Raises:
        ValueError: if the file cannot be read, or its contents have changed.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get(_FACTS, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if not isinstance(facts, dict) or facts.pop(_SHA256, None) != _sha256(tensors):
        raise ValueError(f"{path} is damaged: its values do not match their checksum")
    return tensors, facts


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
