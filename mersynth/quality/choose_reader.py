"""Choice of the AU reader: trained on rendered frames, py-feat, or trained on the real store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mersynth.face.intensity import IntensityMeter, choose_backend, difference_to_onset
from mersynth.face.template import HEAD, Framing, face_box
from mersynth.facs.action_units import CONDITION_AUS, on_both_sides
from mersynth.phantom.subject import subject_name
from mersynth.phantom.version import VERSION, version_of, warn_versions
from mersynth.quality.reader import BATCH, Pairs, Reader, fit, reading
from mersynth.quality.rendered import FIRST_SUBJECT, rendered_pairs
from mersynth.quality.sample import NotMeasuredError, Sample
from mersynth.store.clip_store import ClipStore

logger = logging.getLogger(__name__)

_HELD_OUT_SUBJECTS = 8
_HEADROOM = 1.25  # a reader learns intensities up to this times the stores' strongest


def choose_reader(
    real: ClipStore,
    sample: Sample,
    taken: frozenset[str],
    strongest: float,
    settings: Mapping[str, Any],
    device: torch.device,
    seed: int,
) -> Reader:
    """The reader in the settings, or for ``auto`` the first possible one.

    For a phantom store, a reader is trained on frames rendered of other subjects, with known truth;
    else py-feat is used, if its weights are available; else a reader is trained on the real store's
    own intensities.

    Args:
        real: the real store.
        sample: clips of it.
        taken: ids of the subjects of both stores.
        strongest: largest intensity in both stores; a reader need not read far beyond it.
        settings: ``reader`` of ``configs/quality.yaml``.
        device: where to compute.
        seed: of the training.

    Raises:
        NotMeasuredError: if no reader is possible.
    """
    kind = settings["kind"]
    framing = real.framing or HEAD
    phantom = all(clip.source == "phantom" for clip in real.clips)
    if kind == "rendered" or (kind == "auto" and phantom):
        warn_versions(
            {str(real.path): version_of(real), "the frames that the reader learns from": VERSION},
            "Render the store again: `mersynth prepare --source phantom`",
        )
        form = sample.frames.shape[2], framing
        return _rendered(*form, taken, strongest, settings, device, seed)
    backend = choose_backend("auto") if kind in ("auto", "feat") else None
    if backend is not None:
        meter = IntensityMeter(backend, device=device)
        return Reader(
            f"py-feat, {backend} backend",
            "its published weights; probabilities above those of the onset frame",
            lambda frames: _by_feat(meter, frames, framing),
            sides=False,
        )
    if kind == "feat":
        raise NotMeasuredError("py-feat's weights are missing; `mersynth doctor` says how to get")
    return _trained(sample, settings, device, seed)


def _by_feat(meter: IntensityMeter, frames: np.ndarray, framing: Framing) -> np.ndarray:
    box = face_box(frames.shape[2], framing)
    read = [difference_to_onset(meter.measure(clip, box).intensities) for clip in frames]
    return on_both_sides(np.stack(read))


def _rendered(
    size: int,
    framing: Framing,
    taken: frozenset[str],
    strongest: float,
    settings: Mapping[str, Any],
    device: torch.device,
    seed: int,
) -> Reader:
    wanted = settings["subjects"] + _HELD_OUT_SUBJECTS
    numbers: list[int] = []
    number = FIRST_SUBJECT
    while len(numbers) < wanted:
        if f"phantom/{subject_name(number)}" not in taken:
            numbers.append(number)
        number += 1
    # Micro-expressions are weak: a reader for the full scale would hardly see them.
    limit = float(np.clip(_HEADROOM * strongest, 0.1, 1))
    own, others = numbers[_HELD_OUT_SUBJECTS:], numbers[:_HELD_OUT_SUBJECTS]
    how: dict[str, Any] = {"strongest": limit, "drift": True, "framing": framing}
    pairs = rendered_pairs(size, own, settings["each"], seed, **how)
    scaled = Pairs(pairs.onset, pairs.frame, pairs.truth / limit)
    estimator = fit(scaled, settings["epochs"], seed, device)
    read = reading(estimator, device, limit)
    test = rendered_pairs(size, others, settings["each"], seed + 1, **how)
    frames = (torch.stack([test.onset, test.frame], 1) * 255).round().byte().movedim(2, -1)
    found = read(frames.numpy())[:, 1]
    truth = test.truth.numpy()
    left, right = np.abs(truth - found).mean((0, 1)).tolist()
    return Reader(
        "estimator trained on rendered frames",
        f"{len(pairs.frame)} frames of {settings['subjects']} other phantom subjects, whose AUs "
        f"are known, at intensities up to {limit:.2f}; tested on frames of {len(others)} more",
        read,
        held_out=correlations(truth, found),
        side_errors=(left, right),
    )


def _trained(
    sample: Sample, settings: Mapping[str, Any], device: torch.device, seed: int
) -> Reader:
    if np.isnan(sample.moved).all():
        raise NotMeasuredError(
            "the real store holds no AU intensities for a reader to learn, and py-feat's weights "
            "are missing (`mersynth doctor` says how to get them)"
        )
    people = sorted(set(sample.subjects))
    if len(people) < 2:
        raise NotMeasuredError(
            "the real store shows one subject: a reader cannot be trained on some people and "
            "tested on others"
        )
    rng = np.random.default_rng([seed, 11])
    held = set(rng.permutation(people)[: max(1, round(settings["held_out"] * len(people)))])
    inside = sample.choose(np.array([subject not in held for subject in sample.subjects]))
    frames = torch.from_numpy(inside.frames).movedim(-1, 2).float() / 255
    count = frames.shape[1] - 1
    pairs = Pairs(
        frames[:, :1].expand(-1, count, -1, -1, -1).flatten(0, 1),
        frames[:, 1:].flatten(0, 1),
        torch.from_numpy(inside.moved[:, 1:]).flatten(0, 1),
    )
    if len(pairs.frame) < BATCH:
        raise NotMeasuredError(
            f"{len(pairs.frame)} frames of the real store are too few to train a reader on; "
            f"{BATCH} are needed"
        )
    epochs = max(settings["epochs"], -(-settings["min_steps"] * BATCH // len(pairs.frame)))
    return Reader(
        "estimator trained on the real store",
        f"{len(pairs.frame)} frames of {len(people) - len(held)} subjects with the store's "
        f"intensities; {len(held)} subjects held out",
        reading(fit(pairs, epochs, seed, device), device),
        trained_on=frozenset(inside.subjects.tolist()),
        sides=not np.array_equal(inside.moved[..., 0], inside.moved[..., 1], equal_nan=True),
    )


def correlations(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(20,) Pearson's correlation of the AUs of (M, 20, 2); NaN where either does not vary."""
    values = np.full(len(CONDITION_AUS), np.nan)
    for column in range(truth.shape[1]):
        a, b = truth[:, column].ravel(), found[:, column].ravel()
        known = np.isfinite(a) & np.isfinite(b)
        a, b = a[known], b[known]
        if len(a) > 1 and a.std() > 0 and b.std() > 0:
            values[column] = np.corrcoef(a, b)[0, 1]
    return values
