"""Tests of MER-GCN: its graph, its equations, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import recognizers
from recognizers.models.au_gacn.model import CASME2_AUS, STPNet
from recognizers.models.mer_gcn import MERGCN
from tests.recognizers.models.handful import (
    CELLS,
    LABELS,
    memorise,
    model_config,
    phantom_clips,
    without_gradient,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(num_classes: int = 3, **options: Any) -> MERGCN:
    options = {**model_config("mer_gcn_tiny")["options"], **options}
    model = recognizers.create_model("mer_gcn", num_classes, **options)
    assert isinstance(model, MERGCN)
    model.see_training_fold(CELLS)
    return model


@pytest.mark.parametrize("subtract_onset", [True, False])
def test_forward_is_the_equations_by_loops(subtract_onset: bool) -> None:
    model = tiny(4, aus=[1, 2, 4, 12], subtract_onset=subtract_onset).eval()
    model.see_training_fold(["1+2", "1+2", "2+4", "12", "4"])
    clip = torch.rand(2, 16, 3, 32, 32)
    output = model(clip=clip)
    read = clip - clip[:, [0]] if subtract_onset else clip
    x = model.backbone(read.transpose(1, 2)).detach().double().numpy()
    w0, w1 = (layer.weight.detach().double().numpy() for layer in model.graph)
    # P(1|2) = 2/3, P(2|1) = 1: an edge of 1. P(4|2) = 1/3, P(2|4) = 1/2: one of 1/2. 12 is alone.
    looped = np.eye(4)
    looped[0, 1] = looped[1, 0] = 1
    looped[1, 2] = looped[2, 1] = 0.5
    degree = looped.sum(1)
    a = np.array(
        [[looped[i, j] / (degree[i] * degree[j]) ** 0.5 for j in range(4)] for i in range(4)]
    )
    h = np.zeros((4, 16))
    for i in range(4):
        for d in range(16):
            value = sum(a[i, j] * w0[j, d] for j in range(4))  # H^0 = I
            h[i, d] = value if value > 0 else 0.2 * value
    h = a @ h @ w1
    scores = np.array([[h[i] @ x[n] for i in range(4)] for n in range(2)])
    np.testing.assert_allclose(output.features.detach(), scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(output.extras["clip_features"].detach(), x, rtol=1e-5)
    torch.testing.assert_close(output.logits, model.classifier(output.features))
    assert output.logits.shape == (2, 4)


def test_the_parameters_are_those_of_stpnet_the_graph_and_the_linear_layer() -> None:
    told = recognizers.describe("mer_gcn", 3)
    stpnet = STPNet(19)
    backbone = sum(p.numel() for p in stpnet.parameters()) - (64 * 19 + 19)
    assert told.parameters == backbone + 19 * 64 + 64 * 64 + 3 * 19 + 3
    assert told.inputs["clip"].shape == (16, 3, 256, 256)


def test_edges_come_from_the_clips_that_are_given_and_are_kept_with_the_weights() -> None:
    model = tiny()
    model.see_training_fold(["4+9"])
    four, nine = CASME2_AUS.index(4), CASME2_AUS.index(9)
    wanted = torch.eye(19)
    wanted[[four, four, nine, nine], [four, nine, four, nine]] = 0.5
    torch.testing.assert_close(model.adjacency, wanted)
    other = recognizers.create_model("mer_gcn", 3, **model_config("mer_gcn_tiny")["options"])
    other.load_state_dict(model.state_dict())
    clip = torch.rand(1, 16, 3, 32, 32)
    assert torch.equal(other.eval()(clip=clip).logits, model.eval()(clip=clip).logits)


def test_edges_change_the_answer_and_need_annotated_training_clips() -> None:
    model = tiny().eval()
    clip = torch.rand(1, 16, 3, 32, 32)
    before = model(clip=clip).logits
    model.see_training_fold(["4+9", "1+15"])
    assert not torch.allclose(model(clip=clip).logits, before)
    with pytest.raises(ValueError, match="none of the 2 training clips is annotated"):
        model.see_training_fold(["", "?"])
    fresh = recognizers.create_model("mer_gcn", 3, **model_config("mer_gcn_tiny")["options"])
    with pytest.raises(ValueError, match="no edges yet: call see_training_fold"):
        fresh.loss(fresh(clip=clip.expand(2, -1, -1, -1, -1)), torch.tensor([0, 1]))


def test_the_loss_is_the_cross_entropy_of_the_classes_alone() -> None:
    model = tiny()
    output = model(clip=torch.rand(6, 16, 3, 32, 32))
    loss = model.loss(output, LABELS)
    assert loss.item() == pytest.approx(F.cross_entropy(output.logits, LABELS).item())
    with pytest.raises(ValueError, match=r"the loss of \w+ needs nothing; got aus"):
        model.loss(output, LABELS, aus=torch.zeros(6, 19))
    loss.backward()
    assert without_gradient(model) == []


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    clip = phantom_clips(32, 16)
    assert memorise(tiny(), {"clip": clip}, steps=200, lr=5e-3) == LABELS.tolist()
