"""Training of MagNet on procedural textures and phantom faces."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth import logs
from mersynth.disk.lock import hold
from mersynth.disk.state_files import load_state_file, save_state_file
from mersynth.motion.magnify.checkpoint import MagNetError
from mersynth.motion.magnify.magnet import MagNet
from mersynth.motion.magnify.pairs import Batch, Pairs, perturb, texture_pairs

logger = logging.getLogger(__name__)

_STATE = "magnet-state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class MagNetTraining:
    """Settings of a training.

    Attributes:
        steps: optimiser steps.
        batch_size: pairs per step; half of them phantom faces.
        size: side of the patches, in pixels.
        learning_rate: peak of the one-cycle schedule.
        warm_up: share of the steps in which the learning rate rises.
        weight_consistency: weight of texture and shape consistency (paper: 0.1).
        weight_moving: weight of the error where something moves, because most pixels of a patch
            only teach copying; not in the paper, whose training is some hundred times longer.
        largest_alpha: largest alpha trained on.
        largest_motion: largest displacement in the truth of textures, in pixels.
        noise: see :func:`mersynth.motion.magnify.pairs.perturb`.
        colour: see :func:`mersynth.motion.magnify.pairs.perturb`.
        ema_decay: decay of the weights' moving average, which is shipped.
        seed: determines weights and data.
        save_every: steps between saved states.
    """

    steps: int = 3800
    batch_size: int = 4
    size: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    weight_consistency: float = 0.1
    weight_moving: float = 1.0
    largest_alpha: float = 12.0
    largest_motion: float = 8.0
    noise: float = 0.3
    colour: float = 0.15
    ema_decay: float = 0.995
    seed: int = 0
    save_every: int = 100


def magnet_losses(model: MagNet, batch: Batch) -> dict[str, Tensor]:
    """The paper's terms: ``L1(Y, Y^)``, and L1 between textures and shapes that must agree.

    Textures agree between frames of the same colours, shapes between frames of the same motion:
    ``L1(V_a, V_b) + L1(V'_b, V'_y) + L1(M_b, M'_b)``, a prime meaning other colours.

    Returns:
        ``reconstruction``, ``texture``, ``shape``, and ``moving``: the reconstruction's error
        averaged with the weight ``|Y - X_b|``, that is, where magnification changes something.
    """
    frames = [batch.first, batch.second, batch.plain_second, batch.magnified]
    texture, shape = model.encoder(torch.cat(frames) * 2 - 1)
    v_a, v_b_other, v_b, v_y_other = texture.chunk(4)
    m_a, m_b_other, m_b, _ = shape.chunk(4)
    y = model.decoder(v_b_other, model.manipulator(m_a, m_b_other, batch.alpha))
    error = ((y.float() + 1) / 2 - batch.magnified).abs()
    change = (batch.magnified - batch.second).abs()
    return {
        "reconstruction": error.mean(),
        "moving": (error * change).mean() / change.mean().clamp(min=1e-6),
        "texture": F.l1_loss(v_a.float(), v_b.float())
        + F.l1_loss(v_b_other.float(), v_y_other.float()),
        "shape": F.l1_loss(m_b.float(), m_b_other.float()),
    }


class MagNetTrainer:
    """A model with its optimiser and moving average; continues where a killed run stopped.

    Args:
        settings: the settings.
        faces: pairs of phantom faces, uint8-like floats in [0, 1], to draw half of a batch from.
        folder: where the state is kept.
    """

    def __init__(self, settings: MagNetTraining, faces: Pairs, folder: Path) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.faces, self.folder = settings, faces, folder
        self.model = MagNet()
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimiser = torch.optim.Adam(self.model.parameters(), betas=(0.9, 0.99))
        self.step = 0
        self.recent: dict[str, float] = {}

    def run(self) -> MagNet:
        """Train to the end; returns the model with averaged weights.

        Raises:
            MagNetError: if the folder holds the state of another training, or a damaged one.
            InUseError: if another process trains in the folder.
        """
        with hold(self.folder):
            return self._train()

    def _train(self) -> MagNet:
        s = self.settings
        if (self.folder / _STATE).exists():
            self._load()
        with logs.progress("training MagNet", s.steps - self.step, "steps") as advance:
            while self.step < s.steps:
                self._one_step()
                advance(1)
                if self.step % s.save_every == 0 or self.step == s.steps:
                    self._save()
                    shown = {name: round(value, 5) for name, value in self.recent.items()}
                    logger.info("step %d: %s", self.step, shown)
        self.model.load_state_dict(self.average)
        return self.model.eval()

    def draw(self, step: int) -> Batch:
        """The batch of a step, which depends only on the seed and the step."""
        s = self.settings
        generator = torch.Generator().manual_seed((s.seed << 32) + step)
        textures = s.batch_size // 2
        drawn = texture_pairs(textures, s.size, s.largest_alpha, s.largest_motion, generator)
        rows = torch.randint(len(self.faces.alpha), (s.batch_size - textures,), generator=generator)
        faces = Pairs(*(values[rows] for values in self.faces))
        if torch.rand((), generator=generator) < 0.5:
            faces = Pairs(*(x.flip(-1) if x.dim() == 4 else x for x in faces))
        both = Pairs(*(torch.cat(pair) for pair in zip(drawn, faces, strict=True)))
        return perturb(both, s.noise, s.colour, generator)

    def _one_step(self) -> None:
        s = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = s.learning_rate * one_cycle((self.step + 0.5) / s.steps, s.warm_up)
        batch = self.draw(self.step)
        with torch.autocast("cpu", dtype=torch.bfloat16):  # 1.5 times as fast as float32
            losses = magnet_losses(self.model, batch)
        total = (
            losses["reconstruction"]
            + s.weight_moving * losses["moving"]
            + s.weight_consistency * (losses["texture"] + losses["shape"])
        )
        self.optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(s.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 1 - decay)
        for name, value in losses.items():
            old = self.recent.get(name, value.item())
            self.recent[name] = 0.99 * old + 0.01 * value.item()

    def _save(self) -> None:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{k}": v for k, v in moments.items()}
        metadata = {"step": str(self.step), "settings": self._settings(),
                    "recent": json.dumps(self.recent)}  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state_file(self.folder / _STATE, tensors, metadata)

    def _load(self) -> None:
        path = self.folder / _STATE
        try:
            tensors, metadata = load_state_file(path)
        except ValueError as error:
            raise MagNetError(f"{error}; remove {self.folder} and train again") from error
        if metadata["settings"] != self._settings():
            raise MagNetError(
                f"{path} was begun with {metadata['settings']}, not with {self._settings()}; use "
                "the former, or choose another folder"
            )
        self.model.load_state_dict(_under(tensors, "model/"))
        self.average = _under(tensors, "average/")
        moments: dict[int, dict[str, Any]] = {}
        for key, value in _under(tensors, "optimiser/").items():
            index, name = key.split("/")
            moments.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.step, self.recent = int(metadata["step"]), json.loads(metadata["recent"])

    def _settings(self) -> str:
        return json.dumps(asdict(self.settings), sort_keys=True)


def one_cycle(share: float, warm_up: float) -> float:
    """Learning rate's factor after this share of the steps: linear rise to 1, cosine fall to 0."""
    if share < warm_up:
        return share / warm_up
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
