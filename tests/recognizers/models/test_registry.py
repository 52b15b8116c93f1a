"""Tests of the models' registry, and of what holds for every model in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import recognizers
from recognizers.models import (
    InputSpec,
    Output,
    PublishedError,
    Recognizer,
    register_model,
    register_published,
    registry,
)
from recognizers.models.published import load_renamed


class Toy(Recognizer):
    """A model of one convolution, one normalisation and one linear layer."""

    paper = "nobody"

    def __init__(self, num_classes: int, *, width: int = 4) -> None:
        super().__init__(num_classes)
        self.inputs = {
            "onset": InputSpec("onset", ("red", "green", "blue"), (6, 8)),
            "flow": InputSpec("flow", ("u", "v"), (6, 8), range=None),
        }
        self.convolution = nn.Conv2d(5, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, *, onset: Tensor, flow: Tensor) -> Output:
        self.check_inputs(onset=onset, flow=flow)
        features = self.norm(self.convolution(torch.cat([onset, flow], 1))).mean((2, 3))
        return Output(self.linear(features), features)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[Toy]:
    """A model that is registered, with a loader of published weights, for one test only."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    monkeypatch.setattr(Toy, "published", False)
    register_model("toy")(Toy)

    @register_published("toy")
    def load(published: Mapping[str, Tensor], num_classes: int) -> Toy:
        model = Toy(num_classes)
        names = {name: f"net.{name}" for name in model.state_dict()}
        load_renamed(model, published, names, unused=["net.old"])
        return model

    return Toy


def published(model: nn.Module) -> dict[str, Tensor]:
    return {f"net.{name}": tensor for name, tensor in model.state_dict().items()}


def sample(model: Recognizer, count: int = 2) -> dict[str, Tensor]:
    return {name: torch.rand(count, *spec.shape) for name, spec in model.inputs.items()}


def test_importing_recognizers_is_light_and_offers_the_models() -> None:
    code = (
        "import sys, recognizers; assert 'torch' not in sys.modules; "
        "assert {'create_model', 'list_models'} <= set(dir(recognizers))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'creat_model'"):
        _ = recognizers.creat_model


def test_every_file_of_a_system_is_found() -> None:
    assert {"au_gacn", "dual_branch"} <= set(recognizers.list_models())


def test_a_model_is_counted_exactly(toy: type[Toy]) -> None:
    told = recognizers.describe("toy", num_classes=3, width=7)
    assert told.parameters == 5 * 7 * 9 + 7 + 2 * 7 + 7 * 3 + 3
    assert told.multiply_adds == 5 * 7 * 9 * (4 * 6) + 7 * 3
    assert told.options == {"width": 4}


def test_a_seed_draws_the_weights() -> None:
    options = {"image_size": 16, "width": 4, "graph_width": 4}
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(recognizers.create_model("au_gacn", 3, **options).classifier.weight)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_register_refuses_what_is_taken_or_no_model(toy: type[Toy]) -> None:
    with pytest.raises(ValueError, match="'toy' is registered already, as Toy"):
        register_model("toy")(Toy)
    with pytest.raises(TypeError, match="'other' must be a class derived from Recognizer"):
        register_model("other")(nn.Linear)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="'other': class Nameless must name its paper"):
        register_model("other")(type("Nameless", (Toy,), {"paper": ""}))
    with pytest.raises(ValueError, match="'toy' has a loader"):
        register_published("toy")(lambda weights, classes: Toy(classes))
    with pytest.raises(ValueError, match="no model 'other'"):
        register_published("other")(lambda weights, classes: Toy(classes))
    assert "other" not in recognizers.list_models()


def test_wrong_names_and_options_are_reported_with_those_allowed(toy: type[Toy]) -> None:
    with pytest.raises(ValueError, match=r"no model 'tyo'; known: au_gacn, .*toy"):
        recognizers.create_model("tyo", 3)
    with pytest.raises(ValueError, match="'toy' has no option widht, depth; allowed are width"):
        recognizers.create_model("toy", 3, widht=3, depth=2)
    with pytest.raises(ValueError, match=r"num_classes must be a whole number from 2 to .*, got 1"):
        recognizers.create_model("toy", 1)


@pytest.mark.parametrize("kind", ["tensors", "pth", "nested", "safetensors"])
def test_published_weights_are_loaded(toy: type[Toy], tmp_path: Path, kind: str) -> None:
    theirs = Toy(3)
    state: dict[str, Tensor] = published(theirs)
    del state["net.norm.num_batches_tracked"]  # old files have none
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "nested":
        wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
        torch.save({"epoch": 3, "state_dict": {**wrapped, "module.net.old": torch.ones(1)}}, path)
    else:
        torch.save(state, path)
    ours = recognizers.load_published("toy", state if kind == "tensors" else path, 3)
    inputs = sample(ours)
    assert torch.equal(ours.eval()(**inputs).logits, theirs.eval()(**inputs).logits)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"net.linear.bias": None}, r"missing \(1\): net.linear.bias"),
        ({"conv1.weight": torch.ones(1)}, r"unknown \(1\): conv1.weight"),
        (
            {"net.linear.weight": torch.ones(5, 4)},
            r"shape \(1\): net.linear.weight is \(5, 4\) instead of \(3, 4\)",
        ),
    ],
)
def test_weights_of_another_model_are_refused(
    toy: type[Toy], change: dict[str, Tensor | None], said: str
) -> None:
    state = {**published(Toy(3)), **change}
    with pytest.raises(PublishedError, match=f"not Toy's published weights: {said}"):
        recognizers.load_published("toy", {k: v for k, v in state.items() if v is not None}, 3)


def test_of_many_wrong_names_the_first_are_reported(toy: type[Toy]) -> None:
    other = {f"layer{i}.weight": torch.ones(1) for i in range(5)}
    with pytest.raises(
        PublishedError,
        match=r"missing \(8\): net.convolution.weight, net.convolution.bias, net.norm.weight and 5 "
        r"more.*unknown \(5\): layer0.weight, layer1.weight, layer2.weight and 2 more",
    ):
        recognizers.load_published("toy", other, 3)


def test_a_file_without_weights_is_refused(toy: type[Toy], tmp_path: Path) -> None:
    text = tmp_path / "weights.pth"
    text.write_text("no weights")
    with pytest.raises(PublishedError, match=r"weights\.pth cannot be read as weights"):
        recognizers.load_published("toy", text, 3)
    with pytest.raises(PublishedError, match=r"no weights at .*nothing\.pth"):
        recognizers.load_published("toy", tmp_path / "nothing.pth", 3)
    with pytest.raises(PublishedError, match="found: 'epoch' is not a tensor"):
        recognizers.load_published("toy", {"epoch": 3}, 3)
    torch.save([1, 2], text)
    with pytest.raises(PublishedError, match=r"expected named tensors in .*, got list"):
        recognizers.load_published("toy", text, 3)
    with pytest.raises(PublishedError, match="found: nothing"):
        recognizers.load_published("toy", {}, 3)


def test_a_model_without_published_weights_says_which_have_some(toy: type[Toy]) -> None:
    with pytest.raises(ValueError, match=r"'au_gacn' has no published weights .* have: .*toy"):
        recognizers.load_published("au_gacn", {}, 3)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"onset": torch.zeros(2, 3, 6, 7)}, ValueError, r"onset \(onset: red, green, blue\)"),
        ({"onset": torch.zeros(0, 3, 6, 8)}, ValueError, r"= \(B, 3, 6, 8\), got \(0, 3, 6, 8\)"),
        ({"onset": torch.full((2, 3, 6, 8), 255.0)}, ValueError, r"\[0, 1\], got 255 to 255"),
        ({"onset": torch.full((2, 3, 6, 8), -0.5)}, ValueError, r"\[0, 1\], got -0.5 to -0.5"),
        ({"onset": torch.zeros(2, 3, 6, 8).byte()}, TypeError, "onset: .* got torch.uint8"),
        ({"onset": [0.0]}, TypeError, "onset: .* got list"),
        ({"flow": torch.full((2, 2, 6, 8), torch.nan)}, ValueError, "flow: values must be finite"),
        ({"flow": torch.full((2, 2, 6, 8), torch.inf)}, ValueError, "flow: values must be finite"),
        ({"flow": torch.zeros(3, 2, 6, 8)}, ValueError, "one batch size, got .*'flow': 3"),
    ],
)
def test_wrong_inputs_are_refused(
    change: dict[str, Tensor], error: type[Exception], said: str
) -> None:
    model = Toy(3)
    with pytest.raises(error, match=said):
        model(**{**sample(model), **change})


def test_one_wrong_value_is_enough() -> None:
    model = Toy(3)
    inputs = sample(model)
    inputs["onset"][1, 2, 3, 4] = torch.nan
    with pytest.raises(ValueError, match="onset: values must be finite"):
        model(**inputs)


def test_inputs_without_bounds_may_be_large_and_rounding_is_allowed() -> None:
    model = Toy(3).eval()
    inputs = sample(model)
    inputs["flow"] = 40 * inputs["flow"] - 20
    inputs["onset"][0, 0, 0, 0] = 1 + 1e-6
    assert model(**inputs).logits.shape == (2, 3)


def test_missing_inputs_are_named() -> None:
    with pytest.raises(ValueError, match="inputs are onset, flow; got onset"):
        Toy(3).check_inputs(onset=torch.zeros(2, 3, 6, 8))


def test_the_loss_without_a_paper_s_own_is_the_mean_cross_entropy() -> None:
    output = Output(torch.tensor([[0.0, 0.0], [0.0, 3.0]]).log_softmax(1), torch.zeros(2, 1))
    loss = Toy(2).loss(output, torch.tensor([0, 1]))
    p = torch.tensor(3.0).exp() / (1 + torch.tensor(3.0).exp())
    assert loss == pytest.approx((torch.tensor(2.0).log() - p.log()).item() / 2)
    with pytest.raises(ValueError, match=r"the loss of \w+ needs nothing; got aus"):
        Toy(2).loss(output, torch.tensor([0, 1]), aus=torch.zeros(2, 3))
