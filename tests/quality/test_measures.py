"""Balance, separability and identity against closed forms, and what they are measured with."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from mersynth.clips import Clip
from mersynth.quality.balance import balance, evenness
from mersynth.quality.extractor import Extractor, cosine, train_extractor
from mersynth.quality.identity import find_faces, measure_identity
from mersynth.quality.sample import NotMeasuredError
from mersynth.quality.separability import curve_subjects, measure_separability, scores
from tests.quality.stores import sample_of


def test_evenness_is_the_normalised_entropy() -> None:
    assert evenness([5, 5, 5]) == pytest.approx(1)
    assert evenness([9, 1]) == pytest.approx(stats.entropy([0.9, 0.1], base=2))
    assert evenness([4], kinds=2) == 0
    assert evenness([4]) is None


def test_balance_counts_classes_and_subjects() -> None:
    clips = [
        Clip(source="s", subject=p, name=str(i), onset=0, apex=0, offset=0, emotion="x")
        for i, p in enumerate("aab")
    ]
    found = balance(clips, ["x", "y", "x"])
    assert found["classes"] == {"x": 2, "y": 1}
    assert (found["fewest_of_a_subject"], found["most_of_a_subject"]) == (1, 2)
    assert found["both_evenness"] == pytest.approx(math.log(3) / math.log(4))


def test_scores_are_means_over_the_classes_that_were_tested() -> None:
    found = scores(np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "c"]))
    assert found["uar"] == pytest.approx(0.5)
    assert found["uf1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["accuracy"] == 0.5


def test_classes_are_learned_without_the_tested_people(rng: np.random.Generator) -> None:
    count = 40
    frames = np.zeros((count, 2, 16, 16, 3), np.uint8)
    classes = [("anger", "surprise")[i % 2] for i in range(count)]
    people = [f"{i // 4}" for i in range(count)]
    real = sample_of(frames, subjects=people, classes=classes)
    made = sample_of(
        frames,
        subjects=people,
        classes=classes,
        templates=[f"samm/{(i // 4 + 1) % 10}/x" for i in range(count)],
    )
    settings = {"folds": 5, "c": 1.0}
    signal = np.where(np.array(classes) == "anger", 3.0, -3.0)[:, None] + rng.normal(0, 1, (40, 2))
    good = measure_separability(real, made, signal, signal, settings, 0)
    assert good["synthetic_to_real"]["uar"] > 0.95
    assert good["real_to_synthetic"]["clips"] == good["real_to_real"]["clips"] == 40
    bad = measure_separability(real, made, signal, -signal, settings, 0)
    assert bad["synthetic_to_real"]["uar"] < 0.05
    assert bad["real_to_real"] == good["real_to_real"]
    # What only identifies a person must not help: the tested people are never trained on.
    codes = np.eye(40)[np.array([int(p) for p in people])]
    own = np.concatenate([codes * (np.array(classes) == c)[:, None] for c in set(classes)], 1)
    assert measure_separability(real, made, own, own, settings, 0)["synthetic_to_real"][
        "uar"
    ] == pytest.approx(0.5)
    shown = np.eye(40)[np.array([(int(p) + 1) % 10 for p in people])]
    curves = np.concatenate([shown * (np.array(classes) == c)[:, None] for c in set(classes)], 1)
    found = measure_separability(real, made, own, curves, settings, 0)
    assert found["real_to_synthetic"]["uar"] == pytest.approx(0.5)
    assert curve_subjects(made)[0] == "samm/1"
    assert curve_subjects(real)[0] == "samm/0"


def test_stores_without_a_common_class_are_not_separated() -> None:
    frames = np.zeros((4, 2, 16, 16, 3), np.uint8)
    one, two = (
        sample_of(frames, subjects=list("abcd"), classes=[c] * 4) for c in ("anger", "surprise")
    )
    with pytest.raises(NotMeasuredError, match=r"share 0 classes \(real: anger; synthetic: surp"):
        measure_separability(one, two, np.zeros((4, 2)), np.zeros((4, 2)), {"folds": 2, "c": 1}, 0)


def test_a_face_is_the_nearest_onset_of_its_subject() -> None:
    onsets = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (10, 50, 52)])
    frames = np.full((2, 2, 8, 8, 3), 52, np.uint8)  # as the onset of somebody else
    frames[:, 1] = 10  # what follows does not count
    sample = sample_of(frames, subjects=["a", "z"])
    owners = np.array(["samm/a", "samm/a", "samm/b"])
    assert find_faces(onsets, owners, sample).tolist() == [1, -1]


def test_identity_compares_with_the_source_face(rng: np.random.Generator) -> None:
    onsets = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    real = sample_of(np.repeat(onsets[:, None], 2, 1), subjects=list("aabb"))
    frames = np.stack([[onsets[0], onsets[3]], [onsets[2], onsets[2]], [onsets[1], onsets[1]]])
    made = sample_of(frames, subjects=["a", "b", "z"])

    def flat(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) - 127.5

    extractor = Extractor("flat", "none", None, None, flat)
    faces = find_faces(onsets, real.subjects, made)
    assert faces.tolist() == [0, 2, -1]
    found = measure_identity(real, made, onsets, faces, extractor, 0)
    x, y = flat(onsets[[0]])[0], flat(onsets[[3]])[0]
    apart = float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert found["clips"] == 2
    assert found["onset"] == pytest.approx(1)
    assert found["apex"] == pytest.approx((apart + 1) / 2, abs=1e-6)
    assert found["apex_lowest"] == pytest.approx(apart, abs=1e-6)
    assert found["own_apex"] == pytest.approx(1)
    same = [cosine(flat(onsets[[i]]), flat(onsets[[i + 1]]))[0] for i in (0, 2)]
    assert found["same_subject"] == pytest.approx(np.mean(same), abs=1e-6)
    with pytest.raises(NotMeasuredError, match="no synthetic clip shows"):
        measure_identity(real, made, onsets, np.full(3, -1), extractor, 0)


def test_the_small_extractor_learns_who_is_who(rng: np.random.Generator) -> None:
    frames = np.zeros((16, 3, 16, 16, 3), np.uint8)
    frames[8:] = 200
    frames += rng.integers(0, 30, frames.shape, dtype=np.uint8)
    sample = sample_of(frames, subjects=["a"] * 8 + ["b"] * 8)
    made = train_extractor(sample, 40, 0.25, torch.device("cpu"), 0)
    again = train_extractor(sample, 40, 0.25, torch.device("cpu"), 0)
    assert made.accuracy == 1
    assert made.chance == 0.5
    features = made.features(sample.apex_frames)
    np.testing.assert_array_equal(features, again.features(sample.apex_frames))
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)
    assert cosine(features[:1], features[1:2])[0] > 0.9
    assert cosine(features[:1], features[8:9])[0] < 0
    with pytest.raises(NotMeasuredError, match="one subject"):
        train_extractor(sample.choose(np.arange(8)), 1, 0.25, torch.device("cpu"), 0)
