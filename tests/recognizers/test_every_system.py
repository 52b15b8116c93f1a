"""What every system satisfies, at the sizes of its small config."""

from __future__ import annotations

import copy

import pytest
import torch

from mersynth.augment import au_sets
from recognizers.augmenting import Augmenting
from recognizers.models import Recognizer, create_model, describe, list_models
from recognizers.settings import TrainingSettings
from tests.recognizers.handful import (
    CELLS,
    LABELS,
    model_config,
    model_configs,
    noise_for,
    small_options,
    targets_for,
    without_gradient,
)

SYSTEMS = list_models()
BY_GRADIENTS = [name for name in SYSTEMS if not name.endswith("_svm")]
FITTED = tuple(set(SYSTEMS) - set(BY_GRADIENTS))
# By their files' names, which begin with their system's: to compose all of them takes 12 seconds.
VARIANTS = [n for n in model_configs() if not n.startswith(FITTED) and not n.endswith("_tiny")]


def small(config: str) -> Recognizer:
    """A config's model for ``CELLS``, small."""
    torch.manual_seed(0)
    model = create_model(model_config(config)["name"], 3, **small_options(config))
    model.see_training_fold(CELLS)
    return model


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_says_what_it_is(name: str) -> None:
    before = torch.get_rng_state()
    options = small_options(name)
    told = describe(name, num_classes=5, **options)
    assert torch.equal(torch.get_rng_state(), before)
    model = create_model(name, 5, **options)
    assert told.name == name
    assert told.paper
    assert told.inputs == model.inputs
    assert set(told.options) == set(options)
    assert told.parameters == sum(p.numel() for p in model.parameters())
    assert (told.parameters == 0) == model.fits_directly  # what it learns then lies in buffers
    assert told.multiply_adds > told.parameters  # convolutions use a weight more than once
    assert told.published == (name in list_models(published=True))
    assert told.published != (name in list_models(published=False))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_wrong_option_is_refused_with_those_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' has no option depht; allowed are \w+, "):
        create_model(name, 3, depht=1)
    with pytest.raises(ValueError, match="num_classes must be 2 or more, got 1"):
        create_model(name, 1, **small_options(name))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_of_training_moves_every_parameter(name: str) -> None:
    """A config's augmentation, loss, optimizer and scheduler, at small sizes."""
    model, tiny = small(name), model_config(f"{model_config(name)['name']}_tiny")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.eq(0).all():  # shuffle attention starts so, and hides what lies before it
                parameter.normal_(std=0.1)
    batch = {**noise_for(model), "label": LABELS, "au_set": au_sets(CELLS), "subject": LABELS}
    batch = Augmenting(tiny.get("augment") or {}, model.inputs)(batch)
    output = model(**{key: batch[key] for key in model.inputs})
    assert output.logits.shape == (6, 3)
    model.loss(output, batch["label"], **targets_for(model)).backward()
    assert without_gradient(model) == []
    settings = TrainingSettings.from_config(model_config(name)["training"])
    optimizer = settings.make_optimizer(model)
    scheduler = settings.make_scheduler(optimizer)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    optimizer.step()
    if scheduler is not None:
        scheduler.step()
    moved = [key for key, parameter in model.named_parameters() if not parameter.equal(before[key])]
    assert moved == list(before)


@pytest.mark.parametrize("name", BY_GRADIENTS)
def test_it_trains_in_bfloat16(name: str) -> None:
    model = small(name)
    two = [0, 4]  # of two classes and domains: most processors emulate bfloat16, and take long
    inputs = {key: value[two] for key, value in noise_for(model).items()}
    targets = {k: v if k == "class_weights" else v[two] for k, v in targets_for(model).items()}
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(model(**inputs), LABELS[two], **targets)
    assert loss.isfinite()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_state_holds_all_that_it_has_learnt(name: str) -> None:
    model = small(name)
    inputs = noise_for(model)
    if model.fits_directly:
        model.fit_directly(LABELS, **inputs)
    else:
        model(**inputs)  # moves the averages of batch normalisation
    torch.manual_seed(1)
    other = create_model(name, 3, **small_options(name))
    with torch.no_grad():
        first = model.eval()(**inputs).logits
        before = other.eval()(**inputs).logits
        other.load_state_dict(copy.deepcopy(model.state_dict()))
        after = other(**inputs).logits
    assert not torch.allclose(first, before)
    assert torch.equal(first, after)


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_that_learns_by_gradients_is_not_fitted_at_once(name: str) -> None:
    model = small(name)
    assert model.fits_directly == name.endswith("_svm")
    if not model.fits_directly:
        with pytest.raises(ValueError, match=f"{type(model).__name__} learns by gradients"):
            model.fit_directly(LABELS, **noise_for(model))


@pytest.mark.parametrize("name", SYSTEMS)
def test_unknown_targets_are_refused(name: str) -> None:
    model = small(name)
    model.eval()
    output = model(**noise_for(model))
    with pytest.raises((ValueError, TypeError), match="gaze"):
        model.loss(output, LABELS, **targets_for(model), gaze=LABELS)


@pytest.mark.gpu
@pytest.mark.parametrize("name", BY_GRADIENTS)
def test_a_model_on_a_gpu_answers_as_on_the_cpu(name: str) -> None:
    model = small(name).eval()
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
