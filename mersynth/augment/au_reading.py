"""AU intensities read from motion: the AU warp (:mod:`mersynth.augment.au_warp`), inverted.

The head is brought back to where it was in the first frame, and the flow from that frame to every
other is written as a sum of the AUs' displacement fields,

    flow_t = sum_k x_tk field_k,  0 <= x_tk <= 1,

one field for each side of an AU that FACS calls lateral, and one for each other AU. A flow method
blurs small movements, and finds none where a face has no texture. So that it does the same to both
sides of the equation, a field is not the true displacement, but the flow that the same method
measures on the same face after the AU warp has moved it.

Several fields are nearly sums of others: the condition number of their matrix is in the hundreds.
Least squares then finds weak AUs everywhere, above all 14, 5 and 43. A face shows few AUs at once,
so their sum is penalised (non-negative lasso; Tibshirani, "Regression shrinkage and selection via
the lasso", 1996); and its sides mostly move alike, so the squared difference between them is. Both
weigh the more, the more of the flow no AU explains. ``docs/transfer.md`` compares this with least
squares, with a ridge, and with the true displacements as fields.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import lsq_linear
from torch import Tensor

from mersynth.augment.au_warp import au_warp, template_landmarks
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, SIDES
from mersynth.motion.flow import optical_flow
from mersynth.motion.head import face_mask, head_motion, rigid_flow, still_head
from mersynth.motion.warp import warp

_SIDE = 128  # pixels; larger frames are reduced
_FLOW = "dis"  # the most accurate here, and the fastest: docs/transfer.md
_LEVEL = 0.5  # intensity at which fields are measured: the flow of a much weaker one is noise
# The penalties, as shares of the variance that is left unexplained, of the sum of all intensities and
# of the differences of sides. Chosen on phantom people that docs/transfer.md does not measure; half
# and twice of either do nearly as well.
_FEW, _EVEN = 0.1, 1.0
# Seconds, a standard deviation: short beside the rise of a micro-expression. The flow is smoothed,
# not the intensities, which noise can only raise where they are 0.
_SMOOTHING = 0.015
_AT_ONCE = 64  # frames


def _columns() -> np.ndarray:
    columns: list[np.ndarray] = []
    for row, number in enumerate(CONDITION_AUS):
        left, right = np.zeros((2, len(CONDITION_AUS), len(SIDES)), np.float32)
        left[row, 0] = right[row, 1] = 1
        columns += [left, right] if ACTION_UNITS[number].lateral else [left + right]
    return np.stack(columns)


COLUMNS = _columns()
"""(K, 20, 2): ones where an unknown stands for an AU's left side, right side, or both."""


def _unevenness() -> np.ndarray:
    """(K, K) whose quadratic form is the sum of squared differences of sides."""
    left, right = COLUMNS[..., 0].any(1), COLUMNS[..., 1].any(1)
    pairs = np.flatnonzero(left & ~right)  # each followed by its right side
    apart = np.zeros((len(pairs), len(COLUMNS)))
    rows = np.arange(len(pairs))
    apart[rows, pairs], apart[rows, pairs + 1] = 1, -1
    unevenness: np.ndarray = apart.T @ apart
    return unevenness


_UNEVEN = _unevenness()


class MotionReader:
    """Reads the AUs of one face.

    Args:
        onset: (S, S, 3) uint8, RGB, the face at rest.
        landmarks: (68, 2) x, y in pixels; None: where the framing has them.
        framing: where the face lies.

    Attributes:
        fields: (N, K) float64 motion by each of :data:`COLUMNS` at intensity 1: x, then y of every
            pixel of the face, as shares of its side.

    Raises:
        ValueError: if the landmarks cannot be those of a face in this picture.
    """

    def __init__(
        self, onset: np.ndarray, landmarks: np.ndarray | None = None, framing: Framing = HEAD
    ) -> None:
        self.framing = framing
        self._size = min(_SIDE, len(onset))
        self._mask = face_mask(self._size, framing)
        self._onset = self._pictures(onset[None])
        if landmarks is None:
            points = template_landmarks((self._size, self._size), framing)
        else:  # the first pixel's centre is at 0
            scale = self._size / len(onset)
            points = torch.from_numpy(np.float32((landmarks + 0.5) * scale - 0.5))
        moved = au_warp(self._onset, points[None], _LEVEL * torch.from_numpy(COLUMNS)[None])[0]
        self.fields = self._motion(moved).T / _LEVEL

    def motion(self, frames: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """(T, N) motion of the face from its onset, the head's taken out, as ``fields``.

        Args:
            frames: (T, S, S, 3) uint8.
            heads: (T, 4, 2) the head's motion (:func:`mersynth.motion.head.head_motion`).
        """
        moved = rigid_flow(torch.from_numpy(heads), self._size, self.framing)
        return self._motion(warp(self._pictures(frames), moved))

    def _motion(self, pictures: Tensor) -> np.ndarray:
        flow = optical_flow(self._onset.expand_as(pictures), pictures, _FLOW)
        inside = still_head(flow, self.framing)[..., self._mask] / self._size
        return inside.flatten(1).double().numpy()

    def _pictures(self, frames: np.ndarray) -> Tensor:
        """(T, 3, s, s) in [0, 1]."""
        if frames.shape[1] > self._size:
            shape = (self._size, self._size)
            frames = np.stack([cv2.resize(f, shape, interpolation=cv2.INTER_AREA) for f in frames])
        return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float() / 255


def least_squares(squares: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(K,) x in [0, 1] that is least in x' squares x - 2 shared' x.

    Args:
        squares: (K, K), symmetric and positive definite.
        shared: (K,).
    """
    factor = np.linalg.cholesky(squares)
    wanted = np.linalg.solve(factor, shared)
    found: np.ndarray = lsq_linear(factor.T, wanted, (0, 1), method="bvls").x
    return found


def solve(fields: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Intensities whose fields explain a motion, few and even on both sides.

        min_x |motion - fields x|^2 / n + s^2 (2 a sum(x) + b sum((x_left - x_right)^2))

    for x in [0, 1], where s^2 is what least squares leaves unexplained of the first term.

    Args:
        fields: (2 n, K), of :class:`MotionReader`.
        motion: (2 n,), likewise.

    Returns:
        (K,) float64.
    """
    pixels = len(motion) / 2
    squares, shared = fields.T @ fields / pixels, fields.T @ motion / pixels
    # A millionth of their mean keeps this invertible where an AU moves nothing.
    squares += 1e-6 * np.trace(squares) / len(squares) * np.eye(len(squares))
    rest = np.square(motion - fields @ least_squares(squares, shared)).sum() / pixels
    return least_squares(squares + _EVEN * rest * _UNEVEN, shared - _FEW * rest)


def read_intensities(
    frames: np.ndarray,
    fps: float,
    landmarks: np.ndarray | None = None,
    framing: Framing = HEAD,
) -> np.ndarray:
    """The AU intensities by which a face moves away from its first frame.

    What the face shows in that frame is not read, and neither is what flow cannot follow: most of a
    blink is missed.

    Args:
        frames: (T, S, S, 3) uint8, RGB, of an aligned face, the first at rest.
        fps: frames per second.
        landmarks: (68, 2) of the first frame, x, y in pixels; None: where the framing has them.
        framing: where the face lies.

    Returns:
        (T, 20, 2) float32 in [0, 1], columns as ``CONDITION_AUS``, left and right; the first is 0.

    Raises:
        ValueError: if the frames have another shape or type, or as :class:`MotionReader`.
        HeadMotionError: if the head cannot be followed.
    """
    if (
        frames.dtype != np.uint8
        or frames.ndim != 4
        or frames.shape[1:] != (frames.shape[2],) * 2 + (3,)
    ):
        raise ValueError(f"frames must be (T, S, S, 3) uint8, got {frames.shape} {frames.dtype}")
    reader = MotionReader(frames[0], landmarks, framing)
    heads = head_motion(frames, framing)
    motions = np.zeros((len(frames), len(reader.fields)), np.float32)
    for start in range(1, len(frames), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        motions[part] = reader.motion(frames[part], heads[part])
    smooth = gaussian_filter1d(motions, _SMOOTHING * fps, axis=0, mode="nearest")
    found = np.stack([solve(reader.fields, motion) for motion in smooth])
    curve = np.einsum("tk,kns->tns", found - found[:1], COLUMNS)
    return np.clip(curve, 0, 1).astype(np.float32)
