"""Tests of AU-GACN as a whole, its loss, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import recognizers
from mersynth.facs.action_units import parse_au_cell
from recognizers.models import Output
from recognizers.models.au_gacn.model import AUGACN, CASME2_AUS
from recognizers.models.au_graph import au_labels
from tests.recognizers.models import handful
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_clips

NAN = float("nan")
CELLS = ["6+12", "4+7", "1+2", "12", "4B+L9", "2 + 5A"]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(num_classes: int = 3, **options: Any) -> AUGACN:
    model = recognizers.create_model(
        "au_gacn", num_classes, **{**model_config("au_gacn_tiny")["options"], **options}
    )
    assert isinstance(model, AUGACN)
    model.see_training_fold(CELLS)
    return model


def test_the_nodes_are_the_19_aus_that_casme2_annotates(annotations: Path) -> None:
    import pandas as pd

    cells = pd.read_excel(annotations / "CASME2-coding-20140508.xlsx")["Action Units"]
    found = {event.number for cell in cells for event in parse_au_cell(cell).events}
    assert tuple(sorted(found)) == CASME2_AUS
    assert len(CASME2_AUS) == 19


def test_edges_come_from_the_clips_that_are_given_and_are_kept_with_the_weights() -> None:
    model = tiny()
    assert model.clips_seen == len(CELLS)
    six, twelve, four, nine = (CASME2_AUS.index(number) for number in (6, 12, 4, 9))
    assert model.adjacency[six, twelve] > 0
    assert model.adjacency[four, nine] > 0
    model.see_training_fold(["4+9"])
    # AU 4 and 9 always come together: degree 2 each.
    wanted = torch.eye(19)
    wanted[[four, four, nine, nine], [four, nine, four, nine]] = 0.5
    torch.testing.assert_close(model.adjacency, wanted)
    other = recognizers.create_model("au_gacn", 3, **model_config("au_gacn_tiny")["options"])
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.adjacency, wanted)
    clip = torch.rand(1, 16, 3, 32, 32)
    assert torch.equal(model.eval()(clip=clip).logits, other.eval()(clip=clip).logits)


def test_a_model_whose_aus_stand_in_another_order_answers_the_same() -> None:
    order = torch.randperm(19, generator=torch.Generator().manual_seed(6))
    model = tiny().eval()
    other = tiny(aus=[CASME2_AUS[i] for i in order]).eval()
    state = model.state_dict()
    for name in ("stpnet.aus.weight", "stpnet.aus.bias"):
        state[name] = state[name][order]
    state["adjacency"] = other.adjacency
    other.load_state_dict(state)
    clip = torch.rand(3, 16, 3, 32, 32)
    first, second = model(clip=clip), other(clip=clip)
    torch.testing.assert_close(second.logits, first.logits)
    torch.testing.assert_close(second.extras["au_logits"], first.extras["au_logits"][:, order])


def test_forward_is_the_chain_of_the_paper() -> None:
    """Backbone, eq. 1 three times, pooling of the three joined by the third's scores, readout."""
    model = tiny(4).eval()
    clip = torch.rand(2, 16, 3, 32, 32)
    output = model(clip=clip)
    x = model.stpnet((clip - clip[:, [0]]).transpose(1, 2))
    a = model.adjacency
    hidden = [x]
    for layer in model.graph:
        hidden.append(torch.relu(torch.einsum("ij,bjd,de->bie", a, hidden[-1], layer.weight)))
    z = torch.tanh(torch.einsum("ij,bjd,de->bie", a, hidden[3], model.pool.attention.weight))
    joined = torch.cat(hidden[1:], 2) * z
    features = []
    for b in range(2):
        top = sorted(range(19), key=lambda i: -z[b, i, 0].item())[:10]  # half of 19, rounded up
        assert top == output.extras["selected"][b].tolist()
        features.append(torch.cat([joined[b, top].mean(0), joined[b, top].max(0).values]))
    torch.testing.assert_close(output.features, torch.stack(features))
    torch.testing.assert_close(output.logits, model.classifier(torch.stack(features)))
    torch.testing.assert_close(output.extras["au_logits"], x[..., 0])
    torch.testing.assert_close(output.extras["scores"], z[..., 0])
    assert output.logits.shape == (2, 4)


def test_loss_by_hand() -> None:
    model = tiny(2, aus=[1, 2], me_weight=0.3)
    output = Output(
        torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
        torch.zeros(2, 1),
        {"au_logits": torch.tensor([[0.5, -1.0], [2.0, 3.0]])},
    )
    aus = torch.tensor([[1.0, 0.0], [0.0, NAN]])

    def sigma(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    bce = -(math.log(sigma(0.5)) + math.log(1 - sigma(-1.0)) + math.log(1 - sigma(2.0))) / 3
    l_me = -(math.log(sigma(1.0)) + math.log(sigma(-2.0))) / 2  # two classes: softmax is sigma
    loss = model.loss(output, torch.tensor([0, 0]), aus=aus)
    assert loss.item() == pytest.approx(bce + 0.3 * l_me)
    model.au_log_variance.data.fill_(0.7)
    loss = model.loss(output, torch.tensor([0, 0]), aus=aus)
    assert loss.item() == pytest.approx(math.exp(-0.7) * bce + 0.7 + 0.3 * l_me)
    unknown = model.loss(output, torch.tensor([0, 0]), aus=torch.full((2, 2), NAN))
    assert unknown.item() == pytest.approx(0.3 * l_me)


def test_the_learned_weight_of_the_au_loss_does_not_vanish() -> None:
    """Minimising over w alone leaves w = 1 / BCE, not 0."""
    model = tiny(2, aus=[1, 2], me_weight=0)
    logits = torch.tensor([[0.5, -1.0]])
    output = Output(torch.zeros(1, 2), torch.zeros(1, 1), {"au_logits": logits})
    aus = torch.tensor([[1.0, 1.0]])
    optimiser = torch.optim.SGD([model.au_log_variance], lr=0.3)
    for _ in range(200):
        optimiser.zero_grad()
        model.loss(output, torch.tensor([0]), aus=aus).backward()
        optimiser.step()
    bce = F.binary_cross_entropy_with_logits(logits, aus)
    assert (-model.au_log_variance).exp().item() == pytest.approx(1 / bce.item(), rel=1e-4)
    fixed = tiny(2, aus=[1, 2], me_weight=0, learn_au_weight=False)
    assert fixed.loss(output, torch.tensor([0]), aus=aus).item() == pytest.approx(bce.item())
    assert not fixed.au_log_variance.requires_grad


def test_the_emotion_loss_alone_reaches_backbone_and_graph() -> None:
    """AU features are trained by the classes, too: nothing is detached between them."""
    model = tiny()
    logits = model(clip=torch.rand(4, 16, 3, 32, 32)).logits
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in model.named_parameters():
        if name != "au_log_variance":
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_clips_that_do_not_fit_are_refused() -> None:
    model = tiny()
    good = torch.rand(1, 16, 3, 32, 32)
    broken = good.clone()
    broken[0, 3, 1, 5, 5] = NAN
    for clip, said in (
        (good[:, :15], r"\(B, T, C, H, W\) = \(B, 16, 3, 32, 32\), got \(1, 15, 3, 32, 32\)"),
        (good[..., :30], r"got \(1, 16, 3, 32, 30\)"),
        (good.transpose(1, 2), r"got \(1, 3, 16, 32, 32\)"),
        (good[0], r"got \(16, 3, 32, 32\)"),
        (broken, "NaN or infinite"),
        (good * 255, r"values must lie in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=said):
            model(clip=clip)


def test_edges_need_annotated_training_clips() -> None:
    model = recognizers.create_model("au_gacn", 3, **model_config("au_gacn_tiny")["options"])
    output = model(clip=torch.rand(1, 16, 3, 32, 32))
    with pytest.raises(ValueError, match="no edges yet: call see_training_fold"):
        model.loss(output, torch.tensor([0]), aus=torch.zeros(1, 19))
    with pytest.raises(ValueError, match=r"one or more training clips, got the shape \(0, 19\)"):
        model.see_training_fold([])
    with pytest.raises(ValueError, match="none of the 3 training clips is annotated"):
        model.see_training_fold(["", "?", "28"])
    assert torch.equal(model.state_dict()["adjacency"], torch.eye(19))  # nothing was set half-way


def test_targets_that_do_not_fit_are_refused() -> None:
    model = tiny()
    output = model(clip=torch.rand(2, 16, 3, 32, 32))
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"the loss of \w+ needs aus; got nothing"):
        model.loss(output, labels)
    with pytest.raises(ValueError, match=r"aus must be \(2, 19\) .*got \(2, 18\)"):
        model.loss(output, labels, aus=torch.zeros(2, 18))
    with pytest.raises(ValueError, match=r"got \(2, 19\) with values \[0.5\]"):
        model.loss(output, labels, aus=torch.full((2, 19), 0.5))


def test_the_two_halves_of_a_clip_are_not_one() -> None:
    """Time counts: frames in another order give another answer."""
    model = tiny().eval()
    clip = torch.rand(1, 16, 3, 32, 32)
    shuffled = clip[:, [j for i in range(8) for j in (i, i + 8)]]
    first, second = (model(clip=given).extras["au_logits"] for given in (clip, shuffled))
    assert not torch.allclose(first, second)


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    clips = phantom_clips(32, 16)
    model = tiny()
    model.see_training_fold(handful.CELLS)
    aus = au_labels(handful.CELLS, model.aus)
    first = model.loss(model(clip=clips), LABELS, aus=aus).item()
    assert memorise(model, {"clip": clips}, steps=400, lr=5e-3, aus=aus) == LABELS.tolist()
    output = model.eval()(clip=clips)
    assert model.loss(output, LABELS, aus=aus).item() < first / 4
    right = ((output.extras["au_logits"] > 0) == (aus == 1)).float().mean()
    assert right > (aus == 0).float().mean()  # more than by saying that nothing moves
