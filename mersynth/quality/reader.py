"""AU readers, such as a small network that compares a frame with the onset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mersynth import logs
from mersynth.devices import has_fast_bf16
from mersynth.facs.action_units import CONDITION_AUS, SIDES

BATCH = 64
_FIRST_COLUMN = 3  # of eight: a side is read from its own half and slightly beyond the middle


class Estimator(nn.Module):
    """Reads AU intensities from an onset frame and a later frame of the same face.

    The left side is read from the image's right half, and the right side in the same way from the
    mirrored left half; from the whole face, the network would be slow to learn the difference.

    Shape:
        - onset, frame: (B, 3, H, W) in [0, 1]; output: (B, 20, 2), left and right, about [0, 1].
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 6
        for following, stride in ((32, 2), (48, 1), (64, 2), (64, 1), (96, 2), (96, 1)):
            layers += [
                nn.Conv2d(channels, following, 3, stride, padding=1),
                nn.BatchNorm2d(following),
                nn.ReLU(inplace=True),
            ]
            channels = following
        self.main = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(8))
        # Faces are framed alike, so a position in the image identifies the muscle there.
        self.head = nn.Sequential(
            nn.Flatten(2),
            nn.Linear(8 * (8 - _FIRST_COLUMN) * channels, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(0.3),
            nn.Linear(256, len(CONDITION_AUS)),
        )

    def forward(self, onset: Tensor, frame: Tensor) -> Tensor:
        """Read the AUs of frames (B, 3, H, W)."""
        seen = self.main(torch.cat([2 * onset - 1, 10 * (frame - onset)], 1))  # (B, C, 8, 8)
        halves = torch.stack([seen, seen.flip(-1)], 1)[..., _FIRST_COLUMN:]  # (B, 2, C, 8, 5)
        return self.head(halves).transpose(1, 2)


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """Training data of an estimator.

    Attributes:
        onset, frame: (M, 3, H, W) in [0, 1].
        truth: (M, 20, 2) in [0, 1], left and right; NaN where not known.
    """

    onset: Tensor
    frame: Tensor
    truth: Tensor


def fit(pairs: Pairs, epochs: int, seed: int, device: str | torch.device = "cpu") -> Estimator:
    """Train an estimator.

    Half of the pairs, drawn again in every pass, are mirrored with their sides swapped; faces must
    be centred in the image.

    Args:
        pairs: at least a batch of 64.
        epochs: passes over the pairs.
        seed: of weights, order and dropout; the global random state is not changed.
        device: where to train.

    Raises:
        ValueError: if the pairs are fewer than a batch.
    """
    device = torch.device(device)
    quick = has_fast_bf16(device)  # emulated bf16 takes ten times as long as float32
    batches = len(pairs.frame) // BATCH
    if not batches:
        raise ValueError(
            f"{len(pairs.frame)} frames are fewer than a batch of {BATCH}; give more of them"
        )
    with (
        torch.random.fork_rng(),
        logs.progress("training the AU reader", epochs * batches, "steps") as step,
    ):
        torch.manual_seed(seed)
        estimator = Estimator().to(device)
        optimiser = torch.optim.AdamW(estimator.parameters(), weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs * batches)
        for _ in range(epochs):
            for chosen in torch.randperm(len(pairs.frame))[: BATCH * batches].split(BATCH):
                onset, frame, truth = (each.to(device) for each in _mirrored(pairs, chosen))
                with torch.autocast(device.type, torch.bfloat16, enabled=quick):
                    read = estimator(onset, frame)
                loss = _loss(read.float(), truth)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                step(1)
    return estimator.eval()


def _mirrored(pairs: Pairs, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Onsets, frames and truth of the chosen pairs, half of them mirrored."""
    turned = torch.rand(len(chosen)) < 0.5
    values = pairs.onset[chosen], pairs.frame[chosen], pairs.truth[chosen]
    onset, frame, truth = (
        torch.where(turned.view(-1, *[1] * (value.dim() - 1)), value.flip(-1), value)
        for value in values
    )
    return onset, frame, truth


def _loss(read: Tensor, truth: Tensor) -> Tensor:
    known = truth.isfinite()
    if bool(known.all()):
        return F.mse_loss(read, truth)
    return F.mse_loss(read[known], truth[known]) if bool(known.any()) else 0 * read.sum()


@dataclass(frozen=True, eq=False, slots=True)
class Reader:
    """An AU reader and what is known about it.

    Attributes:
        name: name of the reader.
        how: how it was made, in words.
        read: (N, K, H, W, 3) uint8 frames, the first of each clip being the onset, to
            (N, K, 20, 2) intensities, left and right, above the onset's.
        trained_on: ids of the subjects of the two stores that it was trained on.
        held_out: (20,) correlation with the truth, over both sides, on held-out rendered frames;
            NaN where not measured.
        sides: whether it distinguishes the sides; else both have the same value.
        side_errors: mean error of the left and the right sides on these frames; None without them.
    """

    name: str
    how: str
    read: Callable[[np.ndarray], np.ndarray]
    trained_on: frozenset[str] = frozenset()
    held_out: np.ndarray = field(default_factory=lambda: np.full(len(CONDITION_AUS), np.nan))
    sides: bool = True
    side_errors: tuple[float, float] | None = None


def reading(
    estimator: Estimator, device: str | torch.device = "cpu", unit: float = 1.0
) -> Callable[[np.ndarray], np.ndarray]:
    """An estimator as :attr:`Reader.read`; the onset itself reads as 0.

    Args:
        estimator: the network.
        device: where it is and computes.
        unit: intensity that an output of 1 stands for.
    """

    @torch.inference_mode()
    def read(frames: np.ndarray) -> np.ndarray:
        count, moments = frames.shape[:2]
        found = np.zeros((count, moments, len(CONDITION_AUS), len(SIDES)), np.float32)
        per = max(1, 256 // moments)
        with logs.progress("reading AUs", count, "clips") as step:
            for first in range(0, count, per):
                part = torch.from_numpy(frames[first : first + per]).to(device)
                images = part.movedim(-1, 2).float() / 255
                onset = images[:, :1].expand_as(images[:, 1:]).flatten(0, 1)
                values = unit * estimator(onset, images[:, 1:].flatten(0, 1))
                found[first : first + per, 1:] = (
                    values.unflatten(0, (len(part), moments - 1)).cpu().numpy()
                )
                step(len(part))
        return found

    return read
