"""A handful of phantom clips with their true flow, and learning them by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth.config import config_folder
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.motion.flow import optical_strain
from mersynth.sources.phantom.population import clip_specs, render_clip
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject
from mersynth.store import ClipStore
from mersynth.store_writer import StoreWriter
from recognizers.models import Recognizer

CELLS = ("6+12", "4+7", "1+2", "6+12", "4+7", "1+2")
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def model_config(name: str) -> Any:
    """A config of ``configs/model`` as plain dicts."""
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return OmegaConf.to_container(compose(f"model/{name}").model)


def phantom_clips(num_frames: int = 2, size: int = 28) -> tuple[Tensor, Tensor]:
    """Clips (6, T, 3, size, size) that end in the apex, and its flow and strain (6, 3, ...).

    They are rendered at 64 pixels and averaged down.
    """
    clips, flows = [], []
    for number, cell in enumerate(CELLS):
        aus = torch.zeros(num_frames, 20, 2)
        for au in parse_au_cell(cell).numbers:
            strength = torch.linspace(0, 0.8, num_frames)
            aus[:, CONDITION_AUS.index(au)] = strength[:, None]
        renderer = PhantomRenderer(PhantomSubject.sample(number), 64)
        rendered = renderer.render(aus, flow=True)
        assert rendered.flow is not None
        clips.append(F.interpolate(rendered.frames, (size, size), mode="area"))
        flows.append(rendered.flow[-1])
    flow = torch.stack(flows)
    flow_strain = torch.cat([flow, optical_strain(flow)], dim=1)
    return torch.stack(clips), F.interpolate(flow_strain, (size, size), mode="area")


def phantom_store(path: Path, size: int = 32) -> ClipStore:
    """Five clips with an apex: two of anger, each one of happiness, surprise and disgust."""
    counts = {"anger": 2, "happiness": 1, "surprise": 1, "disgust": 1}
    specs = clip_specs(subjects=2, counts=counts, max_frames=9)
    header = {"source": "phantom", "licence": "none"}
    with StoreWriter(path, [spec.clip for spec in specs], size, header) as writer:
        for spec in specs:
            writer.add(*render_clip(spec, size))
        return writer.finish()


def standardised(images: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 per channel."""
    flat = images.transpose(0, 1).flatten(1)
    shape = (-1, 1, 1)
    return (images - flat.mean(1).view(shape)) / flat.std(1).view(shape)


def accuracy_after(
    model: Recognizer, inputs: dict[str, Tensor], labels: Tensor, training: dict[str, Any]
) -> float:
    """Train on all clips at once, a step an epoch, with a config's optimiser; then ask again.

    Batch normalisation's averages, which are of all the steps before, are taken anew at the end:
    a handful of steps is too few for them to follow.
    """
    options = dict(training["optimizer"])
    optimizer = getattr(torch.optim, options.pop("name"))(model.parameters(), **options)
    model.train()
    for _ in range(training["epochs"]):
        loss = model.loss(model(**inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for _ in range(3):
            model(**inputs)
        return (model.eval()(**inputs).logits.argmax(1) == labels).float().mean().item()
