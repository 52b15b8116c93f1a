"""The head's motion within a clip, which remains when a clip is aligned by one frame.

A head is a rigid body. At the distance from which faces are recorded, its point (x, y, z) moves in
the image by

    d(x, y, z) = m_0 + m_1 x + m_2 y + m_3 z

(Tomasi and Kanade, "Shape and motion from image streams under orthography", 1992): m_0 is
the shift, m_1 and m_2 hold roll, zoom and shear, and m_3 yaw and pitch, which move the nose farther
than the jaw. z is the depth of the average head.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.face.template import FACE_BOX, HEAD, Framing
from mersynth.motion.flow import magnitude, optical_flow
from mersynth.motion.warp import warp
from mersynth.phantom.head.average import average_head
from mersynth.phantom.optics.camera import SPAN, blur, fill_holes

_SIDE = 64  # pixels; larger frames are reduced, which is precise enough for head motion
_PASSES = 2  # the second measures what the first left
# Beyond these limits the fit has failed: no head moves like that within a clip.
_LEAST_CORRELATION = 0.8  # phantom clips: 0.97 to 1
_LONGEST = 0.15  # of the side, somewhere on the face; phantom clips: 0.03
_MAP = 128  # cells a side of the average head's map
_FADE = 1.5  # cm outside the head's outline over which its motion fades out


class HeadMotionError(Exception):
    """A head could not be followed through its clip."""


def head_motion(frames: np.ndarray, framing: Framing = HEAD) -> np.ndarray:
    """Follow a head through a clip.

    An expression moves a small part of a face; most of it follows the head (:func:`fit_head`). On
    phantom clips of 64 pixels, whose heads turn by 0.7 degrees (one standard deviation), yaw and
    pitch have a correlation of 0.98 with the truth.

    Args:
        frames: (T, S, S, 3) uint8, RGB.
        framing: where the face lies in them.

    Returns:
        (T, 4, 2) float32: m_0 to m_3 of each frame, from the first, to the right and down, as
        shares of the side of a picture framed as :data:`HEAD`. The first are 0.

    Raises:
        HeadMotionError: if a frame does not resemble the first (a correlation below 0.8 on the
            face), shows nothing to follow, or has moved too far for a head (15 % of the side).
    """
    small = frames
    if frames.shape[1] > _SIDE:
        shape = (_SIDE, _SIDE)
        small = np.stack([cv2.resize(f, shape, interpolation=cv2.INTER_AREA) for f in frames])
    pictures = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
    size = pictures.shape[-1]
    mask = face_mask(size, framing)
    pictures = _in_one_light(pictures, mask)
    first = pictures[:1].expand_as(pictures)
    found = torch.zeros(len(pictures), 4, 2)
    back = pictures
    for _ in range(_PASSES):
        flow = optical_flow(first, back, method="dis")
        found = found + fit_head(flow, framing).to(found)
        found[0] = 0
        back = warp(pictures, rigid_flow(found, size, framing))
    _check(first, back, rigid_flow(found, size, framing), mask)
    return found.numpy()


def _in_one_light(pictures: Tensor, mask: Tensor) -> Tensor:
    """Pictures (T, 3, S, S) with the brightness and contrast that the first one's face has."""
    faces = pictures[..., mask]
    mean, spread = faces.mean((1, 2)), faces.std((1, 2)).clamp(min=1e-6)
    gain, mean, first = (v[:, None, None, None] for v in (spread[0] / spread, mean, mean[:1]))
    return ((pictures - mean) * gain + first).clamp(0, 1)


def _check(first: Tensor, back: Tensor, moved: Tensor, mask: Tensor) -> None:
    grey = torch.stack([first.mean(1)[:, mask], back.mean(1)[:, mask]])
    grey = grey - grey.mean(-1, keepdim=True)
    correlations = (grey[0] * grey[1]).sum(-1) / grey.norm(dim=-1).prod(0)
    lengths = magnitude(moved)[:, 0, mask].amax(-1) / len(mask)
    for number, (correlation, length) in enumerate(zip(correlations, lengths, strict=True)):
        if not correlation >= _LEAST_CORRELATION:  # NaN where a frame is of one colour
            raise HeadMotionError(
                f"frame {number} does not resemble the first: they correlate by "
                f"{correlation:.2f}, frames of one head by {_LEAST_CORRELATION} or more"
            )
        if not length <= _LONGEST:
            raise HeadMotionError(
                f"frame {number} seems to lie {length:.0%} of the side from the first; a head "
                f"moves by {_LONGEST:.0%} at most"
            )


def fit_head(flow: Tensor, framing: Framing = HEAD, rounds: int = 5) -> Tensor:
    """The rigid motion that most of the face follows.

    By least squares, reweighted so that regions moved by an expression count little (Geman and
    McClure's weights, at the median of the residuals).

    Args:
        flow: (B, 2, S, S) from a face at rest, pixels.
        framing: where the face lies.
        rounds: number of reweightings.

    Returns:
        (B, 4, 2) float64, as :func:`head_motion` gives it.
    """
    size = flow.shape[-1]
    mask = face_mask(size, framing, flow.device)
    points = surface(size, framing).to(flow.device)[mask]  # (P, 4)
    scale = torch.as_tensor(framing.scale, device=flow.device) * size
    inside = flow[:, :, mask].double() / scale[:, None]  # (B, 2, P)
    weights = torch.ones_like(inside[:, :1])
    ridge = 1e-9 * torch.eye(4, device=flow.device, dtype=torch.float64)
    motion = torch.zeros(len(flow), 4, 2, dtype=torch.float64, device=flow.device)
    for _ in range(rounds):
        weighted = points.mT * weights  # (B, 4, P)
        motion = torch.linalg.solve(weighted @ points + ridge, weighted @ inside.mT)
        length = torch.hypot(*(inside - motion.mT @ points.mT).split(1, 1))  # (B, 1, P)
        middle = length.median(dim=-1, keepdim=True).values.clamp(min=1e-9)
        weights = (1 + (length / middle) ** 2) ** -2
    return motion


def rigid_flow(motion: Tensor, size: int, framing: Framing = HEAD) -> Tensor:
    """(T, 2, S, S) where motions (T, 4, 2) move the places of a face at rest, pixels."""
    points = surface(size, framing).to(motion)
    scale = torch.as_tensor(framing.scale * size).to(motion)
    return torch.einsum("hwk,tkc->tchw", points, motion * scale)


def still_head(flow: Tensor, framing: Framing = HEAD) -> Tensor:
    """Remove the head's own motion (:func:`fit_head`).

    Args:
        flow: (B, 2, S, S), pixels.
        framing: of the frames.

    Returns:
        (B, 2, S, S), 0 outside the face.
    """
    size = flow.shape[-1]
    rest = flow - rigid_flow(fit_head(flow, framing), size, framing).to(flow)
    return rest * face_mask(size, framing, flow.device)


def move_head(frames: Tensor, motion: Tensor, framing: Framing = HEAD) -> Tensor:
    """Move the heads in frames; around a head the motion fades out, and edges are repeated.

    Args:
        frames: (T, C, S, S).
        motion: (T, 4, 2), as :func:`head_motion` gives it.
        framing: where the faces lie.

    Returns:
        (T, C, S, S).
    """
    size = frames.shape[-1]
    coarse = min(size, _SIDE)  # a head moves smoothly
    flow = rigid_flow(motion.to(frames), coarse, framing)
    flow = flow * _head_map(coarse, framing)[1].to(frames)
    origin = -flow
    for _ in range(2):  # p = q - d(p), where d bends so little that two steps do
        origin = -warp(flow, origin)
    origin = F.interpolate(origin, (size, size), mode="bilinear", align_corners=False)
    return warp(frames, origin * (size / coarse), "bicubic").clamp(0, 1)


def face_mask(size: int, framing: Framing = HEAD, device: torch.device | str = "cpu") -> Tensor:
    """(S, S) the ellipse that an aligned face fills (:data:`mersynth.face.template.FACE_BOX`)."""
    left, top, right, bottom = framing.place(np.reshape(FACE_BOX, (2, 2))).flatten().tolist()
    at = (torch.arange(size, device=device) + 0.5) / size
    x = (at - (left + right) / 2) / ((right - left) / 2)
    y = (at - (top + bottom) / 2) / ((bottom - top) / 2)
    return x[None] ** 2 + y[:, None] ** 2 < 1


@functools.lru_cache(8)
def surface(size: int, framing: Framing = HEAD) -> Tensor:
    """(S, S, 4) float64: 1, x, y, z of the average head at each pixel of a picture.

    x and y are measured from the middle of a picture framed as :data:`HEAD`, z towards the camera,
    all as shares of that picture's side.
    """
    points = _head_shares(size, framing)
    z = _head_map(size, framing)[0]
    return torch.cat([torch.ones_like(points[..., :1]), points - 0.5, z[..., None]], -1)


def _head_shares(size: int, framing: Framing) -> Tensor:
    """(S, S, 2) where the pixels of a picture lie in one framed as HEAD, shares of its side."""
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    own = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)
    return (own - torch.from_numpy(framing.place(np.zeros(2)))) / torch.from_numpy(framing.scale)


@functools.lru_cache(8)
def _head_map(size: int, framing: Framing) -> tuple[Tensor, Tensor]:
    """(S, S) depth of the average head, and 1 on the head, falling to 0 around it."""
    grid = 2 * _head_shares(size, framing)[None] - 1
    maps = _average_maps()[None]
    depth, inside = F.grid_sample(maps, grid, "bilinear", "border", align_corners=False)[0]
    return depth, inside


@functools.cache
def _average_maps() -> Tensor:
    """(2, R, R) float64: depth in shares of the side, continued around the head, and its fade."""
    head = average_head(_MAP)
    depth = fill_holes(head.seen.interpolate(head.shape[:, 2:]), head.seen.covered) / SPAN
    inside = blur(head.seen.covered.float()[None], _FADE * head.camera.pixels_per_cm)
    return torch.cat([depth, (2 * inside).clamp(max=1)]).double()
