"""Whether clips move like real ones: magnitude, direction, smoothness, and return to rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn import functional as F

from mersynth import logs
from mersynth.face.template import HEAD, Framing
from mersynth.motion.flow import magnitude, optical_flow
from mersynth.motion.head import face_mask, still_head
from mersynth.quality.sample import Sample


@dataclass(frozen=True, eq=False, slots=True)
class Motion:
    """The motion of N clips; lengths in percent of the face image's side.

    Attributes:
        energy: (N, K) mean length of the flow from the onset to each moment.
        magnitude: (N,) 95th percentile of its length at the apex.
        directions: (N, G * G * B) share of the apex flow's length in each of B directions in each
            cell of a G x G grid.
        small: (N, 2 * S * S) the apex flow at S x S.
        at_first: (N,) mean length of the flow from the source face to the first frame; NaN if the
            face is not known.
    """

    energy: np.ndarray
    magnitude: np.ndarray
    directions: np.ndarray
    small: np.ndarray
    at_first: np.ndarray


def find_motion(
    sample: Sample,
    settings: Mapping[str, Any],
    device: torch.device,
    faces: np.ndarray | None = None,
    framing: Framing = HEAD,
) -> Motion:
    """Flow from the onset to every moment within the face, minus the head's own motion.

    Args:
        sample: the clips.
        settings: ``motion`` of ``configs/quality.yaml``.
        device: where flow is computed.
        faces: (N, H, W, 3) uint8 the real frames that the clips animate; rows of zeros for none.
        framing: of the frames.
    """
    energies, lengths, directions, small, at_first = [], [], [], [], []
    side = sample.frames.shape[2] / 100
    options = dict(settings["flow"])
    mask = face_mask(sample.frames.shape[2], framing, device)
    with logs.progress("optical flow", len(sample), "clips") as step:
        for row in range(len(sample)):
            frames = torch.from_numpy(sample.frames[row]).to(device).movedim(-1, 1).float() / 255
            flow = optical_flow(frames[:1].expand_as(frames[1:]), frames[1:], **options)
            flow = still_head(flow, framing) / side
            length = magnitude(flow)[:, 0, mask]
            energies.append([0.0, *length.mean(1).tolist()])
            apex = flow[int(sample.apex[row]) - 1]
            lengths.append(float(apex.norm(dim=0)[mask].quantile(0.95)))
            directions.append(direction_histogram(apex, settings["grid"], settings["directions"]))
            reduced = F.adaptive_avg_pool2d(apex, settings["small_size"])
            small.append(reduced.flatten().cpu().numpy())
            at_first.append(np.nan)
            if faces is not None and faces[row].any():
                face = torch.from_numpy(faces[row]).to(device).movedim(-1, 0)[None].float() / 255
                first = still_head(optical_flow(face, frames[:1], **options), framing) / side
                at_first[-1] = float(magnitude(first)[:, 0, mask].mean())
            step(1)
    return Motion(
        energy=np.array(energies),
        magnitude=np.array(lengths),
        directions=np.stack(directions),
        small=np.stack(small),
        at_first=np.array(at_first),
    )


def direction_histogram(flow: Tensor, grid: int, bins: int) -> np.ndarray:
    """(grid * grid * bins,) shares of a flow (2, H, W) by cell and direction; zeros if no motion.

    The first direction is centred on the right, the next ones follow clockwise.
    """
    length = flow.norm(dim=0)
    turn = torch.atan2(flow[1], flow[0]) / (2 * torch.pi) * bins
    place = turn.round().long() % bins
    votes = F.one_hot(place, bins).movedim(-1, 0) * length
    cells = F.adaptive_avg_pool2d(votes[None], grid)[0].movedim(0, -1).flatten()
    total = float(cells.sum())
    return (cells / total if total > 0 else cells).cpu().numpy()


def roughness(energy: np.ndarray) -> np.ndarray:
    """(N,) mean absolute second difference of each row over its highest value; 0 is a ramp."""
    second = np.abs(np.diff(energy, 2, axis=1)).mean(1)
    return second / np.maximum(energy.max(1), 1e-9)


def offset_return(energy: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """(N,) energy of the last moment over that of the apex: 0 is a full return."""
    return energy[:, -1] / np.maximum(energy[np.arange(len(energy)), apex], 1e-9)


def compare_class(
    real: Motion, synthetic: Motion, ours: np.ndarray, theirs: np.ndarray
) -> dict[str, float | None]:
    """Distance of magnitudes and similarity of directions between two sets of clips.

    Args:
        real: motion of the real clips.
        synthetic: of the synthetic ones.
        ours: (M,) which real clips.
        theirs: (N,) which synthetic ones.
    """
    if not ours.any() or not theirs.any():
        return {"wasserstein": None, "direction": None}
    a, b = real.directions[ours].mean(0), synthetic.directions[theirs].mean(0)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    distance = wasserstein_distance(real.magnitude[ours], synthetic.magnitude[theirs])
    return {
        "wasserstein": float(distance),
        "direction": float(a @ b) / norms if norms > 0 else None,
    }


def measure_motion(
    real: Sample, synthetic: Sample, ours: Motion, theirs: Motion, seed: int
) -> dict[str, Any]:
    """Motion by class, compared with real-to-real, and its course in time.

    Args:
        real: the real clips.
        synthetic: the clips to measure.
        ours: motion of the real ones.
        theirs: motion of the synthetic ones.
        seed: of the halves of real subjects that are compared with each other.
    """
    people = np.unique(real.subjects)
    half = np.random.default_rng([seed, 14]).permutation(people)[: len(people) // 2]
    first = np.isin(real.subjects, half)
    classes = []
    names = np.array(real.classes), np.array(synthetic.classes)
    for name in dict.fromkeys([*real.classes, *synthetic.classes]):
        mine, made = names[0] == name, names[1] == name
        classes.append(
            {
                "class": name,
                "real_clips": int(mine.sum()),
                "synthetic_clips": int(made.sum()),
                "real_magnitude": float(np.median(ours.magnitude[mine])) if mine.any() else None,
                "synthetic_magnitude": (
                    float(np.median(theirs.magnitude[made])) if made.any() else None
                ),
                **compare_class(ours, theirs, mine, made),
                "real_to_real": compare_class(ours, ours, mine & first, mine & ~first),
            }
        )
    rough, back = roughness(theirs.energy), offset_return(theirs.energy, synthetic.apex)
    peak = theirs.energy[np.arange(len(synthetic)), synthetic.apex]
    leave = theirs.at_first / np.maximum(peak, 1e-9)
    return {
        "unit": "percent of the image's side",
        "classes": sorted(classes, key=lambda row: str(row["class"])),
        "magnitude_ratio": float(
            np.median(theirs.magnitude) / max(float(np.median(ours.magnitude)), 1e-9)
        ),
        "roughness": {
            "real": float(roughness(ours.energy).mean()),
            "synthetic": float(rough.mean()),
        },
        "offset_return": {
            "real": float(np.median(offset_return(ours.energy, real.apex))),
            "synthetic": float(np.median(back)),
        },
        "onset_return": {
            "real": 0.0,  # a real clip's first frame is its onset
            "synthetic": float(np.nanmedian(leave)) if np.isfinite(leave).any() else None,
        },
        "course": {
            "real": ours.energy.mean(0).tolist(),
            "synthetic": theirs.energy.mean(0).tolist(),
        },
        "per_clip": {"roughness": rough, "offset_return": back, "magnitude": theirs.magnitude},
        "drawn": {"real": ours.magnitude, "synthetic": theirs.magnitude},
    }
