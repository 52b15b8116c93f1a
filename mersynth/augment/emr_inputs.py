"""What EMR takes: clips with the apex's place, or pairs of onset and apex; micro or macro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from mersynth.augment.base import Batch, check_unit_range, unpack
from mersynth.clips import Strength

CLIP_KEYS = ("clip", "apex_index")
PAIR_KEYS = ("onset", "apex")


def read_inputs(inputs: Mapping[str, Any]) -> tuple[Batch, Tensor, Tensor]:
    """Clips, the apex's place and the strength.

    Args:
        inputs: see :class:`mersynth.augment.emr.EMR`.

    Returns:
        Clips, pairs being clips of two frames; the apex's place (B,) int64; and which samples are
        macro-expressions, (B,) bool.

    Raises:
        ValueError: if something is missing, or a shape, range, place or strength is wrong.
    """
    given = [keys for keys in (CLIP_KEYS, PAIR_KEYS) if all(k in inputs for k in keys)]
    if len(given) != 1:
        raise ValueError(
            "EMR needs 'clip' and 'apex_index', or 'onset' and 'apex', in the mapping; got "
            f"{list(inputs)}"
        )
    if given[0] == PAIR_KEYS:
        onset, apex = (inputs[name] for name in PAIR_KEYS)
        if onset.shape != apex.shape:
            raise ValueError(
                f"EMR: onset {tuple(onset.shape)} and apex {tuple(apex.shape)} must have one shape"
            )
        frames = torch.stack([onset, apex], 1)
    else:
        frames = inputs["clip"]
    if frames.dim() != 5 or frames.shape[2] != 3:
        raise ValueError(
            "EMR: clips must have shape (B, T, 3, H, W), onset and apex (B, 3, H, W); got frames "
            f"{tuple(frames.shape)}"
        )
    known = {name: inputs[name] for name in ("aus", "landmarks") if name in inputs}
    batch, _ = unpack({"clip": frames, **known})
    check_unit_range("EMR", batch.frames)
    ones = torch.ones(len(batch), dtype=torch.long, device=batch.device)
    place = inputs["apex_index"] if given[0] == CLIP_KEYS else ones
    return batch, _apex_index(place, batch), _macro(inputs.get("strength"), batch)


def _apex_index(place: Any, batch: Batch) -> Tensor:
    index = torch.as_tensor(place, device=batch.device).long()
    last = batch.frames.shape[1] - 1
    if index.shape != (len(batch),) or bool(((index < 1) | (index > last)).any()):
        raise ValueError(
            f"EMR: apex_index must be ({len(batch)},) places in 1..{last}, frame 0 being the "
            f"onset; got {index.tolist()}"
        )
    return index


def _macro(strength: Sequence[Strength] | None, batch: Batch) -> Tensor:
    names = get_args(Strength)
    if strength is None or len(strength) != len(batch) or not set(strength) <= set(names):
        raise ValueError(
            f"EMR: strength must name each of the {len(batch)} samples micro or macro, got "
            f"{strength}"
        )
    return torch.tensor([s == "macro" for s in strength], device=batch.device)


def take_frames(batch: Batch, frame: Tensor) -> Batch:
    """The onset and one further frame of each clip: T becomes 2.

    Args:
        batch: clips, their first frame the onset.
        frame: (B,) int64.
    """
    chosen = torch.stack([torch.zeros_like(frame), frame], 1)  # (B, 2)
    each = torch.arange(len(frame), device=frame.device)[:, None]
    taken = {
        name: None if (value := getattr(batch, name)) is None else value[each, chosen]
        for name in ("frames", "aus", "landmarks")
    }
    return Batch(**taken)  # type: ignore[arg-type]
