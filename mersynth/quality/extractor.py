"""Feature extractors: Inception if its weights are on disk, else a small network.

The small network is trained on the real store to distinguish its subjects. Classes would be the
alternative, but a single frame of a micro-expression hardly shows its class, whereas identity
involves the whole face; features that distinguish people also show whether a face stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth import logs
from mersynth.quality.sample import NotMeasuredError, Sample

_BATCH = 64
_INCEPTION = "inception_v3_google-*.pth"  # torchvision's name for its ImageNet weights


@dataclass(frozen=True, eq=False, slots=True)
class Extractor:
    """A feature extractor and what is known about it.

    Attributes:
        name: what it is.
        task: what it was trained for, and on what.
        accuracy: on clips that it was not trained on, in [0, 1]; None if not measured.
        chance: accuracy of naming the most frequent subject.
        features: (M, H, W, 3) uint8 frames to (M, D) float32.
    """

    name: str
    task: str
    accuracy: float | None
    chance: float | None
    features: Callable[[np.ndarray], np.ndarray]


class SmallNet(nn.Module):
    """Frames (B, 3, H, W) in [0, 1] to features (B, 64); ``head`` classifies the subjects."""

    def __init__(self, subjects: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for following in (32, 64, 96, 128):
            layers += [
                nn.Conv2d(channels, following, 3, 2, padding=1),
                nn.BatchNorm2d(following),
                nn.ReLU(inplace=True),
            ]
            channels = following
        self.main = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.features = nn.Linear(4 * channels, 64)
        self.head = nn.Linear(64, subjects)

    def forward(self, frames: Tensor) -> Tensor:
        """Features (B, 64)."""
        return self.features(self.main(2 * frames - 1))


def choose_extractor(
    real: Sample, settings: Mapping[str, Any], device: torch.device, seed: int
) -> Extractor:
    """The extractor in the settings; ``auto`` takes Inception if its weights are available.

    Raises:
        NotMeasuredError: if Inception was asked for and is missing, or the real store has only one
            subject.
    """
    kind = settings["kind"]
    weights = find_inception() if kind in ("auto", "inception") else None
    if weights is not None:
        return _inception(weights, device)
    if kind == "inception":
        raise NotMeasuredError(
            f"Inception's weights ({_INCEPTION}) are not in {_weights_folder()}; put them there or "
            "leave extractor.kind=auto"
        )
    return train_extractor(real, settings["epochs"], settings["held_out"], device, seed)


def find_inception() -> Path | None:
    """Torchvision's Inception v3 weights in torch's own cache, or None; nothing is fetched."""
    return next(iter(sorted(_weights_folder().glob(_INCEPTION))), None)


def _weights_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _inception(weights: Path, device: torch.device) -> Extractor:
    from torchvision.models import inception_v3

    from mersynth.disk.files import read_tensors

    network = inception_v3(weights=None, aux_logits=True, init_weights=False, transform_input=True)
    network.load_state_dict(read_tensors(weights))
    network.fc = nn.Identity()
    network.eval().to(device)

    def forward(frames: Tensor) -> Tensor:
        resized = F.interpolate(frames, (299, 299), mode="bilinear", antialias=True)
        mean = torch.tensor((0.485, 0.456, 0.406), device=device)[:, None, None]
        deviation = torch.tensor((0.229, 0.224, 0.225), device=device)[:, None, None]
        return network((resized - mean) / deviation)

    task = "ImageNet's 1000 classes, torchvision's weights"
    return Extractor("Inception v3", task, None, None, _runner(forward, device))


def train_extractor(
    real: Sample, epochs: int, held_out: float, device: torch.device, seed: int
) -> Extractor:
    """Train the small network to distinguish the subjects of a sample.

    Args:
        real: the clips.
        epochs: passes over all moments of the training clips.
        held_out: share of every subject's clips on which accuracy is measured; none for a subject
            with one clip.
        device: where to train.
        seed: of weights, order and split.
    """
    people, labels = np.unique(real.subjects, return_inverse=True)
    if len(people) < 2:
        raise NotMeasuredError(
            "the real store shows one subject, and Inception's weights are missing: no extractor "
            "can be trained to distinguish people"
        )
    rng = np.random.default_rng([seed, 12])
    test = np.zeros(len(real), bool)
    for person in range(len(people)):
        own = rng.permutation(np.flatnonzero(labels == person))
        test[own[: min(len(own) - 1, max(1, round(held_out * len(own))))]] = True
    frames = torch.from_numpy(real.frames[~test]).flatten(0, 1)
    wanted = torch.from_numpy(labels[~test]).repeat_interleave(real.frames.shape[1])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SmallNet(len(people)).to(device)
        _train(network, frames, wanted, epochs, device)
    network.eval()
    features = _runner(network.forward, device)
    accuracy = chance = None
    if test.any():
        with torch.inference_mode():
            guessed = network.head(torch.from_numpy(features(real.apex_frames[test])).to(device))
        accuracy = float((guessed.argmax(1).cpu().numpy() == labels[test]).mean())
        chance = float(np.bincount(labels[test]).max() / test.sum())
    found = features(real.apex_frames)
    mean, deviation = found.mean(0), np.maximum(found.std(0), 1e-6)
    return Extractor(
        "small CNN trained on the real store",
        f"trained to distinguish {len(people)} subjects on {int((~test).sum())} clips; 64 "
        "features, each standardised over the real apex frames",
        accuracy,
        chance,
        lambda frames: (features(frames) - mean) / deviation,
    )


def _train(
    network: SmallNet, frames: Tensor, wanted: Tensor, epochs: int, device: torch.device
) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    batches = -(-len(frames) // _BATCH)
    with logs.progress("training the feature extractor", epochs * batches, "steps") as step:
        for _ in range(epochs):
            for chosen in torch.randperm(len(frames)).split(_BATCH):
                images = frames[chosen].to(device).movedim(-1, 1).float() / 255
                # Exposure differs between clips and does not identify people.
                images = images * (0.9 + 0.2 * torch.rand(len(images), 1, 1, 1)).to(device)
                loss = F.cross_entropy(network.head(network(images)), wanted[chosen].to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step(1)


def _runner(
    forward: Callable[[Tensor], Tensor], device: torch.device
) -> Callable[[np.ndarray], np.ndarray]:
    @torch.inference_mode()
    def features(frames: np.ndarray) -> np.ndarray:
        parts = [
            forward(part.to(device).movedim(-1, 1).float() / 255).float().cpu().numpy()
            for part in torch.from_numpy(np.ascontiguousarray(frames)).split(_BATCH)
        ]
        return np.concatenate(parts)

    return features


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M,) cosine of rows of two (M, D) arrays."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.maximum(norms, 1e-12)
