"""Training settings: what a config may contain, and the torch objects made from it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from mersynth import config
from mersynth.config import ConfigError
from recognizers.training.settings import TrainingSettings

ADAM = {"name": "Adam", "lr": 0.1}


def settings(**block: Any) -> TrainingSettings:
    return TrainingSettings.from_config({"epochs": 2, "batch_size": 4, "optimizer": ADAM, **block})


def test_optimizer_and_scheduler_are_torchs() -> None:
    model = nn.ModuleDict(
        {"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 3), "header": nn.Linear(1, 1)}
    )
    optimizer = {"name": "AdamW", "lr": 0.1, "weight_decay": 0.5, "groups": {"head": {"lr": 0.3}}}
    chosen = settings(
        optimizer=optimizer, scheduler={"name": "StepLR", "step_size": 1, "gamma": 0.5}
    )
    made = chosen.make_optimizer(model)
    assert isinstance(made, torch.optim.AdamW)
    head, rest = made.param_groups
    assert (head["lr"], rest["lr"], rest["weight_decay"]) == (0.3, 0.1, 0.5)
    assert {id(p) for p in head["params"]} == {id(p) for p in model["head"].parameters()}
    assert len(rest["params"]) == 4
    scheduler = chosen.make_scheduler(made)
    assert scheduler is not None
    made.step()
    scheduler.step()
    assert [group["lr"] for group in made.param_groups] == pytest.approx([0.15, 0.05])
    assert settings().make_scheduler(made) is None


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"epochs": 0}, "training.epochs must be a whole number from 1, got 0"),
        ({"epoch_clips": 0}, "training.epoch_clips must be a whole number from 1, got 0"),
        ({"batch_size": 2.5}, r"training.batch_size must be a whole number from 1, got 2\.5"),
        ({"sampler": "even"}, "sampler must be one of shuffle, class_balanced, .*got 'even'"),
        ({"gradient_clip": 0.0}, r"gradient_clip must be above 0, got 0\.0"),
        ({"optimizer": {"name": "Adm"}}, "optimizer.name must be one of .*Adam.* got 'Adm'"),
        ({"optimizer": {"lr": 1}}, "optimizer.name must be one of .* got None"),
        ({"scheduler": {"name": "Optimizer"}}, "scheduler.name must be one of .*StepLR"),
        ({"epoch": 3}, "training has no epoch; it has epochs, batch_size"),
    ],
)
def test_what_does_not_fit_is_refused(block: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**block)


def test_what_torch_refuses_is_reported() -> None:
    model = nn.ModuleDict({"trunk": nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match="training lacks optimizer"):
        TrainingSettings.from_config({"epochs": 1, "batch_size": 1})
    with pytest.raises(
        ConfigError, match=r"groups: no .* with 'head'; the model's parts are trunk"
    ):
        settings(optimizer={**ADAM, "groups": {"head": {"lr": 1.0}}}).make_optimizer(model)
    with pytest.raises(ConfigError, match=r"training\.optimizer: .*learning rate"):
        settings(optimizer={"name": "Adam", "lr": -1.0}).make_optimizer(model)
    optimizer = settings().make_optimizer(model)
    with pytest.raises(ConfigError, match=r"training.scheduler: .*'gama'"):
        settings(scheduler={"name": "StepLR", "gama": 1}).make_scheduler(optimizer)


def test_all_rates_can_be_multiplied_at_once() -> None:
    groups = {"trunk": {"lr": 1e-3}, "head": {"weight_decay": 0.1}}
    block = {"name": "Adam", "lr": 1e-2, "groups": groups}
    slower = TrainingSettings(optimizer=block).at_rates_times(0.5).optimizer
    assert slower == {
        "name": "Adam",
        "lr": 5e-3,
        "groups": {"trunk": {"lr": 5e-4}, "head": {"weight_decay": 0.1}},
    }
    assert groups["trunk"]["lr"] == 1e-3
    with pytest.raises(ConfigError, match="must be a number above 0, got 0"):
        TrainingSettings(optimizer=block).at_rates_times(0)
    with pytest.raises(ConfigError, match=r"optimizer\.lr, which is not given"):
        TrainingSettings(optimizer={"name": "Adam"}).at_rates_times(0.5)


def test_every_system_takes_all_settings_of_training() -> None:
    told = config.load("evaluate", ["model=ststnet", "model.training.sampler=class_balanced"])
    block: Any = OmegaConf.to_container(told.model.training)
    assert TrainingSettings.from_config(block).sampler == "class_balanced"
    optional = {key.rpartition(".")[2] for key in config.OPTIONAL["evaluate"]}
    for file in sorted((config.config_folder() / "model").glob("*.yaml")):
        given = set(config.load("evaluate", [f"model={file.stem}"]).model.get("training", {}))
        if given - {"standardise"}:  # else it is fitted directly
            assert {each.name for each in fields(TrainingSettings)} <= given | optional
