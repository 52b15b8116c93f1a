"""Every config of a system: its model is built, its training and augmentation are known."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from mersynth import config
from recognizers.augmenting import Augmenting
from recognizers.models import create_model, list_models
from recognizers.settings import TrainingSettings

NAMES = sorted(file.stem for file in (config.config_folder() / "model").glob("*.yaml"))


def block_of(name: str) -> dict[str, Any]:
    settings = config.load("evaluate", [f"model={name}"])
    block = OmegaConf.to_container(settings.model, resolve=True)
    assert isinstance(block, dict)
    return block  # type: ignore[return-value]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_whole(name: str) -> None:
    block = block_of(name)
    assert set(block) <= {"name", "options", "features", "augment", "training"}
    options = block["options"]
    if options.get("weights") == "imagenet":
        options["weights"] = "none"  # the files are downloaded at first use
        options.update({key: False for key in ("freeze",) if key in options})
    # Shapes without numbers: real sizes cost nothing. What is fitted at once is small anyhow.
    with torch.device("cpu" if block["name"].endswith("_svm") else "meta"):
        model = create_model(block["name"], 3, **options)
    parameters = inspect.signature(type(model)).parameters
    assert set(options) == set(parameters) - {"num_classes"}, "a config names every option"
    settings = TrainingSettings.from_config(block.get("training") or {}, model.fits_directly)
    if not model.fits_directly:
        settings.make_scheduler(settings.make_optimizer(model))
    Augmenting(block.get("augment") or {}, model.inputs)


def test_every_system_has_a_config_and_a_small_one() -> None:
    names = set(list_models())
    assert names <= set(NAMES)
    assert {f"{name}_tiny" for name in names} <= set(NAMES)
