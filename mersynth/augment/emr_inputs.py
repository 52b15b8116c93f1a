"""The inputs of EMR: clips with the apex's position, or pairs of onset and apex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from mersynth.augment.base import Batch, check_unit_range, unpack
from mersynth.augment.temporal import take_frames
from mersynth.clips import Strength

CLIP_KEYS = ("clip", "apex_index")
INDEX_KEYS = ("onset_index", "apex_index")
PAIR_KEYS = ("onset", "apex")


def read_inputs(inputs: Mapping[str, Any]) -> tuple[Batch, Tensor, Tensor, Tensor]:
    """Clips, the positions of onset and apex, and the strength.

    Args:
        inputs: see :class:`mersynth.augment.emr.EMR`.

    Returns:
        Clips, pairs being clips of two frames; the onset's and the apex's position (B,) int64; and
        which samples are macro-expressions, (B,) bool.

    Raises:
        ValueError: if something is missing, or a shape, range, position or strength is wrong.
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
    whole = torch.ones(len(batch), dtype=torch.long, device=batch.device)
    places = {"onset_index": 0 * whole, "apex_index": whole}
    if given[0] == CLIP_KEYS:
        places |= {
            name: _places(name, inputs[name], batch) for name in INDEX_KEYS if name in inputs
        }
    onset, apex = places["onset_index"], places["apex_index"]
    early = (apex <= onset).nonzero().flatten().tolist()
    if early:
        raise ValueError(
            f"EMR: every apex must lie after its onset; that of sample {early} does not "
            f"(onset_index {onset.tolist()}, apex_index {apex.tolist()}); take more frames of the "
            "clips, or leave such clips out"
        )
    return batch, onset, apex, _macro(inputs.get("strength"), batch)


def _places(name: str, value: Any, batch: Batch) -> Tensor:
    index = torch.as_tensor(value, device=batch.device)
    last = batch.frames.shape[1] - 1
    fits = index.shape == (len(batch),) and not index.is_floating_point()
    if not fits or bool(((index < 0) | (index > last)).any()):
        raise ValueError(
            f"EMR: {name} must be ({len(batch)},) whole numbers in 0..{last}, got {index.tolist()}"
        )
    return index.long()


def _macro(strength: Sequence[Strength] | None, batch: Batch) -> Tensor:
    names = get_args(Strength)
    if strength is None or len(strength) != len(batch) or not set(strength) <= set(names):
        raise ValueError(
            f"EMR: strength must be micro or macro for each of the {len(batch)} samples, got "
            f"{strength}"
        )
    return torch.tensor([s == "macro" for s in strength], device=batch.device)


def pair_of(batch: Batch, onset: Tensor, frame: Tensor) -> Batch:
    """The onset and one further frame of each clip: T becomes 2.

    Args:
        batch: clips.
        onset: (B,) int64, the onset's position.
        frame: (B,) int64, the other frame's position.
    """
    chosen = torch.stack([onset, frame], 1)
    taken = {
        name: take_frames(value, chosen)
        for name in ("frames", "aus", "landmarks")
        if (value := getattr(batch, name)) is not None
    }
    return Batch(**taken)
