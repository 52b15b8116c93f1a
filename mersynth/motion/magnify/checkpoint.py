"""MagNet checkpoints: the weights as safetensors, and ``magnet.json`` about their training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mersynth.card import read_card, read_weights, write_card
from mersynth.disk.files import read_tensors
from mersynth.motion.magnify.convert import convert_published, is_published
from mersynth.motion.magnify.magnet import MagNet

CARD = "magnet.json"
SHIPPED = Path(__file__).parents[2] / "checkpoints" / "magnet"


class MagNetError(Exception):
    """MagNet's weights are missing, damaged, or belong to another model."""


def load_magnet(path: str | Path | None = None) -> MagNet:
    """MagNet with weights, in float32 and evaluation mode, on the CPU.

    Args:
        path: a folder that :func:`save_magnet` wrote; or a file (``.safetensors``, or a
            ``torch.save`` state dict) in this project's layout or in that of the published
            PyTorch port, which :func:`mersynth.motion.magnify.convert.convert_published` reads.
            None takes the weights shipped with the package.

    Raises:
        MagNetError: if the weights are missing, damaged, or fit neither layout.
    """
    place = SHIPPED if path is None else Path(path)
    if place.is_dir() or not place.suffix:
        return _load_folder(place)
    tensors = _load_tensors(place)
    if not is_published(tensors):
        return _build(tensors, {}, place)
    try:
        return convert_published(tensors)
    except ValueError as error:
        raise MagNetError(f"{place}: {error}") from error


def save_magnet(folder: Path, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write weights in half precision, then their card, so that it names a complete file.

    Args:
        folder: made if missing.
        state: state dict of a :class:`MagNet` with the default options.
        facts: JSON-able facts about the training; ``weights`` and ``sha256`` are added.

    Returns:
        The file of the weights.
    """
    half = {k: v.detach().half() for k, v in state.items()}
    name = "magnet.safetensors"
    write_card(folder / CARD, name, half, facts)
    return folder / name


def _load_folder(folder: Path) -> MagNet:
    card_path = folder / CARD
    if not card_path.exists():
        raise MagNetError(
            f"no MagNet at {folder} (no {CARD}); load_magnet() without a path takes the shipped "
            "one, scripts/train_magnet_checkpoint.py trains one"
        )
    try:
        card = read_card(card_path)
        options = dict(card.get("options", {}))
    except (ValueError, TypeError) as error:
        raise MagNetError(f"{card_path} is damaged ({error}); make it again") from error
    try:
        tensors = read_weights(card_path, card)
    except ValueError as error:
        raise MagNetError(f"{error}; make it again") from error
    return _build(tensors, options, folder / card["weights"])


def _build(tensors: Mapping[str, Tensor], options: dict[str, Any], path: Path) -> MagNet:
    try:
        model = MagNet(**options)
        model.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (TypeError, RuntimeError) as error:
        raise MagNetError(f"{path} does not hold MagNet's weights ({error})") from error
    return model.eval()


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)
    except ValueError as error:
        raise MagNetError(str(error)) from error
