"""Support vector machines against scikit-learn's own kernels and calibration by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.svm import SVC
from torch import Tensor

from recognizers.models.one_vs_rest import OneVersusRest


def blobs(count: int = 60, classes: int = 3, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features (count, 5) around a middle a class."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(count) % classes
    middles = 2 * torch.randn(classes, 5, generator=generator)
    return middles[labels] + noise * torch.randn(count, 5, generator=generator), labels


def machine(kernel: str, x: np.ndarray) -> SVC:
    if kernel == "linear":
        return SVC(C=3.0, kernel="linear")
    gamma = 1 / (x**2).sum(1).mean()
    return SVC(C=3.0, kernel="poly", degree=3, gamma=gamma, coef0=1.0)


@pytest.mark.parametrize("kernel", ["linear", "poly"])
def test_decisions_are_scikit_learn_s_one_against_the_rest(kernel: Any) -> None:
    features, labels = blobs()
    own = OneVersusRest(3, 5, kernel, degree=3, c=3.0)
    own.fit(features, labels)
    x, y = features.double().numpy(), labels.numpy()
    unseen, _ = blobs(30, noise=4.0)
    wanted = np.stack(
        [machine(kernel, x).fit(x, y == c).decision_function(unseen.double()) for c in range(3)], 1
    )
    logits = own(unseen)
    np.testing.assert_allclose(logits / own.scale, wanted, rtol=1e-3, atol=2e-3)
    assert logits.argmax(1).tolist() == wanted.argmax(1).tolist()


def held_out(features: Tensor, labels: Tensor) -> np.ndarray:
    """Decisions of linear machines without the clip's part: every fifth clip of a class."""
    x, y = features.double().numpy(), labels.numpy()
    part = np.zeros(len(y), int)
    for c in range(3):
        part[y == c] = np.arange((y == c).sum()) % 5
    out = np.zeros((len(y), 3))
    for number in range(5):
        for c in range(3):
            rest = part != number
            fitted = machine("linear", x).fit(x[rest], y[rest] == c)
            out[~rest, c] = fitted.decision_function(x[~rest])
    return out


@pytest.mark.parametrize("noise", [0.3, 2.0, 5.0])
def test_the_scale_is_the_likeliest_for_clips_left_out(noise: float) -> None:
    features, labels = blobs(noise=noise)
    own = OneVersusRest(3, 5, "linear", degree=3, c=3.0)
    own.fit(features, labels)
    f, y = held_out(features, labels), labels.numpy()
    targets = np.where(np.arange(3) == y[:, None], 61 / 63, 1 / 63)  # n + 1 and 1 of n + C

    def loss(scale: float) -> float:
        return float(-(targets * log_softmax(scale * f, axis=1)).sum(1).mean())

    tried = np.exp(np.linspace(-5, 4, 2000))
    best = tried[np.argmin([loss(scale) for scale in tried])]
    assert own.scale.item() == pytest.approx(best, rel=0.02)


def test_labels_without_a_pattern_give_no_confidence() -> None:
    features = torch.randn(90, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(90) % 3
    own = OneVersusRest(3, 5, "linear", degree=3, c=1.0)
    own.fit(features, labels)
    assert own(features).softmax(1).max() < 0.6


def test_a_class_without_clips_is_never_chosen_and_one_clip_is_enough() -> None:
    features, labels = blobs(31)
    features[30] = 20.0
    labels[30] = 3
    own = OneVersusRest(5, 5, "linear", degree=3, c=3.0)  # no clip of class 4
    own.fit(features, labels)
    probabilities = own(features).softmax(1)
    assert probabilities[:, 4].max() == 0
    assert probabilities.isfinite().all()
    assert probabilities[30].argmax() == 3
    everyone_alone = OneVersusRest(3, 5, "linear", degree=3, c=3.0)
    everyone_alone.fit(features[:3], labels[:3])
    assert everyone_alone.scale == 1
    assert everyone_alone(features[:3]).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kernel", ["linear", "poly"])
def test_a_state_dict_holds_all_of_it(kernel: Any) -> None:
    features, labels = blobs()
    fitted = OneVersusRest(3, 5, kernel, degree=3, c=3.0)
    fitted.fit(features, labels)
    fresh = OneVersusRest(3, 5, kernel, degree=3, c=3.0)
    assert torch.equal(fresh(features).softmax(1), torch.full((60, 3), 1 / 3))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(features), fitted(features))
    assert not list(fitted.parameters())
    other = OneVersusRest(3, 6, kernel, degree=3, c=3.0)
    with pytest.raises(RuntimeError, match="size mismatch for support"):
        other.load_state_dict(fitted.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch for dual"):
        OneVersusRest(4, 5, kernel, degree=3, c=3.0).load_state_dict(fitted.state_dict())


def test_fitting_draws_no_random_numbers_and_starts_anew_each_time() -> None:
    features, labels = blobs(noise=3.0)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    states = []
    own = OneVersusRest(3, 5, "poly", degree=2, c=3.0)
    for _ in range(2):
        own.fit(features, labels)
        states.append({name: value.clone() for name, value in own.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    drawn = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert drawn == (torch.rand(1), np.random.rand())  # noqa: NPY002


def test_what_cannot_be_fitted_is_refused() -> None:
    features, labels = blobs()
    own = OneVersusRest(3, 5, "linear", degree=3, c=3.0)
    with pytest.raises(ValueError, match="two classes or more, got 20 of 1"):
        own.fit(features[labels == 1], labels[labels == 1])
    for change, said in (
        ({"kernel": "rbf"}, "kernel must be one of linear, poly, got 'rbf'"),
        ({"degree": 0}, "degree must be 1 or more, got 0"),
        ({"c": 0.0}, "c must be above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=said):
            OneVersusRest(3, 5, **{"kernel": "linear", "degree": 3, "c": 1.0, **change})  # type: ignore[arg-type]
