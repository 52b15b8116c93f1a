"""A handful of phantom clips to be memorised, and other things that tests of models share."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.augment import au_sets
from mersynth.config import config_folder
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.motion.flow import optical_strain
from mersynth.motion.luma import LUMA
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.models import Recognizer, create_model
from recognizers.models.au_graph import au_labels

CELLS = ["6+12", "4+7", "1+2", "6+12", "4+7", "1+2"]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
DOMAIN = torch.tensor([0, 0, 0, 1, 1, 1])


# --- configs -------------------------------------------------------------------------------------


def model_config(name: str) -> dict[str, Any]:
    """The whole of ``configs/model/<name>.yaml``, resolved."""
    return copy.deepcopy(_compose(name.partition("_")[0])[name])


# Hydra takes more than 0.1 s for a composition, however many configs it is of.
@functools.cache
def _compose(start: str) -> dict[str, dict[str, Any]]:
    names = [name for name in model_configs() if name.partition("_")[0] == start]
    groups = [f"+model@number_{i}={name}" for i, name in enumerate(names)]
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        composed = OmegaConf.to_container(compose(overrides=groups), resolve=True)
    assert isinstance(composed, dict)
    return {name: composed[f"number_{i}"] for i, name in enumerate(names)}


def model_configs() -> list[str]:
    """Names of all configs."""
    return sorted(file.stem for file in (config_folder() / "model").glob("*.yaml"))


def small_options(name: str) -> dict[str, Any]:
    """A config's options at the sizes of its system's small config, with random weights."""
    chosen = model_config(name)
    full, tiny = (model_config(f"{chosen['name']}{end}")["options"] for end in ("", "_tiny"))
    sizes = {option: value for option, value in tiny.items() if value != full[option]}
    weights = {"weights": "none"} if "weights" in tiny else {}
    return {**chosen["options"], **sizes, **weights}


# --- clips ---------------------------------------------------------------------------------------


def phantom_clips(size: int, num_frames: int) -> Tensor:
    """(6, T, 3, size, size) in [0, 1]: ``CELLS`` from rest to apex and back, of two subjects."""
    return _render(size, num_frames)[0].clone()


def phantom_flow(size: int) -> Tensor:
    """(6, 3, size, size), standardised: true flow u, v to the apex of ``CELLS``, and its strain.

    It is rendered at 64 pixels and averaged down.
    """
    flow = _render(64, 3)[1][:, 1]
    flow_strain = torch.cat([flow, optical_strain(flow)], dim=1)
    return standardised(F.interpolate(flow_strain, (size, size), mode="area"))


@functools.cache
def _render(size: int, num_frames: int) -> tuple[Tensor, Tensor]:
    strength = torch.linspace(0, torch.pi, num_frames).sin().clamp(min=0)
    renderers = [PhantomRenderer(PhantomSubject.sample(number), size) for number in range(2)]
    clips, flows = [], []
    for number, cell in enumerate(CELLS):
        aus = torch.zeros(num_frames, 20, 2)
        for au in parse_au_cell(cell).numbers:
            aus[:, CONDITION_AUS.index(au)] = strength[:, None]
        rendered = renderers[number // 3].render(aus, flow=True)
        assert rendered.flow is not None
        clips.append(rendered.frames)
        flows.append(rendered.flow)
    return torch.stack(clips), torch.stack(flows)


def phantom_store(path: Path, size: int = 32) -> ClipStore:
    """Five clips with an apex: two of anger, each one of happiness, surprise and disgust."""
    counts = {"anger": 2, "happiness": 1, "surprise": 1, "disgust": 1}
    specs = clip_specs(subjects=2, counts=counts, max_frames=9)
    header = {"source": "phantom", "licence": "none"}
    with StoreWriter(path, [spec.clip for spec in specs], size, header) as writer:
        for spec in specs:
            writer.add(*render_clip(spec, size))
        return writer.finish()


def grey(frames: Tensor) -> Tensor:
    """(..., 3, H, W) to (..., 1, H, W)."""
    return torch.einsum("...chw,c->...hw", frames, torch.tensor(LUMA))[..., None, :, :]


def standardised(images: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 per channel."""
    flat = images.transpose(0, 1).flatten(1)
    shape = (-1, 1, 1)
    return (images - flat.mean(1).view(shape)) / flat.std(1).view(shape)


# --- models --------------------------------------------------------------------------------------


def made(name: str, **options: Any) -> Recognizer:
    """``create_model`` for three classes, from one seed; a copy, where one was just made alike."""
    model = copy.deepcopy(_made(name, tuple(sorted(options.items()))))
    torch.manual_seed(0)
    return model


# To draw the numbers of a large network takes ten times as long as to copy them.
@functools.lru_cache(maxsize=1)
def _made(name: str, options: tuple[tuple[str, Any], ...]) -> Recognizer:
    torch.manual_seed(0)
    return create_model(name, 3, **dict(options))


def small_model(config: str) -> Recognizer:
    """A config's model for ``CELLS``, of ``small_options``."""
    torch.manual_seed(0)
    model = create_model(model_config(config)["name"], 3, **small_options(config))
    model.see_training_fold(CELLS)
    return model


def noise_for(model: Recognizer, count: int = 6) -> dict[str, Tensor]:
    """Random inputs that fit."""
    generator = torch.Generator().manual_seed(3)
    inputs = {}
    for name, spec in model.inputs.items():
        low, high = spec.range or (-6.0, 6.0)
        inputs[name] = low + (high - low) * torch.rand(count, *spec.shape, generator=generator)
    return inputs


def targets_for(model: Recognizer) -> dict[str, Tensor]:
    """What the model's loss needs besides ``LABELS``."""
    known = {
        "au_set": lambda: au_sets(CELLS),
        "aus": lambda: au_labels(CELLS, model.aus),  # type: ignore[arg-type]
        "class_weights": lambda: torch.ones(model.num_classes),
        "domain": lambda: DOMAIN,
    }
    return {name: known[name]() for name in model.targets}


def without_gradient(model: nn.Module) -> list[str]:
    """Names of trainable parameters whose gradient is missing, zero or not finite."""
    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad
        and (p.grad is None or not p.grad.isfinite().all() or not p.grad.abs().max() > 0)
    ]


def memorise(
    model: Any,
    inputs: dict[str, Tensor],
    steps: int,
    lr: float,
    lead: float = 1.0,
    **targets: Tensor,
) -> list[int]:
    """Train on ``LABELS`` with Adam, all at once, until each clip is right with a margin.

    Rounding, and with it the number of threads and the processor, changes what a few steps learn:
    a test that asked for the right answers alone would pass by luck.

    Args:
        model: a recognizer, which is left trained.
        inputs: of the six clips.
        steps: largest number of steps; whether the clips are learned is checked ten times.
        lr: learning rate at the first step; it falls to a fiftieth at the last.
        lead: by which the logit of a clip's class leads all others.
        targets: what the loss needs besides the labels.

    Returns:
        The six classes that the model then tells; -1 where none leads by so much.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr, fused=True)  # a third faster, with large layers
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, steps)
    told: list[int] = []
    for step in range(1, steps + 1):
        model.train()
        optimizer.zero_grad()
        model.loss(model(**inputs), LABELS, **targets).backward()
        optimizer.step()
        schedule.step()
        if step % -(-steps // 10) == 0 or step == steps:
            told = _told(model, inputs, lead)
            if told == LABELS.tolist():
                break
    return told


@torch.no_grad()
def _told(model: nn.Module, inputs: dict[str, Tensor], lead: float) -> list[int]:
    _settle(model, inputs)
    best, classes = model.eval()(**inputs).logits.topk(2, 1)
    return torch.where(best[:, 0] - best[:, 1] >= lead, classes[:, 0], -1).tolist()


@torch.no_grad()
def _settle(model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Give batch normalisation the statistics of the weights as they now are."""
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    norms = [module for module in model.modules() if isinstance(module, kinds)]
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of what follows
    for _ in range(3 if norms else 0):
        model(**inputs)
