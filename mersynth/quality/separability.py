"""Whether a light classifier trained on one store works on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mersynth.quality.sample import NotMeasuredError, Sample


def scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """UAR, UF1 and accuracy over the classes that the tested clips have."""
    from sklearn.metrics import f1_score, recall_score

    present = np.unique(true)
    options: dict[str, Any] = {"labels": present, "average": "macro", "zero_division": 0}
    return {
        "uar": float(recall_score(true, predicted, **options)),
        "uf1": float(f1_score(true, predicted, **options)),
        "accuracy": float((true == predicted).mean()),
        "clips": len(true),
    }


def folds_of(subjects: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Ids of the subjects, assigned to folds at random."""
    people = np.random.default_rng([seed, 17]).permutation(np.unique(subjects))
    return [people[i::folds] for i in range(min(folds, len(people)))]


def curve_subjects(sample: Sample) -> np.ndarray:
    """(N,) the subject whose motion each clip shows: its template's, else its own."""
    return np.array(
        [c.template.rpartition("/")[0] if c.template else c.subject_id for c in sample.clips]
    )


def measure_separability(
    real: Sample,
    synthetic: Sample,
    ours: np.ndarray,
    theirs: np.ndarray,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Train on one store, test on the other, by folds of real subjects.

    Clips of a tested subject, and synthetic clips with such a face or curve, are never trained on.
    Synthetic clips are tested in the fold of their curve's subject.

    Args:
        real: the real clips.
        synthetic: the clips to measure.
        ours: (M, D) small apex flows of the real ones.
        theirs: (N, D) of the synthetic ones.
        settings: ``separability`` of ``configs/quality.yaml``.
        seed: of the folds.

    Raises:
        NotMeasuredError: if the stores share fewer than two classes, or there is one subject.
    """
    common = sorted(set(real.classes) & set(synthetic.classes))
    if len(common) < 2:
        raise NotMeasuredError(
            f"the stores share {len(common)} classes (real: {', '.join(sorted(set(real.classes)))};"
            f" synthetic: {', '.join(sorted(set(synthetic.classes)))}); two are needed"
        )
    keep = np.isin(real.classes, common), np.isin(synthetic.classes, common)
    real, ours = real.choose(keep[0]), ours[keep[0]]
    synthetic, theirs = synthetic.choose(keep[1]), theirs[keep[1]]
    people, face_subjects, curves = real.subjects, synthetic.subjects, curve_subjects(synthetic)
    folds = folds_of(people, settings["folds"], seed)
    if len(folds) < 2:
        raise NotMeasuredError("the real store shows one subject; folds need two")
    names = np.array(real.classes), np.array(synthetic.classes)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
        "synthetic_to_real": [],
        "real_to_synthetic": [],
        "real_to_real": [],
    }
    for tested in folds:
        held = np.isin(people, tested)
        clean = ~np.isin(face_subjects, tested) & ~np.isin(curves, tested)
        shown = np.isin(curves, tested)
        for name, x, y, test_x, test_y in (
            ("synthetic_to_real", theirs[clean], names[1][clean], ours[held], names[0][held]),
            ("real_to_synthetic", ours[~held], names[0][~held], theirs[shown], names[1][shown]),
            ("real_to_real", ours[~held], names[0][~held], ours[held], names[0][held]),
        ):
            if len(test_y) and len(set(y)) > 1:
                found[name].append((test_y, classify(x, y, test_x, settings["c"])))
    return {
        "classes": common,
        "chance_uar": 1 / len(common),
        "folds": len(folds),
        **{
            name: (
                scores(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
                if pairs
                else None
            )
            for name, pairs in found.items()
        },
    }


def classify(x: np.ndarray, y: np.ndarray, test: np.ndarray, c: float) -> np.ndarray:
    """Classes of ``test`` by a balanced logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    )
    return model.fit(x, y).predict(test)
