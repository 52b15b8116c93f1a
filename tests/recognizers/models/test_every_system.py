"""Properties of every system, at the sizes of its small config."""

from __future__ import annotations

import copy

import pytest
import torch

from recognizers import listing
from recognizers.models import Recognizer, create_model, describe, list_models, outline
from tests.recognizers.models.handful import (
    CELLS,
    LABELS,
    noise_for,
    small_model,
    small_options,
    targets_for,
)

SYSTEMS = list_models()
SLOWLY_COUNTED = {"dual_branch", "frl_dgt", "frl_dgt_s"}  # a second each, and more
BY_GRADIENTS = [name for name in SYSTEMS if not name.endswith("_svm")]


@pytest.fixture(scope="module", name="made")
def _made(request: pytest.FixtureRequest) -> Recognizer:
    """A small model, made once for all tests of its system; ``model`` is a test's own copy."""
    return small_model(request.param)


@pytest.fixture(name="model")
def _model(made: Recognizer) -> Recognizer:
    return copy.deepcopy(made)


of_every_system = pytest.mark.parametrize("made", SYSTEMS, indirect=True)
of_those_by_gradients = pytest.mark.parametrize("made", BY_GRADIENTS, indirect=True)


@of_every_system
def test_it_says_what_it_is(made: Recognizer, request: pytest.FixtureRequest) -> None:
    before = torch.get_rng_state()
    name = request.node.callspec.params["made"]
    options = small_options(name)
    told = describe(name, num_classes=3, **options)
    assert torch.equal(torch.get_rng_state(), before)
    assert told.name == name
    assert told.paper
    assert told.inputs == made.inputs
    assert set(told.options) == set(options)
    assert told.parameters == sum(p.numel() for p in made.parameters())
    assert (told.parameters == 0) == made.fits_directly  # what it learns then lies in buffers
    # Convolutions use a weight more than once; local binary patterns multiply nothing.
    assert told.multiply_adds > told.parameters or name == "lbp_top_svm"
    assert told.published == (name in list_models(published=True))
    assert told.published != (name in list_models(published=False))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOWLY_COUNTED)) for n in SYSTEMS],
)
def test_the_list_records_what_is_counted(name: str) -> None:
    recorded = listing.recorded()
    assert list(recorded) == SYSTEMS, "call recognizers.listing.record()"
    assert recorded[name] == listing.measured(name), "call recognizers.listing.record()"


@of_every_system
def test_its_outline_has_all_but_its_numbers(
    made: Recognizer, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["made"]
    told = outline(name, 3, **small_options(name))
    assert (type(told), told.inputs, told.targets) == (type(made), made.inputs, made.targets)
    shapes = {key: value.shape for key, value in made.named_parameters()}
    assert {key: value.shape for key, value in told.named_parameters()} == shapes
    assert all(value.is_meta for value in told.parameters())


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_wrong_option_is_refused_with_those_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' has no option depht; allowed are \w+, "):
        create_model(name, 3, depht=1)
    with pytest.raises(ValueError, match=r"num_classes must be a whole number from 2 to .*, got 1"):
        create_model(name, 1, **small_options(name))


@pytest.mark.slow
@of_those_by_gradients
def test_it_trains_in_bfloat16(model: Recognizer) -> None:
    two = [0, 4]  # of two classes and domains: most processors emulate bfloat16, and take long
    inputs = {key: value[two] for key, value in noise_for(model).items()}
    targets = {k: v if k == "class_weights" else v[two] for k, v in targets_for(model).items()}
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(model(**inputs), LABELS[two], **targets)
    assert loss.isfinite()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@of_every_system
def test_its_state_holds_all_that_it_has_learned(
    model: Recognizer, request: pytest.FixtureRequest
) -> None:
    inputs = noise_for(model)
    if model.fits_directly:
        model.fit_directly(LABELS, **inputs)
    else:
        inputs = {key: value[:2] for key, value in inputs.items()}
        model(**inputs)  # moves the averages of batch normalisation
    name = request.node.callspec.params["made"]
    torch.manual_seed(1)
    other = create_model(name, 3, **small_options(name))
    with torch.no_grad():
        first = model.eval()(**inputs).logits
        before = other.eval()(**inputs).logits
        other.load_state_dict(copy.deepcopy(model.state_dict()))
        after = other(**inputs).logits
    assert not torch.allclose(first, before)
    assert torch.equal(first, after)


@of_every_system
def test_one_that_learns_by_gradients_is_not_fitted_at_once(
    made: Recognizer, request: pytest.FixtureRequest
) -> None:
    assert made.fits_directly == request.node.callspec.params["made"].endswith("_svm")
    if not made.fits_directly:
        with pytest.raises(ValueError, match=f"{type(made).__name__} learns by gradients"):
            made.fit_directly(LABELS, **noise_for(made))


@of_every_system
def test_unknown_targets_are_refused(model: Recognizer) -> None:
    model.eval()
    output = model(**noise_for(model, count=2))
    targets = {k: v if k == "class_weights" else v[:2] for k, v in targets_for(model).items()}
    with pytest.raises((ValueError, TypeError), match="gaze"):
        model.loss(output, LABELS[:2], **targets, gaze=LABELS[:2])


@pytest.mark.gpu
@of_those_by_gradients
def test_a_model_on_a_gpu_answers_as_on_the_cpu(model: Recognizer) -> None:
    model.eval()
    inputs = noise_for(model)
    wanted = model(**inputs).logits
    model.cuda().see_training_fold(CELLS)
    output = model(**{key: tensor.cuda() for key, tensor in inputs.items()})
    assert output.logits.is_cuda
    torch.testing.assert_close(output.logits.cpu(), wanted, rtol=1e-2, atol=1e-3)
    targets = {key: tensor.cuda() for key, tensor in targets_for(model).items()}
    model.train()
    output = model(**{key: tensor.cuda() for key, tensor in inputs.items()})
    assert model.loss(output, LABELS.cuda(), **targets).isfinite()
