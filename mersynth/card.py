"""Weights in a safetensors file, with a card beside it: the facts about them, as JSON.

A card names the file of its weights and their SHA-256, so that neither is read without the other,
and holds a checksum of its facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from mersynth.disk.files import (
    checksum_of,
    file_name,
    read_tensors,
    sha256_of_file,
    whole_file,
    write_json_atomically,
)
from mersynth.disk.json_files import read_json


def write_card(
    path: Path, weights: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write weights, then their card, so that a card always names a complete file.

    Args:
        path: the card; its folder is created if missing.
        weights: file name of the weights, in the same folder.
        tensors: the weights by name, of any type and on any device.
        facts: JSON-able; ``checksum``, ``weights`` and ``sha256`` are added.

    Returns:
        The whole card.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(weights)
    plain = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    with whole_file(file) as partial:
        save_file(plain, partial)
        sha256 = sha256_of_file(partial)
    card = {**facts, "weights": weights, "sha256": sha256}
    card["checksum"] = _checksum(card)
    write_json_atomically(path, card)
    return card


def read_card(path: Path, sealed: bool = False) -> dict[str, Any]:
    """Read the card that :func:`write_card` wrote.

    Args:
        path: the card.
        sealed: whether every card of this kind has a checksum; else older ones have none.

    Raises:
        ValueError: if the card is no file or not JSON, names no weights beside it, or its checksum
            is not that of its facts; the message gives no path.
    """
    card = read_json(path)
    name = card.get("weights") if isinstance(card, dict) else None
    if not isinstance(name, str) or not name or file_name(name) != name:
        raise ValueError(f"it names no weights beside it: weights is {name!r}")
    if (sealed or "checksum" in card) and card.pop("checksum", None) != _checksum(card):
        raise ValueError("its checksum is not that of its content")
    return card


def _checksum(card: Mapping[str, Any]) -> str:
    outside = "weights", "sha256", "checksum"  # SHA-256 of the weights is compared with their file
    return checksum_of({name: value for name, value in card.items() if name not in outside})


def read_weights(path: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that a card names, on the CPU.

    Args:
        path: the card.
        card: what :func:`read_card` read.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    file = path.with_name(card["weights"])
    if not file.is_file() or sha256_of_file(file) != card.get("sha256"):
        raise ValueError(
            f"{file} is missing or damaged (its SHA-256 is not the one in {path.name})"
        )
    return read_tensors(file)
