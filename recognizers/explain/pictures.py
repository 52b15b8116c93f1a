"""Faces under heat maps, as pictures within a page."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mersynth.pages.pictures import data_url
from recognizers.explain.opening import OpenedRun

_SIDE = 192  # pixels of a picture on the page
_STRONGEST = 0.85  # largest opacity of the heat map over the face


def backgrounds(run: OpenedRun, rows: Sequence[int]) -> list[np.ndarray]:
    """The image under a clip's maps: its apex frame.

    A clip without an apex shows its middle frame; one of a feature file, which has no frames, the
    mean magnitude of its first input's channels, scaled from smallest to largest.

    Args:
        run: the run.
        rows: rows of the clips.

    Returns:
        (H, W, 3) uint8 RGB each.
    """
    from mersynth.store.clip_store import ClipStore

    wanted = set(rows)
    found: dict[int, np.ndarray] = {}
    first = 0
    for part in run.parts:
        clips = part.data.clips
        own = [i for i in range(first, first + len(clips)) if i in wanted]
        if own and part.path.suffix == ".npz":
            inputs = next(iter(part.data.inputs.values()))
            found |= {i: _magnitude(inputs[i - first].numpy()) for i in own}
        elif own:
            store = ClipStore.open(part.path)
            position = {clip.id: i for i, clip in enumerate(run.spelling.clips(store.clips))}
            for i in own:
                item = store[position[clips[i - first].id]]
                apex = item.clip.apex_index
                found[i] = np.array(item.frames[len(item.frames) // 2 if apex is None else apex])
        first += len(clips)
    return [found[i] for i in rows]


def overlay(face: np.ndarray, heat: np.ndarray, from_zero: bool = True) -> np.ndarray:
    """A map over a face.

    Args:
        face: (H, W, 3) uint8 RGB.
        heat: (h, w) of any size, 0 or more; coloured up to its largest value.
        from_zero: colours start at 0; False: at the smallest value, for maps far from 0.

    Returns:
        (S, S, 3) uint8 RGB: the face in grey; higher values are warmer and more opaque.
    """
    face = picture(face)
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    low = 0.0 if from_zero else float(heat.min())
    span = float(heat.max()) - low
    share = (heat - low) / span if span > 0 else np.zeros_like(heat)
    share = cv2.resize(share.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    colours = _colours(share)
    opaque = (_STRONGEST * np.sqrt(share))[..., None]
    return (grey * (1 - opaque) + colours * opaque).round().clip(0, 255).astype(np.uint8)


def picture(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 at the page's size."""
    shrinks = image.shape[0] > _SIDE
    return cv2.resize(
        image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def scale_bar() -> str:
    """The colours from the lowest to the highest, as a picture."""
    return data_url(_colours(np.linspace(0, 1, 128, dtype=np.float32)[None].repeat(10, 0)))


def _colours(share: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] to RGB."""
    coloured = cv2.applyColorMap((share * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    return coloured[..., ::-1]


def _magnitude(values: np.ndarray) -> np.ndarray:
    """(..., C, H, W) to a grey picture."""
    flat = np.abs(values.reshape(-1, *values.shape[-2:])).mean(0)
    low, high = float(flat.min()), float(flat.max())
    grey = (flat - low) / (high - low) if high > low else np.zeros_like(flat)
    return (255 * grey).astype(np.uint8)[..., None].repeat(3, 2)
