"""AU intensities read from motion: the AU warp (:mod:`mersynth.augment.au_warp`), inverted.

The head is brought back to where it was in the first frame, and the flow from that frame to every
other is written as a sum of the AUs' displacement fields,

    flow_t = sum_k x_tk field_k,  0 <= x_tk <= 1,

one field for each side of an AU that FACS calls lateral, and one for each other AU. A flow method
blurs small movements, and finds none where a face has no texture. So that it does the same to both
sides of the equation, a field is not the true displacement, but the flow that the same method
measures on the same face after the AU warp has moved it.

Some fields resemble each other or another's reverse: those of 5 and 43 correlate by -0.95, 24 and
28 by 0.87, 9, 10 and 11 by 0.74, and 14 moves little. All are kept, since the condition number of
their matrix is about 50, but least squares then finds weak AUs everywhere. A face shows few AUs at
once, so their sum is penalised (non-negative lasso; Tibshirani, "Regression shrinkage and selection
via the lasso", 1996); and its sides mostly move alike, so the squared difference between them is.
Both weigh the more, the more of the flow no AU explains. ``docs/transfer.md`` compares this with
least squares, with a ridge, and with the true displacements as fields.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import lsq_linear
from torch import Tensor

from mersynth.augment.au_warp import au_warp, template_landmarks
from mersynth.face.template import HEAD, TIGHT, Framing
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, SIDES
from mersynth.motion.flow import optical_flow
from mersynth.motion.head import face_mask, head_motion, rigid_flow, still_head
from mersynth.motion.warp import warp

# Pixels of the face, which is cut out and resized: flow finds more where a face is large. 192 are
# no better, not even of a head of 256 pixels.
_SIDE = 160
_LEVEL = 0.5  # intensity at which fields are measured: the flow of a much weaker one is noise
# The penalties, as shares of the variance that is left unexplained: of the sum of all intensities,
# and of the differences of sides. Chosen on phantom people that docs/transfer.md does not measure;
# half and twice of either do nearly as well.
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
        flow: method (``motion.flow.METHODS``). DIS is the most accurate here, and the fastest.

    Attributes:
        side: of the part of a frame that is looked at, in pixels.
        framing: of that part.
        fields: (N, K) float64 motion by each of :data:`COLUMNS` at intensity 1: x, then y of every
            pixel of the face, as shares of its side.

    Raises:
        ValueError: if the landmarks cannot be those of a face in this picture.
    """

    def __init__(
        self,
        onset: np.ndarray,
        landmarks: np.ndarray | None = None,
        framing: Framing = HEAD,
        flow: str = "dis",
    ) -> None:
        self.flow, self.side, self._whole = flow, _SIDE, framing
        self._part, self.framing = _part_with_face(len(onset), framing)
        self._mask = face_mask(_SIDE, self.framing)
        self._onset = _pictures(self._cut(onset[None]))
        if landmarks is None:
            points = template_landmarks((_SIDE, _SIDE), self.framing)
        else:
            points = torch.from_numpy(self.place(landmarks))
        shown = au_warp(self._onset, points[None], _LEVEL * torch.from_numpy(COLUMNS)[None])[0]
        self.fields = self._motion(shown).T / _LEVEL

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) float32 of a frame, in the part that is looked at."""
        corner, side = self._part[:2], self._part[2:] - self._part[:2]
        # The first pixel's centre is at 0.
        placed: np.ndarray = ((points + 0.5 - corner) / side * self.side - 0.5).astype(np.float32)
        return placed

    def follow(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """(T, N) float32 motion of the face from its onset, as ``fields``; the head's is taken out.

        It is slightly smoothed in time.

        Args:
            frames: (T, S, S, 3) uint8, the first the onset.
            fps: frames per second.

        Raises:
            HeadMotionError: if the head cannot be followed.
        """
        heads = torch.from_numpy(head_motion(frames, self._whole))
        frames = self._cut(frames)
        motion = np.zeros((len(frames), len(self.fields)), np.float32)
        for start in range(1, len(frames), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            moved = rigid_flow(heads[part], _SIDE, self.framing)
            motion[part] = self._motion(warp(_pictures(frames[part]), moved))
        smooth: np.ndarray = gaussian_filter1d(motion, _SMOOTHING * fps, axis=0, mode="nearest")
        return smooth

    def _motion(self, pictures: Tensor) -> np.ndarray:
        flow = optical_flow(self._onset.expand_as(pictures), pictures, self.flow)
        inside = still_head(flow, self.framing)[..., self._mask] / _SIDE
        return inside.flatten(1).double().numpy()

    def _cut(self, frames: np.ndarray) -> np.ndarray:
        """(T, s, s, 3) uint8: the part with the face."""
        size, box = (_SIDE, _SIDE), tuple(self._part.tolist())
        bicubic = Image.Resampling.BICUBIC
        return np.stack([np.array(Image.fromarray(f).resize(size, bicubic, box)) for f in frames])


def _part_with_face(size: int, framing: Framing) -> tuple[np.ndarray, Framing]:
    """(4,) left, top, right and bottom of what frames show within TIGHT, and its framing."""
    part = TIGHT.within(framing).flatten() * size
    if part.min() < 0 or part.max() > size:  # framed more tightly already
        return np.array([0, 0, size, size]), framing
    return part, TIGHT


def _pictures(frames: np.ndarray) -> Tensor:
    """(T, 3, s, s) in [0, 1]."""
    return torch.from_numpy(frames).movedim(-1, 1).float() / 255


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

    What the face shows in that frame is not read. Most intensities come out somewhat too small; AU
    14, and strong AUs 5 and 43, much too small (``docs/transfer.md``).

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
    found = np.stack([solve(reader.fields, motion) for motion in reader.follow(frames, fps)])
    curve = np.einsum("tk,kns->tns", found - found[:1], COLUMNS)
    return np.clip(curve, 0, 1).astype(np.float32)
