"""The pictures that the page shows, made of a face and an AU curve."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from mersynth.motion.flow import optical_flow
from mersynth.pages.pictures import DIFFERENCE_GAIN, difference
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float, to_uint8
from mersynth.synthesis.generators import ClipGenerator

VIEWS = {
    "onset": "onset",
    "apex": "apex",
    "difference": f"difference × {DIFFERENCE_GAIN}",  # noqa: RUF001
    "motion": "motion field",
    "mask": "mask",
}
"""What can be seen of a curve at a glance, each with its title."""

_ARROWS = 20  # a side
_LONGEST = 1.6  # of the arrows, in steps from one to the next
_FEWEST_PIXELS = 0.15  # a shorter motion is drawn as none


def apex_of(curve: np.ndarray) -> int:
    """The frame of a curve (K, 20, 2) that differs most from its first."""
    return int(np.abs(curve - curve[:1]).sum(axis=(1, 2)).argmax())


def look(
    face: StoredClip, generator: ClipGenerator, curve: np.ndarray, views: Collection[str]
) -> dict[str, np.ndarray]:
    """Pictures of a curve's apex. Only what is asked for is computed.

    Args:
        face: its first frame is moved.
        generator: loaded.
        curve: (K, 20, 2).
        views: of :data:`VIEWS`.

    Returns:
        (S, S, 3) uint8 each, in the order of :data:`VIEWS`. The motion field is optical flow (DIS)
        measured from onset to apex; the mask is dark where the generator changes the face.
    """
    onset = np.array(face.frames[0])
    wanted = [view for view in VIEWS if view in views]
    if wanted in ([], ["onset"]):
        return {view: onset for view in wanted}
    shown = generator.show(face, curve, apex_of(curve))
    apex = to_uint8(shown.image)
    pictures = {}
    for view in wanted:
        if view == "onset":
            pictures[view] = onset
        elif view == "apex":
            pictures[view] = apex
        elif view == "difference":
            pictures[view] = difference(onset, apex)
        elif view == "motion":
            pictures[view] = arrows(apex, measured_flow(onset, apex))
        else:
            mask = (255 * shown.mask).byte().cpu().numpy()
            pictures[view] = np.repeat(mask[..., None], 3, axis=-1)
    return pictures


def film(face: StoredClip, generator: ClipGenerator, curve: np.ndarray) -> np.ndarray:
    """(K, S, S, 3) uint8: the face following a curve (K, 20, 2)."""
    return to_uint8(generator.animate([face], curve[None])[0])


def measured_flow(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """(S, S, 2) x, y in pixels: DIS flow between two frames (S, S, 3) uint8."""
    first, second = (to_float(frame)[None] for frame in (onset, apex))
    return optical_flow(first, second, "dis", preset="fast")[0].permute(1, 2, 0).numpy()


def arrows(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A motion field (S, S, 2) in pixels as arrows on a paled frame (S, S, 3) uint8.

    The longest arrow is as long as fits, so that small motions are seen, too; its length in pixels
    is written below.
    """
    size = len(frame)
    scale = 2 if size < 400 else 1  # thin arrows need pixels
    canvas = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    canvas = (0.45 * canvas + 0.55 * 255).astype(np.uint8)
    step = size / _ARROWS
    at = ((np.arange(_ARROWS) + 0.5) * step).astype(int)
    smooth = cv2.blur(flow, (5, 5))
    lengths = np.linalg.norm(smooth[np.ix_(at, at)], axis=-1)
    longest = float(lengths.max())
    if longest >= _FEWEST_PIXELS:
        gain = _LONGEST * step / longest
        for y, row in zip(at, lengths, strict=True):
            for x, length in zip(at, row, strict=True):
                if length > max(_FEWEST_PIXELS, 0.08 * longest):
                    start = np.array([x, y]) * scale
                    end = start + gain * scale * smooth[y, x]
                    share = length / longest
                    colour = tuple(int(c) for c in (40 + 170 * share, 60, 200 - 160 * share))
                    cv2.arrowedLine(
                        canvas,
                        start.tolist(),
                        end.round().astype(int).tolist(),
                        colour,
                        scale,
                        cv2.LINE_AA,
                        tipLength=0.35,
                    )
    text = f"longest {longest:.1f} px"
    where = (4 * scale, (size - 6) * scale)
    cv2.putText(
        canvas,
        text,
        where,
        cv2.FONT_HERSHEY_SIMPLEX,
        0.42 * scale,
        (30, 30, 30),
        scale,
        cv2.LINE_AA,
    )
    return canvas
