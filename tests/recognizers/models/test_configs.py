"""Every config of a system: its model can be built, its training and augmentation are valid."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from mersynth.augment import au_sets
from recognizers.models import list_models, outline, registry
from recognizers.training.augmenting import Augmenting
from recognizers.training.settings import TrainingSettings
from tests.recognizers.models.handful import (
    CELLS,
    LABELS,
    model_config,
    model_configs,
    noise_for,
    small_model,
    small_options,
    targets_for,
    without_gradient,
)

NAMES = model_configs()
FITTED = tuple(name for name in list_models() if name.endswith("_svm"))
BY_GRADIENTS = [n for n in NAMES if not n.startswith(FITTED) and not n.endswith("_tiny")]
ANNOTATED = {"random_pairs": 0, "random_apex": False, "magnified": 0.0}
#: What the variants of a system change: rows of its paper's tables, or its published code.
CHANGES: dict[str, dict[str, Any]] = {
    "dssn_add": {"merger": "add"},
    "dssn_concatenate": {"merger": "concatenate"},
    "dssn_imagenet": {"trunk": "torchvision", "weights": "imagenet"},
    "dual_branch_db": {"awm": False, "au_weight": 0.0},
    "dual_branch_db_au": {"awm": False},
    "dual_branch_db_awm": {"au_weight": 0.0},
    "dual_branch_db_no_rr": {},  # in its augmentation
    "dual_branch_sb": {"branches": "single", "awm": False, "au_weight": 0.0},
    "dual_branch_sb_au": {"branches": "single", "awm": False},
    "elrcn_published": {"flow_from": "previous"},
    "elrcn_se": {"enrichment": "spatial", "weights": "none", "freeze": False},
    "elrcn_te": {"enrichment": "temporal", "freeze": False},
    "frl_dgt_dynamic_image": {"displacement": "dynamic_image", **ANNOTATED},
    "frl_dgt_flow": {"displacement": "flow", **ANNOTATED},
    "frl_dgt_fusion_after_attention": {"fusion": "after"},
    "frl_dgt_no_face_fusion": {"face_fusion": False},
    "frl_dgt_no_global_fusion": {"global_fusion": False},
    "frl_dgt_no_local_fusion": {"local_fusion": False},
    "frl_dgt_no_self_supervision": {"random_pairs": 0},
    "frl_dgt_normalised_flow": {"displacement": "normalised_flow", **ANNOTATED},
    "frl_dgt_patches": {"regions": "patches"},
    "lbp_top_svm_poly": {"blocks": 8, "neighbours": 8, "uniform": True, "kernel": "poly"},
    "mmnet_baseline": {"blocks": "residual", "pc_module": False},
    "mmnet_ca": {"pc_module": False},
    "mmnet_independent": {"blocks": "independent"},
    "mmnet_nl2_nh2": {"num_heads": 2},
    "mmnet_nl2_nh8": {"num_heads": 8},
    "mmnet_nl3_nh2": {"num_layers": 3, "num_heads": 2},
    "mmnet_nl3_nh4": {"num_layers": 3},
    "mmnet_nl3_nh8": {"num_layers": 3, "num_heads": 8},
    "mmnet_pc": {"blocks": "residual"},
    "nmer_part_emr": {"adversarial": False},
    "nmer_published": {"discriminator": "published"},
    "resnet18_apex": {"image": "apex"},
    "sssn_imagenet": {"trunk": "torchvision", "weights": "imagenet"},
    "sssn_strain": {"image": "flow_strain"},
    "stcnn_96": {"num_frames": 96},
    "stcnn_published": {"subtract_onset": False},
    "ststnet_published": {"padding": 2},
}


def changed(name: str) -> dict[str, Any]:
    """Options of a config that are not those of its system's own."""
    block = model_config(name)
    own = model_config(block["name"])["options"]
    return {option: value for option, value in block["options"].items() if value != own[option]}


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_whole(name: str) -> None:
    block = model_config(name)
    assert set(block) <= {"name", "options", "features", "augment", "training"}
    options = block["options"]
    if options.get("weights") == "imagenet":
        options["weights"] = "none"  # the files are downloaded at first use
        options.update({key: False for key in ("freeze",) if key in options})
    model = outline(block["name"], 3, **options)  # of its real size
    parameters = inspect.signature(type(model)).parameters
    assert set(options) == set(parameters) - {"num_classes"}, "a config names every option"
    settings = TrainingSettings.from_config(block.get("training") or {}, model.fits_directly)
    if not model.fits_directly:
        scheduler = settings.make_scheduler(settings.make_optimizer(model))
        if isinstance(scheduler, torch.optim.lr_scheduler.CosineAnnealingLR):
            assert scheduler.T_max == settings.epochs
    Augmenting(block.get("augment") or {}, model.inputs)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name.startswith("dual_branch_db") else name
        for name in BY_GRADIENTS
    ],
)
def test_a_step_of_training_moves_every_parameter(name: str) -> None:
    """A config's augmentation, loss, optimizer and scheduler, at small sizes."""
    model, tiny = small_model(name), model_config(f"{model_config(name)['name']}_tiny")
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


@pytest.mark.parametrize("name", list_models())
def test_a_system_s_own_config_holds_its_defaults(name: str) -> None:
    options = model_config(name)["options"]
    for option, default in registry._options(registry._MODELS[name]).items():
        if option not in ("weights", "freeze"):  # those that the paper starts from
            default = list(default) if isinstance(default, tuple) else default
            assert options[option] == default, option


def test_every_system_has_its_configs() -> None:
    systems = set(list_models())
    assert set(NAMES) == systems | {f"{name}_tiny" for name in systems} | set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_variant_differs_in_what_its_name_says(name: str) -> None:
    assert changed(name) == CHANGES[name]


@pytest.mark.parametrize("name", list_models())
def test_the_small_config_is_the_system_but_for_its_sizes(name: str) -> None:
    for option, value in changed(f"{name}_tiny").items():
        if option == "weights":
            assert value == "none"
        elif option == "freeze":
            assert value is False
        elif option == "subtract_onset":  # what random weights need
            assert value is True
        else:
            full = model_config(name)["options"][option]
            assert isinstance(value, int | list), option
            assert not isinstance(value, bool), option
            assert value < full or isinstance(value, list), option


@pytest.mark.parametrize(
    ("name", "epochs", "rate"),
    [
        ("dual_branch", 1, 3e-3 * (1 + math.cos(math.pi / 10)) / 2),
        ("mmnet", 1, 8e-4 * 0.987),
        ("nmer", 10, 0.5e-3),
    ],
)
def test_learning_rates_are_those_of_the_papers(name: str, epochs: int, rate: float) -> None:
    block = model_config(name)
    model = outline(name, 3, **small_options(name))
    settings = TrainingSettings.from_config(block["training"])
    optimizer = settings.make_optimizer(model)
    scheduler = settings.make_scheduler(optimizer)
    assert scheduler is not None
    optimizer.step()
    for _ in range(epochs):
        scheduler.step()
    assert optimizer.param_groups[-1]["lr"] == pytest.approx(rate)
    if name == "nmer":  # its trunk learns more slowly
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate / 100)
