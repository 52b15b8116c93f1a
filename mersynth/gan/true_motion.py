"""The exactly known motion of faces in a rendered store, kept beside its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from mersynth.disk.files import whole_file
from mersynth.disk.space import mapped
from mersynth.motion.warp import warp
from mersynth.store.clip_store import ClipStore, StoreError

FILE = "true_motion.npy"
SIZE = 48
"""Side of the fields in pixels: a generator computes its own at half of its working size."""
_STEPS = 8  # of the fixed point; displacements differ little between neighbours


def where_from(flow: Tensor) -> np.ndarray:
    """Where each place of a frame comes from in the first frame: d(x) = -f(x + d(x)).

    Args:
        flow: (T, 2, H, W) x, y in pixels, f from the first frame to each.

    Returns:
        (T, 2, SIZE, SIZE) float16, as shares of the side.
    """
    found = -flow
    for _ in range(_STEPS):
        found = -warp(flow, found)
    small = F.interpolate(found, (SIZE, SIZE), mode="area") / flow.shape[-1]
    return small.half().cpu().numpy()


def save_true_motion(store: ClipStore, fields: Sequence[np.ndarray]) -> None:
    """Store the fields of all clips, (T, 2, SIZE, SIZE) each, in their store's folder."""
    with whole_file(store.path / FILE) as partial, partial.open("wb") as file:
        np.save(file, np.concatenate(fields))


def load_true_motion(store: ClipStore) -> np.ndarray | None:
    """(F, 2, SIZE, SIZE) float16 of the store's frames, memory-mapped; None if it has none.

    Raises:
        StoreError: if the file does not fit the store.
    """
    path: Path = store.path / FILE
    if not path.exists():
        return None
    wanted = (len(store.frames), 2, SIZE, SIZE)
    try:
        fields = mapped(path)
    except ValueError as error:
        raise StoreError(f"{error}; remove it") from error
    if fields.shape != wanted or fields.dtype != np.float16:
        raise StoreError(
            f"{path} holds {fields.dtype} {fields.shape}, the store's frames need float16 {wanted};"
            " remove it"
        )
    return fields
