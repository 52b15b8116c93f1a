"""The dual-branch model's losses, against loops over its equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.augment import ORDER, au_sets, class_weights
from recognizers.models.dual_branch import DualBranch
from recognizers.models.dual_branch.losses import au_similarity, wscl
from tests.recognizers.models.handful import made

SIZE = 64
CELLS = ["1+2", "4+12", "R12A", "4+7", "1+2+5", "", "17", "4+7+17"]
LABELS = torch.tensor([0, 1, 1, 2, 0, 2, 1, 2])


def small(**options: Any) -> DualBranch:
    model = made("dual_branch", image_size=SIZE, **options)
    assert isinstance(model, DualBranch)
    return model


def pictures(count: int = 8) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


SETS = [{1, 2}, {4, 12}, {12}, {4, 7}, {1, 2, 5}, set(), {17}, {4, 7, 17}]


def test_au_similarity_is_the_share_of_common_aus() -> None:
    w = au_similarity(au_sets(CELLS))
    expected = [[jaccard(a, b) for b in SETS] for a in SETS]
    torch.testing.assert_close(w, torch.tensor(expected))
    columns = torch.tensor([[float(n in s) for n in ORDER] for s in SETS])
    torch.testing.assert_close(au_similarity(columns), w)
    unmeasured = columns.masked_fill(columns == 0, float("nan"))
    torch.testing.assert_close(au_similarity(unmeasured), w)
    with pytest.raises(ValueError, match=r"got \(8,\)"):
        au_similarity(torch.zeros(8))


def wscl_loop(x: np.ndarray, w: np.ndarray, tau: float, published: bool) -> float:
    n = len(x)
    total = 0.0
    for i in range(n):
        inner = 0.0
        for j in range(n):
            if i == j and not published:
                continue
            others = [k for k in range(n) if k != i or not published]
            below = sum(math.exp(x[i] @ x[k] / tau) for k in others)
            inner += w[i][j] * math.log(math.exp(x[i] @ x[j] / tau) / below)
        if sum(w[i]) > 0:
            total -= inner / sum(w[i])
    return total / n if published else total


@pytest.mark.parametrize("form", ["paper", "published"])
@pytest.mark.parametrize("tau", [0.1, 0.7])
def test_wscl_is_the_double_loop_of_equation_5(form: Any, tau: float) -> None:
    x = F.normalize(torch.randn(8, 6, generator=torch.Generator().manual_seed(5)), dim=1)
    w = au_similarity(au_sets(CELLS))
    expected = wscl_loop(x.double().numpy(), w.double().numpy(), tau, form == "published")
    assert wscl(x.double(), w.double(), tau, form).item() == pytest.approx(expected, rel=1e-9)
    exact = wscl(x, w, tau, form).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert wscl(x, w, tau, form).item() == exact


@pytest.mark.parametrize("form", ["paper", "published"])
def test_wscl_of_one_sample_or_of_none_with_aus_is_zero_with_a_gradient(form: Any) -> None:
    for count, cell in ((1, "1+2"), (3, "")):
        x = F.normalize(torch.randn(count, 6), dim=1).requires_grad_()
        loss = wscl(x, au_similarity(au_sets([cell] * count)), form=form)
        loss.backward()
        assert loss.item() == 0
        assert x.grad is not None
        assert x.grad.eq(0).all()


@pytest.mark.parametrize("form", ["paper", "published"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_equations_6_to_8(form: Any, smoothing: float) -> None:
    model = small(loss_form=form, label_smoothing=smoothing, au_weight=0.3).eval()
    output = model(image=pictures())
    w_c = class_weights(LABELS)
    assert w_c.tolist() == pytest.approx([3 / 2, 1, 1])
    losses = model.losses(output, LABELS, class_weights=w_c, au_set=au_sets(CELLS))

    l_cls = 0.0
    for region in ("eyes", "mouth"):
        log_p = output.extras[f"{region}_logits"].detach().double().softmax(1).log()
        region_loss, weight_sum = 0.0, 0.0
        for i, y in enumerate(LABELS.tolist()):
            for c in range(3):
                target = (1 - smoothing) * (c == y) + smoothing / 3
                region_loss -= float(w_c[c]) * target * float(log_p[i, c])
            weight_sum += float(w_c[y])
        l_cls += region_loss / weight_sum if form == "published" else region_loss
    x_f = output.features.detach().double().numpy()
    w = np.array([[jaccard(a, b) for b in SETS] for a in SETS])
    l_wscl = wscl_loop(x_f, w, 0.1, form == "published")

    assert losses["classification"].item() == pytest.approx(l_cls, rel=1e-4)
    assert losses["wscl"].item() == pytest.approx(l_wscl, rel=1e-4)
    assert losses["loss"].item() == pytest.approx(0.7 * l_cls + 0.3 * l_wscl, rel=1e-4)
    targets = {"class_weights": w_c, "au_set": au_sets(CELLS)}
    assert tuple(sorted(targets)) == model.targets
    assert model.loss(output, LABELS, **targets).item() == losses["loss"].item()


def test_loss_names_what_is_missing() -> None:
    model = small().eval()
    output = model(image=pictures(2))
    with pytest.raises(ValueError, match="weights of the 3 classes, got none"):
        model.loss(output, LABELS[:2], au_set=au_sets(CELLS[:2]))
    with pytest.raises(ValueError, match=r"got \(2,\)"):
        model.loss(output, LABELS[:2], class_weights=torch.ones(2))
    with pytest.raises(ValueError, match="AUs of each of the 2 samples, got none"):
        model.loss(output, LABELS[:2], class_weights=torch.ones(3))
    with pytest.raises(ValueError, match=r"got \(8, "):
        model.loss(output, LABELS[:2], class_weights=torch.ones(3), au_set=au_sets(CELLS))
