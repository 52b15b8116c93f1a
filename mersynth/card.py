"""Weights in a safetensors file, with a card beside it: the facts about them, as JSON.

A card names the file of its weights and their SHA-256, so that neither is read without the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from mersynth.files import read_tensors, sha256_of_file, whole_file, write_json_atomically
from mersynth.json_files import read_json


def write_card(
    path: Path, weights: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write weights, then their card, so that a card always names a complete file.

    Args:
        path: the card; its folder is created if missing.
        weights: file name of the weights, in the same folder.
        tensors: the weights by name, of any type and on any device.
        facts: JSON-able; ``weights`` and ``sha256`` are added.

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
    write_json_atomically(path, card)
    return card


def read_card(path: Path) -> dict[str, Any]:
    """Read the card that :func:`write_card` wrote.

    Raises:
        ValueError: if the card is not JSON, or names no weights; the message gives no path.
    """
    card = read_json(path)
    if not isinstance(card, dict) or not isinstance(card.get("weights"), str):
        raise ValueError("it names no weights")
    return card


def read_weights(path: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that a card names, on the CPU.

    Args:
        path: the card.
        card: what :func:`read_card` read.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    file = path.with_name(card["weights"])
    if not file.exists() or sha256_of_file(file) != card.get("sha256"):
        raise ValueError(
            f"{file} is missing or damaged (its SHA-256 is not the one in {path.name})"
        )
    return read_tensors(file)
