"""FRL-DGT and FRL-DGT-S as a whole: sizes, loss, what training draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from recognizers.models import Recognizer, create_model
from recognizers.models.frl_dgt.dgm import (
    ScaleGradient,
    dgm_losses,
    draw_pairs,
    normalise,
)
from recognizers.models.frl_dgt.regions import (
    REGIONS,
    au_boxes,
    boxes_of,
    region_maps,
)
from tests.recognizers.models.frl_dgt.face import noise, phantom_face
from tests.recognizers.models.handful import LABELS, memorise, phantom_clips, small_options

NAMES = list(REGIONS)


ANNOTATED = {"random_pairs": 0, "random_apex": False, "magnified": 0.0}


def small(name: str = "frl_dgt", **options: Any) -> Recognizer:
    torch.manual_seed(0)
    return create_model(name, 3, **{**small_options(name), **options})


@pytest.fixture(scope="module", name="face")
def _face() -> tuple[Tensor, np.ndarray]:
    return phantom_face()


def sample(model: Recognizer, landmarks: np.ndarray, count: int = 6) -> dict[str, Tensor]:
    """Random frames, and the regions of a face."""
    inputs = {
        name: noise(count, *spec.shape, seed=i)
        for i, (name, spec) in enumerate(model.inputs.items())
    }
    if "regions" in inputs:
        size = model.inputs["regions"].size
        boxes = au_boxes((landmarks + 0.5) * (size[0] / 96) - 0.5)
        inputs["regions"] = region_maps(boxes, size).expand(count, -1, -1, -1)
    return inputs


def test_the_sizes_of_section_3_3() -> None:
    model = create_model("frl_dgt", 3)
    state = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert model.inputs["onset"].size == (270, 270)
    assert state["fusion.local.8.position"] == (25, 256)  # N = 25, C = 256; K = 9
    assert "fusion.local.9.position" not in state
    assert state["fusion.embed.0.0.weight"] == (256, 8, 18, 18)
    assert state["fusion.globally.position"] == (9, 256)
    assert state["fusion.local.0.fusion.lin.weight"] == (8, 25)  # h = 8
    sequence = create_model("frl_dgt_s", 3)
    assert sequence.inputs["sequence"].num_frames == 10
    assert sequence.state_dict()["time.position"].shape == (9, 512)
    assert sequence.state_dict()["fusion.embed.0.0.weight"].shape == (256, 5, 18, 18)


def test_the_loss_is_cross_entropy_and_equation_4(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(rec_weight=7.0, nm_weight=3.0, sm_weight=0.5).eval()
    inputs = sample(model, face[1])
    output = model(**inputs)
    d = output.extras["displacement"]
    assert_close(d, model.dgm(inputs["onset"], inputs["apex"]))
    terms = dgm_losses(inputs["onset"], inputs["apex"], d)
    expected = F.cross_entropy(output.logits, LABELS) + sum(
        w * terms[key].mean() for key, w in (("rec", 7.0), ("nm", 3.0), ("sm", 0.5))
    )
    assert_close(model.loss(output, LABELS), expected)
    with pytest.raises(ValueError, match=r"the loss of \w+ needs nothing; got aus"):
        model.loss(output, LABELS, aus=LABELS)
    flow = small(displacement="flow", **ANNOTATED).eval()
    output = flow(**sample(flow, face[1]))
    assert_close(flow.loss(output, LABELS), F.cross_entropy(output.logits, LABELS))


def test_random_pairs_teach_dgm_in_training_alone(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(random_pairs=3, random_apex=False, magnified=0.0)
    inputs = sample(model, face[1])
    torch.manual_seed(5)
    output = model(**inputs)
    torch.manual_seed(5)
    first, second = draw_pairs(inputs["frames"], 3)
    onset, apex = torch.cat([inputs["onset"], first]), torch.cat([inputs["apex"], second])
    d = model.dgm(onset, apex)  # in one batch, as batch normalisation sees them
    terms = dgm_losses(onset, apex, d)
    for name, value in terms.items():
        means = [value[[i, *range(6 + 3 * i, 9 + 3 * i)]].mean() for i in range(6)]
        assert_close(output.extras[name], torch.stack(means))
    assert_close(output.extras["displacement"], d[:6])
    model.eval()
    before = model(**inputs)
    after = model(**{**inputs, "frames": 1 - inputs["frames"]})
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.extras["rec"], after.extras["rec"])


def test_the_classifiers_gradient_reaches_dgm_a_millionth_as_strong(
    face: tuple[Tensor, np.ndarray],
) -> None:
    gradients = {}
    for scale in (1.0, 1e-6):
        model = small(gradient_scale=scale, random_pairs=0, random_apex=False, magnified=0.0).eval()
        output = model(**sample(model, face[1]))
        F.cross_entropy(output.logits, LABELS).backward()
        gradients[scale] = [p.grad for p in model.dgm.parameters()]
        logits = output.logits
    for strong, weak in zip(gradients[1.0], gradients[1e-6], strict=True):
        assert strong.abs().max() > 0
        assert_close(weak, 1e-6 * strong, atol=1e-11, rtol=1e-3)
    assert torch.equal(logits, output.logits)
    x = torch.ones(3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: ScaleGradient.apply(v, 1.0), x.double())


def test_training_takes_a_frame_about_the_apex_or_the_magnified_one(
    face: tuple[Tensor, np.ndarray],
) -> None:
    model = small(random_pairs=0, magnified=0.4)
    inputs = sample(model, face[1], 1)
    model.dgm.eval()
    candidates = [inputs["apex"], *inputs["neighbours"].split(1, 1), inputs["magnified"]]
    shown = [model.dgm(inputs["onset"], c.reshape(1, 3, 54, 54)) for c in candidates]
    counts = [0, 0, 0, 0]
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(60):
            found = model(**inputs).extras["displacement"]
            same = [torch.allclose(found, d, atol=1e-9) for d in shown]
            assert sum(same) == 1
            counts[same.index(True)] += 1
        assert 12 < counts[3] < 36
        assert min(counts[:3]) > 4
        assert torch.equal(model.eval()(**inputs).extras["displacement"], shown[0])


def test_flow_is_read_as_it_is_or_normalised(face: tuple[Tensor, np.ndarray]) -> None:
    same = {}
    for kind in ("flow", "normalised_flow"):
        model = small(displacement=kind, **ANNOTATED).eval()
        inputs = sample(model, face[1])
        inputs["flow"] = 4 * inputs["flow"] - 2
        stronger = {**inputs, "flow": 3 * inputs["flow"]}
        same[kind] = torch.allclose(model(**inputs).logits, model(**stronger).logits, atol=1e-5)
        brought = {**inputs, "flow": normalise(inputs["flow"])}
        changed = not torch.allclose(model(**inputs).logits, model(**brought).logits, atol=1e-5)
        assert changed == (kind == "flow")
    assert same == {"flow": False, "normalised_flow": True}


def test_another_onset_or_apex_may_be_given(face: tuple[Tensor, np.ndarray]) -> None:
    model = small().eval()
    inputs = sample(model, face[1])
    before = model(**inputs).logits
    for name in ("onset", "apex"):
        moved = {**inputs, name: inputs["frames"][:, 2]}
        assert not torch.allclose(model(**moved).logits, before, atol=1e-4)


def test_mirrored_inputs_swap_what_the_regions_see(face: tuple[Tensor, np.ndarray]) -> None:
    model = small(face_fusion=False, displacement="dynamic_image", **ANNOTATED).eval()
    inputs = sample(model, face[1])
    crops: list[Tensor] = []
    for embed in model.fusion.embed:
        embed.register_forward_pre_hook(lambda _, args: crops.append(args[0]))
    model(**inputs)
    model(**{name: tensor.flip(-1) for name, tensor in inputs.items()})
    right, left = NAMES.index("right_mouth"), NAMES.index("left_mouth")
    assert_close(crops[9 + right], crops[left].flip(-1), atol=1e-5, rtol=0)
    assert_close(crops[9 + left], crops[right].flip(-1), atol=1e-5, rtol=0)


def test_a_sequence_is_pairs_with_its_onset(face: tuple[Tensor, np.ndarray]) -> None:
    model = small("frl_dgt_s", num_frames=5).eval()
    inputs = sample(model, face[1], 2)
    output = model(**inputs)
    sequence = inputs["sequence"]
    d = torch.stack([model.dgm(sequence[:, 0], sequence[:, t]) for t in range(1, 5)], dim=1)
    assert_close(output.extras["displacement"], d, atol=1e-6, rtol=1e-4)
    vectors = []
    longest = d.norm(dim=2).flatten(1).amax(1).view(2, 1, 1, 1)
    for t in range(4):
        maps = torch.cat([2 * sequence[:, t + 1] - 1, d[:, t] / longest], dim=1)
        vectors.append(model.fusion(maps, boxes_of(inputs["regions"]))[0])
    features, weights = model.time(torch.stack(vectors, dim=1))
    assert_close(output.features, features, atol=1e-4, rtol=1e-3)
    assert_close(output.extras["time_weights"], weights, atol=1e-4, rtol=1e-3)
    assert output.extras["local_weights"].shape == (2, 4, 9, 4, 9)
    rec = [dgm_losses(sequence[:, 0], sequence[:, t], d[:, t - 1])["rec"] for t in range(1, 5)]
    assert_close(output.extras["rec"], torch.stack(rec).mean(0))


@pytest.fixture(scope="module", name="handful")
def _handful() -> Tensor:
    """(6, 5, 3, 54, 54), the apex in the middle."""
    return phantom_clips(54, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frl_dgt", pytest.param("frl_dgt_s", marks=pytest.mark.slow)])
def test_it_learns_a_handful_of_clips_by_heart(
    name: str, handful: Tensor, face: tuple[Tensor, np.ndarray]
) -> None:
    model = small(name, dropout=0.0)
    inputs = sample(model, face[1])
    if name == "frl_dgt_s":
        inputs["sequence"] = handful[:, :4]
    else:
        inputs |= {"onset": handful[:, 0], "apex": handful[:, 2], "magnified": handful[:, 2]}
        inputs |= {"neighbours": handful[:, [1, 3]], "frames": handful}
    assert memorise(model, inputs, 100, 2e-3) == LABELS.tolist()
