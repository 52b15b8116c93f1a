"""The state of a training run in one safetensors file, from which a killed run can resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mersynth.checks import listed
from mersynth.disk.files import differences
from mersynth.disk.state_files import load_state_file, save_state_file
from mersynth.gan.checkpoint import CheckpointError
from mersynth.gan.trainer import Trainer

STATE = "state.safetensors"


def save_state(folder: Path, trainer: Trainer, step: int, run: Mapping[str, Any]) -> None:
    """Write networks, their average, the optimisers' moments and the step, all or nothing.

    Args:
        folder: the run's folder.
        trainer: what to save.
        step: generator steps done.
        run: JSON-able description of the run; a later :func:`load_state` must give the same.
    """
    tensors = _walk(trainer)
    for name, optimiser in trainer.optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            for key, value in moments.items():
                tensors[f"optimiser/{name}/{index}/{key}"] = value
    metadata = {"step": str(step), "run": json.dumps(run, sort_keys=True)}
    save_state_file(folder / STATE, tensors, metadata)


def load_state(folder: Path, trainer: Trainer, run: Mapping[str, Any]) -> int:
    """Load what :func:`save_state` wrote; returns the number of generator steps done.

    Raises:
        CheckpointError: if the file cannot be read, is damaged, or belongs to another run.
    """
    path = folder / STATE
    try:
        tensors, metadata = load_state_file(path)
    except ValueError as error:
        raise CheckpointError(f"{error}; remove {folder} and train again") from error
    _check_same_run(path, json.loads(metadata["run"]), run)
    wanted = _walk(trainer)
    for name, value in wanted.items():
        if name not in tensors or tensors[name].shape != value.shape:
            raise CheckpointError(
                f"{path} was written by another version of mersynth: {name} has shape "
                f"{tuple(tensors[name].shape) if name in tensors else 'none'}, expected "
                f"{tuple(value.shape)}; remove {folder} and train again"
            )
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])
    for name, optimiser in trainer.optimisers.items():
        state = optimiser.state_dict()
        prefix = f"optimiser/{name}/"
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(prefix):
                index, what = key.removeprefix(prefix).split("/")
                moments.setdefault(int(index), {})[what] = value
        optimiser.load_state_dict({**state, "state": moments})
    return int(metadata["step"])


def _walk(trainer: Trainer) -> dict[str, Tensor]:
    modules = {**trainer.networks, "average": trainer.average}
    return {
        f"{part}/{name}": value
        for part, module in modules.items()
        for name, value in module.state_dict().items()
    }


def _check_same_run(path: Path, stored: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    if not (differing := differences(stored, wanted)):
        return
    begun = stored.get("config", {}).get("precision")
    hint = (
        f" (precision=auto depends on the machine: add precision={begun} to continue this run)"
        if begun != wanted.get("config", {}).get("precision")
        else ""
    )
    raise CheckpointError(
        f"{path} belongs to another run: {listed(differing, 5, '; ')}{hint}; repeat the command "
        "that began it, or choose another --out"
    )
