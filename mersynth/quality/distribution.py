"""Similarity of two sets of apex frames as distributions: KID, FID, and neighbourhoods."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mersynth.quality.neighbours import copying, prdc
from mersynth.quality.sample import NotMeasuredError


class _Given(nn.Module):
    """Passes precomputed features through torchmetrics unchanged."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def kid(
    real: np.ndarray, other: np.ndarray, subset: int, subsets: int, seed: int
) -> tuple[float, float]:
    """Kernel inception distance (Binkowski et al. 2018): mean and deviation over subsets.

    Args:
        real: (M, D) features.
        other: (N, D) features.
        subset: rows per subset, limited to the smaller set's size.
        subsets: number of random subsets.
        seed: of the subsets.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(subset, len(real), len(other))
    with warnings.catch_warnings():  # it warns that it keeps all features, as intended
        warnings.simplefilter("ignore", UserWarning)
        metric = KernelInceptionDistance(
            feature=_Given(real.shape[1]), subsets=subsets, subset_size=size
        )
    metric.update(torch.from_numpy(real).double(), real=True)
    metric.update(torch.from_numpy(other).double(), real=False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mean, deviation = metric.compute()
    return float(mean), float(deviation)


def fid(real: np.ndarray, other: np.ndarray) -> float:
    """Frechet inception distance (Heusel et al. 2017) of (M, D) and (N, D) features.

    It is biased upwards for small sets; compare only at equal sizes.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(real).double(), real=True)
    metric.update(torch.from_numpy(other).double(), real=False)
    return float(metric.compute())


def measure_distribution(
    real: np.ndarray,
    real_onsets: np.ndarray,
    synthetic: np.ndarray,
    subjects: np.ndarray,
    face_rows: np.ndarray,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """All figures on features of apex frames.

    Args:
        real: (M, D) of the real apex frames.
        real_onsets: (M, D) of their clips' onsets, which a generator may also have copied.
        synthetic: (N, D) of the synthetic apex frames.
        subjects: (M,) subjects of the real ones.
        face_rows: (N,) rows of the real clips whose faces the synthetic ones show; -1 for none.
        settings: ``distribution`` of ``configs/quality.yaml``.
        seed: of subsets and halves.

    Raises:
        NotMeasuredError: if there are too few clips for two halves of real ones.
    """
    least = min(len(real) // 2, len(synthetic))
    if least < settings["min_clips"]:
        raise NotMeasuredError(
            f"{len(real)} real and {len(synthetic)} synthetic clips are too few: half of the real "
            f"ones and the synthetic ones must each be {settings['min_clips']} or more"
        )
    options = settings["subset"], settings["subsets"], seed
    mean, deviation = kid(real, synthetic, *options)
    halves = _halves(real, subjects, settings["splits"], seed)
    by_subject = [kid(a, b, *options)[0] for a, b in halves["subjects"]]
    by_clip = [kid(a, b, *options)[0] for a, b in halves["clips"]]
    # FID's bias depends on the number of rows: the same number everywhere.
    rng = np.random.default_rng([seed, 16])
    count = min([len(synthetic), *(min(len(a), len(b)) for a, b in halves["clips"])])
    drawn = [rng.permutation(rows)[:count] for rows in (len(real), len(synthetic))]
    fids = [fid(a[:count], b[:count]) for a, b in halves["clips"]]
    nearest = copying(synthetic, real, real_onsets, subjects, face_rows, settings["copy_quantile"])
    return {
        "kid": {
            "synthetic": mean,
            "deviation": deviation,
            "real_to_real_by_subject": float(np.mean(by_subject)) if by_subject else None,
            "real_to_real_by_clip": float(np.mean(by_clip)),
            "by_subject_splits": by_subject,
            "by_clip_splits": by_clip,
        },
        "fid": {
            "synthetic": fid(real[drawn[0]], synthetic[drawn[1]]),
            "real_to_real_by_clip": float(np.mean(fids)),
            "rows": int(count),
        },
        "prdc": prdc(real, synthetic, settings["neighbours"]),
        "prdc_real_to_real": prdc(*halves["clips"][0], settings["neighbours"]),
        "nearest": {k: v for k, v in nearest.items() if k not in ("per_clip", "drawn")},
        "per_clip": {"nearest": nearest["per_clip"]},
        "drawn": nearest["drawn"],
    }


def _halves(
    real: np.ndarray, subjects: np.ndarray, splits: int, seed: int
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Random halves of the real rows, with different people in each, or different clips."""
    people = np.unique(subjects)
    rng = np.random.default_rng([seed, 15])
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"subjects": [], "clips": []}
    for _ in range(splits):
        order = rng.permutation(len(real))
        middle = len(real) // 2
        found["clips"].append((real[order[:middle]], real[order[middle:]]))
        if len(people) > 1:
            half = rng.permutation(people)[: len(people) // 2]
            first = np.isin(subjects, half)
            if min(first.sum(), (~first).sum()) > 1:
                found["subjects"].append((real[first], real[~first]))
    return found
