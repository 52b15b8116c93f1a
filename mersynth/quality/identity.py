"""Whether a synthetic clip still shows the person whose face it started from."""

from __future__ import annotations

from typing import Any

import numpy as np

from mersynth.quality.extractor import Extractor, cosine
from mersynth.quality.sample import NotMeasuredError, Sample


def find_faces(real_onsets: np.ndarray, real_subjects: np.ndarray, sample: Sample) -> np.ndarray:
    """(N,) the source face of each clip: its subject's real onset frame nearest to its first frame.

    A store names the subject, not the clip, whose face a synthetic clip shows.

    Args:
        real_onsets: (M, H, W, 3) uint8.
        real_subjects: (M,) ids.
        sample: the clips; frames of the same size.

    Returns:
        Rows of ``real_onsets``; -1 for a subject without any.
    """
    found = np.full(len(sample), -1)
    by_subject = {s: np.flatnonzero(real_subjects == s) for s in set(real_subjects.tolist())}
    for row, subject in enumerate(sample.subjects):
        own = by_subject.get(subject)
        if own is not None:
            first = sample.frames[row, 0].astype(np.float32)
            gaps = [float(((real_onsets[i] - first) ** 2).mean()) for i in own]
            found[row] = own[int(np.argmin(gaps))]
    return found


def measure_identity(
    real: Sample,
    synthetic: Sample,
    onsets: np.ndarray,
    faces: np.ndarray,
    extractor: Extractor,
    seed: int,
) -> dict[str, Any]:
    """Similarity of synthetic onset and apex frames to their source face, and two baselines.

    Args:
        real: for the baselines.
        synthetic: the clips to measure.
        onsets: (M, H, W, 3) uint8, the real onset frames.
        faces: (N,) rows of the clips' source faces (:func:`find_faces`).
        extractor: extracts the features that are compared.
        seed: of the baselines' pairs.

    Raises:
        NotMeasuredError: if no clip shows the face of a real subject.
    """
    shown = faces >= 0
    if not shown.any():
        raise NotMeasuredError(
            "no synthetic clip shows the face of a subject of the real store; give the store that "
            "it was generated from (or its --faces) as --real"
        )
    face = extractor.features(onsets[faces[shown]])
    onset = cosine(extractor.features(synthetic.frames[shown, 0]), face)
    apex = cosine(extractor.features(synthetic.apex_frames[shown]), face)
    same, other = baselines(real, extractor, seed)
    per_clip = np.full(len(synthetic), np.nan)
    per_clip[shown] = apex
    return {
        "clips": int(shown.sum()),
        "onset": float(onset.mean()),
        "apex": float(apex.mean()),
        "apex_lowest": float(apex.min()),
        "own_apex": _own(real, extractor),
        "same_subject": float(same.mean()) if len(same) else None,
        "different_subjects": float(other.mean()) if len(other) else None,
        "verification_auc": _auc(same, other),
        "per_clip": {"apex": per_clip},
        "drawn": {"apex": apex, "same_subject": same, "different_subjects": other},
    }


def _own(real: Sample, extractor: Extractor) -> float:
    """Cosine of real apex frames with their own clip's onset."""
    first, apex = extractor.features(real.frames[:, 0]), extractor.features(real.apex_frames)
    return float(cosine(first, apex).mean())


def baselines(
    real: Sample, extractor: Extractor, seed: int, pairs: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of pairs of apex frames: different clips of one subject, and different subjects."""
    features = extractor.features(real.apex_frames)
    subjects = real.subjects
    first, second = np.triu_indices(len(real), 1)
    same = subjects[first] == subjects[second]
    rng = np.random.default_rng([seed, 13])
    found = []
    for chosen in (np.flatnonzero(same), np.flatnonzero(~same)):
        taken = np.sort(rng.permutation(chosen)[:pairs])
        found.append(cosine(features[first[taken]], features[second[taken]]))
    return found[0], found[1]


def _auc(same: np.ndarray, other: np.ndarray) -> float | None:
    """How often a pair of one subject is more similar than a pair of different subjects."""
    if not len(same) or not len(other):
        return None
    from sklearn.metrics import roc_auc_score

    truth = np.concatenate([np.ones(len(same)), np.zeros(len(other))])
    return float(roc_auc_score(truth, np.concatenate([same, other])))
