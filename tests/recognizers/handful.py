"""A handful of phantom clips to be learnt by heart, and what tests of models share."""

from __future__ import annotations

from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn

from mersynth.config import config_folder
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject

CELLS = ["6+12", "4+7", "1+2", "6+12", "4+7", "1+2"]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def model_config(name: str) -> Any:
    """The whole of ``configs/model/<name>.yaml``."""
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return OmegaConf.to_container(compose(f"model/{name}").model)


def model_configs(prefix: str) -> list[str]:
    """Names of the configs that begin so."""
    return sorted(file.stem for file in (config_folder() / "model").glob(f"{prefix}*.yaml"))


def phantom_clips(size: int, num_frames: int) -> Tensor:
    """(6, T, 3, size, size) in [0, 1]: ``CELLS`` from rest to apex and back, of two subjects."""
    strength = torch.linspace(0, torch.pi, num_frames).sin().clamp(min=0)
    clips = []
    for number, cell in enumerate(CELLS):
        renderer = PhantomRenderer(PhantomSubject.sample(number // 3), size)
        aus = torch.zeros(num_frames, 20, 2)
        for au in parse_au_cell(cell).numbers:
            aus[:, CONDITION_AUS.index(au)] = strength[:, None]
        clips.append(renderer.render(aus).frames)
    return torch.stack(clips)


def grey(frames: Tensor) -> Tensor:
    """(..., 3, H, W) to (..., 1, H, W)."""
    return torch.einsum("...chw,c->...hw", frames, torch.tensor([0.299, 0.587, 0.114]))[
        ..., None, :, :
    ]


def without_gradient(model: nn.Module) -> list[str]:
    """Names of trainable parameters that have no gradient, one of zeros, or one not finite."""
    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad
        and (p.grad is None or not p.grad.isfinite().all() or not p.grad.abs().max() > 0)
    ]


def learn_by_heart(
    model: Any, inputs: dict[str, Tensor], steps: int, lr: float, **targets: Tensor
) -> list[int]:
    """Train on ``LABELS`` with Adam, all at once; the classes that the model then tells."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(model(**inputs), LABELS, **targets).backward()
        optimizer.step()
        schedule.step()
    _settle(model, inputs)
    return model.eval()(**inputs).logits.argmax(1).tolist()


@torch.no_grad()
def _settle(model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Give batch normalisation the statistics of the final weights, which few steps do not."""
    norms = [
        m
        for m in model.modules()
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    ]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        model(**inputs)
