"""The dual-branch model: its branches' inputs, and the gradients of its parts."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.augment import RegionReplacing, au_sets, class_weights
from recognizers.data.input_kinds import INPUT_KINDS
from recognizers.models import outline
from recognizers.models.dual_branch import DualBranch
from recognizers.models.dual_branch.layers import AreaWeightedModule
from recognizers.models.dual_branch.losses import au_similarity
from tests.recognizers.models.handful import (
    CELLS,
    LABELS,
    made,
    memorise,
    model_config,
    model_configs,
)

SIZE = 64


def small(**options: Any) -> DualBranch:
    model = made("dual_branch", image_size=SIZE, **options)
    assert isinstance(model, DualBranch)
    return model


def stirred(model: nn.Module) -> nn.Module:
    """Attention starts with zeros and ones, which would hide mistakes."""
    for name, parameter in model.named_parameters():
        if "attention" in name or ".bn" in name:
            nn.init.normal_(parameter, mean=0.5)
    return model


def pictures(count: int = 8) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


class Says(nn.Module):
    """A head that always gives the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def test_the_paper_adds_probabilities_the_published_code_logits() -> None:
    # The mouth is almost sure that it is not class 0, the eyes are surer that it is.
    eyes, mouth = (3.0, 0.0, -5.0), (-10.0, 0.1, 0.0)
    decided = {}
    for rule in ("paper", "published"):
        model = small(inference=rule).eval()
        model.heads["eyes"], model.heads["mouth"] = Says(*eyes), Says(*mouth)
        logits = model(image=pictures(2)).logits
        decided[rule] = logits.argmax(1).tolist()
        if rule == "paper":
            p = (torch.tensor(eyes).softmax(0) + torch.tensor(mouth).softmax(0)) / 2
            torch.testing.assert_close(logits.softmax(1), p.expand(2, 3))
        else:
            torch.testing.assert_close(logits[0], torch.tensor([-7.0, 0.1, -5.0]))
    assert decided == {"paper": [0, 0], "published": [1, 1]}


def test_each_branch_sees_its_half() -> None:
    model = small(awm=False).eval()
    image = pictures(2)
    before = model(image=image).extras
    for half, other, rows in (
        ("mouth", "eyes", slice(SIZE // 2, SIZE)),
        ("eyes", "mouth", slice(0, SIZE // 2)),
    ):
        changed = image.clone()
        changed[:, :, rows] = 1 - changed[:, :, rows]
        after = model(image=changed).extras
        assert torch.equal(after[f"{other}_logits"], before[f"{other}_logits"])
        assert not torch.allclose(after[f"{half}_logits"], before[f"{half}_logits"])


def test_features_and_their_weights() -> None:
    model = small()
    output = model(image=pictures())
    assert output.logits.shape == (8, 3)
    assert output.features.shape == (8, 1024)
    torch.testing.assert_close(output.features.norm(dim=1), torch.ones(8))
    weight = output.extras["area_weight"]
    assert weight.shape == (8, 1024)
    assert weight.gt(0).all()
    assert weight.lt(1).all()
    joined = torch.cat([output.extras["eyes_weighted"], output.extras["mouth_weighted"]], 1)
    torch.testing.assert_close(F.normalize(joined, dim=1), output.features)
    for part in (joined / weight).split(512, dim=1):  # X_eyes and X_mouth
        torch.testing.assert_close(part.norm(dim=1), torch.ones(8), atol=1e-4, rtol=0)
    dropped = output.extras["projection"] == 0
    assert 0.05 < (dropped & (output.features != 0)).float().mean() < 0.15
    model.eval()
    output = model(image=pictures())
    assert torch.equal(output.extras["projection"], output.features)


def test_awm_weighs_features_and_does_not_shape_them() -> None:
    torch.manual_seed(0)
    module = AreaWeightedModule(12, 5).eval()
    joined = torch.randn(4, 12, requires_grad=True)
    weighted, weight = module(joined)
    weighted.sum().backward()
    # Were AWM's input not detached, d(x * w(x)) / dx would have a second term.
    assert joined.grad is not None
    torch.testing.assert_close(joined.grad, weight)

    model = small()
    model(image=pictures(4)).extras["area_weight"].square().sum().backward()
    got = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert got == {"awm"}


def test_alignment_alone_trains_everything_but_the_heads() -> None:
    model = small(au_weight=1.0)
    stirred(model)
    targets = {"class_weights": torch.ones(3), "au_set": au_sets(CELLS)}
    model.loss(model(image=pictures(6)), LABELS, **targets).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    heads = {n for n, _ in model.named_parameters() if n.startswith("heads.")}
    assert moved == {n for n, _ in model.named_parameters()} - heads


def test_its_image_is_grey_frame_and_magnitudes() -> None:
    magnified, on_off = pictures(2), pictures(2)[:, :2]
    spec = outline("dual_branch", 3).inputs["image"]
    kind = INPUT_KINDS[spec.made_of]
    image = kind.build([], {"magnified": magnified, "on_off": on_off}, spec)
    frame = magnified[1].permute(1, 2, 0).numpy()
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(image[1, 0].numpy(), grey, atol=1e-6)
    assert torch.equal(image[:, 1:], on_off)
    white = {"magnified": torch.ones(1, 3, 4, 4), "on_off": torch.ones(1, 2, 4, 4)}
    assert kind.build([], white, spec).max() <= 1
    assert spec.channels == ("magnified_grey", "on_apex", "off_apex")


@pytest.mark.slow
def test_it_learns_a_handful_of_samples_by_heart() -> None:
    model = small()
    image = 0.2 * pictures(6)
    targets = {"class_weights": class_weights(LABELS), "au_set": au_sets(CELLS)}
    first = model.losses(model(image=image), LABELS, **targets)["wscl"].item()
    assert memorise(model, {"image": image}, steps=40, lr=1e-3, **targets) == LABELS.tolist()
    assert model.losses(model(image=image), LABELS, **targets)["wscl"].item() < 0.9 * first


def test_a_row_of_table_4_may_replace_no_regions() -> None:
    for name in model_configs():
        if name.startswith("dual_branch"):
            p = 0.0 if name == "dual_branch_db_no_rr" else 0.5
            assert model_config(name)["augment"]["RegionReplacing"]["p"] == p


def test_a_replaced_mouth_brings_its_aus_to_the_alignment() -> None:
    batch = {
        "image": pictures(2),
        "label": torch.tensor([1, 1]),
        "au_set": au_sets(["4+12", "1+17"]),
    }
    mixed = RegionReplacing(
        **{**model_config("dual_branch")["augment"]["RegionReplacing"], "p": 1.0}
    )(batch)
    w = au_similarity(torch.cat([mixed["au_set"], batch["au_set"]]))
    assert w[0].tolist() == pytest.approx([1, 0, 1 / 3, 1 / 3])  # 4+17; 1+12, 4+12, 1+17
