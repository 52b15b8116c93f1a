"""Whether a synthetic clip still shows the person whose face it wears."""

from __future__ import annotations

from typing import Any

import numpy as np

from mersynth.quality.extractor import Extractor, cosine
from mersynth.quality.sample import NotMeasuredError, Sample


def find_faces(real_onsets: np.ndarray, real_subjects: np.ndarray, sample: Sample) -> np.ndarray:
    """(N,) which real onset frame each clip wears: its subject's that is nearest to its first.

    A store names the subject, not the clip, whose face a synthetic clip wears.

    Args:
        real_onsets: (M, H, W, 3) uint8.
        real_subjects: (M,) ids.
        sample: the clips; frames of the same size.

    Returns:
        Rows of ``real_onsets``; -1 for a subject that has none there.
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
    """Similarity of synthetic onset and apex frames with the face worn, beside two baselines.

    Args:
        real: for the baselines.
        synthetic: the clips to measure.
        onsets: (M, H, W, 3) uint8, the real onset frames.
        faces: (N,) rows of them that the clips wear (:func:`find_faces`).
        extractor: whose features are compared.
        seed: of the baselines' pairs.

    Raises:
        NotMeasuredError: if no clip wears the face of a real subject.
    """
    wears = faces >= 0
    if not wears.any():
        raise NotMeasuredError(
            "no synthetic clip wears the face of a subject of the real store; give the store that "
            "it was generated from (or its --faces) as --real"
        )
    face = extractor.features(onsets[faces[wears]])
    onset = cosine(extractor.features(synthetic.frames[wears, 0]), face)
    apex = cosine(extractor.features(synthetic.apex_frames[wears]), face)
    same, other = baselines(real, extractor, seed)
    per_clip = np.full(len(synthetic), np.nan)
    per_clip[wears] = apex
    return {
        "clips": int(wears.sum()),
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
    """Real apex frames with their own clip's onset."""
    first, apex = extractor.features(real.frames[:, 0]), extractor.features(real.apex_frames)
    return float(cosine(first, apex).mean())


def baselines(
    real: Sample, extractor: Extractor, seed: int, pairs: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of pairs of apex frames: of one subject's different clips, of different subjects."""
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
    """How often a pair of one subject is more alike than a pair of different subjects."""
    if not len(same) or not len(other):
        return None
    from sklearn.metrics import roc_auc_score

    truth = np.concatenate([np.ones(len(same)), np.zeros(len(other))])
    return float(roc_auc_score(truth, np.concatenate([same, other])))
