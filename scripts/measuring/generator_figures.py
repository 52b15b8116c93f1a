"""Figures of clip generators on phantom faces, compared with the renderer itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from mersynth.clips import Clip
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, SIDES
from mersynth.gan.motion_generator import shrink
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject, subject_name
from mersynth.quality.reader import Estimator
from mersynth.quality.rendered import noise
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float, to_uint8
from mersynth.synthesis.generators import ClipGenerator

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
COUNT = len(CONDITION_AUS) * len(LEVELS)
ONE_SIDED = 0.8  # intensity of the side that is asked for
READ_AT = 64  # pixels at which the estimator reads
REGION_SHARE = 0.05
"""A pixel belongs to the moved region if the true flow there is above this share of its maximum."""


@dataclass(frozen=True, slots=True)
class Face:
    """A phantom subject at a size, and its rendered frames.

    Attributes:
        number: of the subject.
        truth: (1 + R, H, W, 3) uint8; at rest, then showing each row of ``asked``.
        clip: the face at rest, as a generator takes it.
        flow: (20, H, W, 2) true flow from rest to each AU at intensity 1, pixels.
    """

    number: int
    truth: np.ndarray
    clip: StoredClip
    flow: np.ndarray


def asked_intensities() -> Tensor:
    """(R, 20, 2): each AU at each of ``LEVELS``; then each lateral AU on its left, and right."""
    rows = []
    for column in range(len(CONDITION_AUS)):
        for level in LEVELS:
            row = torch.zeros(len(CONDITION_AUS), len(SIDES))
            row[column] = level
            rows.append(row)
    for side in range(len(SIDES)):
        for column, au in enumerate(CONDITION_AUS):
            if ACTION_UNITS[au].lateral:
                row = torch.zeros(len(CONDITION_AUS), len(SIDES))
                row[column, side] = ONE_SIDED
                rows.append(row)
    return torch.stack(rows)


def render_face(number: int, size: int, asked: Tensor) -> Face:
    """A subject at rest and showing what is asked for, each frame with its own camera noise."""
    renderer = PhantomRenderer(PhantomSubject.sample(number), size)
    rows = torch.cat([torch.zeros_like(asked[:1]), asked])
    made = renderer.render(rows, noise_generator=noise(number))
    whole = torch.cat([torch.zeros_like(asked[:1]), asked[len(LEVELS) - 1 : COUNT : len(LEVELS)]])
    flow = renderer.render(whole, flow=True).flow
    assert flow is not None
    truth = to_uint8(made.frames)
    clip = Clip(
        source="phantom", subject=subject_name(number), name="rest", onset=0, apex=0, offset=0,
        emotion="other", strength="macro",
    )  # fmt: skip
    rest = StoredClip(
        clip, truth[:1], rows[:1].numpy(), made.landmarks[:1].numpy().astype(np.float32)
    )
    return Face(number, truth, rest, flow[1:].permute(0, 2, 3, 1).numpy())


@torch.inference_mode()
def read(estimator: Estimator, frames: np.ndarray) -> np.ndarray:
    """(R, 20, 2): an estimator's readings of frames (1 + R, H, W, 3), the first at rest."""
    small = shrink(to_float(frames), READ_AT)
    return estimator(small[:1].expand(len(small) - 1, -1, -1, -1), small[1:]).numpy()


def animated(generator: ClipGenerator, face: Face, asked: Tensor) -> tuple[np.ndarray, float]:
    """Frames (1 + R, H, W, 3) uint8 of a face, at rest first, and frames per second."""
    curve = torch.cat([torch.zeros_like(asked[:1]), asked]).numpy()
    start = time.perf_counter()
    made = np.concatenate(
        [
            to_uint8(generator.animate([face.clip], np.concatenate([curve[:1], part])[None])[0])[1:]
            for part in np.array_split(curve[1:], range(15, len(curve) - 1, 15))
        ]
    )
    speed = len(made) / (time.perf_counter() - start)
    return np.concatenate([face.truth[:1], made]), speed


def sharpness(frames: np.ndarray) -> np.ndarray:
    """(R,): energy of the Laplacian of the grey frames (R, H, W, 3)."""
    grey = frames.astype(np.float32).mean(-1)
    return np.array([cv2.Laplacian(one, cv2.CV_32F).var() for one in grey])


def strength(first: np.ndarray, made: np.ndarray, true: np.ndarray) -> float:
    """How far ``made`` moves along the true motion: <f, e> / <f, f> of the flows from ``first``.

    Args:
        first: (H, W, 3) uint8, at rest.
        made: (H, W, 3), generated.
        true: (H, W, 3), rendered.
    """
    own, other = (_flow(first, frame) for frame in (made, true))
    return float((own * other).sum() / (other**2).sum())


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
    window = max(9, first.shape[0] // 8)
    return cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 4, window, 3, 5, 1.1, 0)


def still_ssim(onset: np.ndarray, apex: np.ndarray, flow: np.ndarray) -> float:
    """SSIM of two frames (H, W, 3) uint8 over windows that touch no moved pixel."""
    _, full = structural_similarity(onset, apex, channel_axis=-1, full=True)
    length = np.linalg.norm(flow, axis=-1)
    moved = (length > REGION_SHARE * length.max()).astype(np.uint8)
    still = cv2.dilate(moved, np.ones((7, 7), np.uint8)) == 0  # 7: the window of the SSIM
    return float(full.mean(axis=-1)[still].mean())


def frame_figures(face: Face, made: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of each AU, (20,), of frames that show each at intensity 1.

    Args:
        face: the truth.
        made: (1 + R, H, W, 3) uint8, of ``asked_intensities``.
    """
    last = len(LEVELS) - 1
    rest, at = face.truth[0], range(1 + last, 1 + COUNT, len(LEVELS))
    pairs = [(made[i], face.truth[i]) for i in at]
    middle = [(made[i - 2], face.truth[i - 2]) for i in at]  # half as strong
    return {
        "strength": np.array([strength(rest, own, true) for own, true in middle]),
        "ssim": np.array([structural_similarity(o, t, channel_axis=-1) for o, t in pairs]),
        "still": np.array(
            [still_ssim(rest, o, f) for (o, _), f in zip(pairs, face.flow, strict=True)]
        ),
        "sharpness": sharpness(made[list(at)]) / sharpness(face.truth[list(at)]),
    }


def control_figures(asked: Tensor, readings: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Figures of each AU, (20,), of readings (R, 20, 2) of several faces; NaN without sides."""
    aus, levels = len(CONDITION_AUS), len(LEVELS)
    both = np.stack(readings)  # (faces, R, 20, 2)
    whole = both[:, :COUNT].mean(-1).reshape(len(both), aus, levels, aus)
    own = np.einsum("fklk->kfl", whole)  # (20, faces, levels)
    wanted = np.broadcast_to(LEVELS, own.shape)
    others = np.where(np.eye(aus, dtype=bool), np.nan, whole[:, :, -1])
    found = {
        "correlation": np.array([_correlation(w, o) for w, o in zip(wanted, own, strict=True)]),
        "error": np.abs(own - wanted).mean((1, 2)),
        "gain": (own * wanted).sum((1, 2)) / (wanted**2).sum((1, 2)),
        "cross_talk": np.nanmean(np.abs(others), axis=(0, 2)),
    }
    shares = np.full(aus, np.nan)
    lateral = [i for i, au in enumerate(CONDITION_AUS) if ACTION_UNITS[au].lateral]
    sided = np.maximum(both[:, COUNT:], 0).reshape(len(both), 2, len(lateral), aus, 2)
    for place, column in enumerate(lateral):
        shown = sided[:, :, place, column]  # (faces, asked side, read side)
        shares[column] = np.einsum("fss->", shown) / max(shown.sum(), 1e-9)
    return found | {"one_sided": shares}


def _correlation(asked: np.ndarray, got: np.ndarray) -> float:
    """Pearson's correlation; NaN for constant readings (0 / 0)."""
    return float(np.corrcoef(asked.ravel(), got.ravel())[0, 1]) if got.std() else 0.0
