"""Training and prediction on clips that stay on the device, batch by batch.

No image is decoded twice, nor copied to the device twice where it has room for all: a batch is a
selection of rows, augmented on the device. Randomness (order, augmentation, dropout) comes from
torch's own generator, which the caller seeds.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mersynth.augment import ORDER, ClipBank, class_weights
from mersynth.augment.samplers import balanced_order
from recognizers.augmenting import Augmenting, needs_bank
from recognizers.clip_arrays import ClipArrays
from recognizers.models.au_graph import au_labels
from recognizers.models.base import Recognizer
from recognizers.settings import TrainingSettings

logger = logging.getLogger(__name__)

_PREDICTED_AT_ONCE = 64
_SHARE_OF_DEVICE = 0.5  # of its free memory; models and batches need the rest


class TrainingError(Exception):
    """A training went astray."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch was like.

    Attributes:
        epoch: its number, from 1.
        loss: mean over its clips.
        train_accuracy: share of its clips that were right while it went on, augmented.
        learning_rate: of the first group of parameters.
    """

    epoch: int
    loss: float
    train_accuracy: float
    learning_rate: float


class Training:
    """A model that learns from some clips and predicts others.

    Args:
        model: on its device; ``see_training_fold`` is called with the clips' AU cells.
        clips: arrays that hold all clips.
        rows: positions of the clips to learn from. Class weights, the statistics of standardised
            inputs and the banks of augmentations are of these and of no others.
        settings: how.
        augment: the block ``augment`` of the model's config.
        device: where the model is.

    Raises:
        ConfigError: if an option of optimizer, scheduler or augmentation does not fit.
        ValueError: if the model needs a target that is not known here.
    """

    def __init__(
        self,
        model: Recognizer,
        clips: ClipArrays,
        rows: Sequence[int],
        settings: TrainingSettings,
        augment: Mapping[str, Mapping[str, Any]],
        device: torch.device,
    ) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.clips = clips
        self.tensors = _tensors(clips, model, device)
        self.home = self.tensors["label"].device
        self.rows = torch.tensor(rows, device=self.home)
        labels = self.tensors["label"][self.rows].cpu()
        self.weights = class_weights(labels, num_classes=len(clips.classes)).to(device)
        self.statistics = (
            _statistics(self.tensors, model, self.rows, device) if settings.standardise else {}
        )
        banks = self._banks() if needs_bank(augment) else None
        self.augment = Augmenting(augment, model.inputs, banks)
        if "aus" in model.targets:
            own = [ORDER.index(number) for number in model.aus]  # type: ignore[union-attr]
            self.au_rows = torch.tensor(own, device=device)
        model.see_training_fold([clips.clips[i].aus for i in rows])

    def run(self, after_epoch: Callable[[Epoch], None]) -> None:
        """Train.

        Args:
            after_epoch: called at the end of every epoch.

        Raises:
            TrainingError: if the loss is no number any more.
        """
        if self.model.fits_directly:
            after_epoch(self._fit_directly())
            return
        optimizer = self.settings.make_optimizer(self.model)
        scheduler = self.settings.make_scheduler(optimizer)
        for number in range(1, self.settings.epochs + 1):
            rate = float(optimizer.param_groups[0]["lr"])
            loss, accuracy = self._epoch(optimizer)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} in epoch {number} at a learning rate of {rate:g}; lower "
                    "model.training.optimizer.lr, or set model.training.gradient_clip"
                )
            if scheduler is not None:
                scheduler.step()
            after_epoch(Epoch(number, loss, accuracy, rate))

    @torch.no_grad()
    def predict(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), C) float64, the probability of each class."""
        self.model.eval()
        chosen = torch.tensor(rows, device=self.home)
        logits = [
            self.model(**self._inputs(self._batch(part))).logits
            for part in chosen.split(_PREDICTED_AT_ONCE)
        ]
        return torch.cat(logits).double().softmax(1).cpu().numpy()

    def _epoch(self, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
        """Mean loss and accuracy of one pass."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        right = torch.zeros((), device=self.device)
        for rows in self._batches():
            batch = self.augment(self._batch(rows))
            output = self.model(**self._inputs(batch))
            loss = self.model.loss(output, batch["label"], **self._targets(batch))
            optimizer.zero_grad()
            loss.backward()
            if self.settings.gradient_clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
            optimizer.step()
            total += loss.detach() * len(rows)
            right += (output.logits.argmax(1) == batch["label"]).sum()
        return float(total) / len(self.rows), float(right) / len(self.rows)

    def _batches(self) -> Iterator[Tensor]:
        """Rows of each batch of an epoch."""
        count = len(self.rows)
        if self.settings.sampler == "shuffle":
            order = torch.randperm(count)
        else:
            key = "label" if self.settings.sampler == "class_balanced" else "subject"
            order = balanced_order(self.tensors[key][self.rows].cpu(), count)
        batches = math.ceil(count / self.settings.batch_size)
        yield from self.rows[order.to(self.home)].tensor_split(batches)

    def _batch(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: values[rows].to(self.device) for name, values in self.tensors.items()}

    def _inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        inputs = {name: batch[name] for name in self.model.inputs}
        for name, (mean, deviation) in self.statistics.items():
            inputs[name] = (inputs[name] - mean) / deviation
        return inputs

    def _targets(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model's loss needs besides the labels."""
        known = dict(batch) | {"class_weights": self.weights}
        if "aus" in self.model.targets:
            # What the coder left open stays so; the rest as augmentation has changed the AUs.
            shown = batch["au_set"].amax(2)[:, self.au_rows]
            known["aus"] = torch.where(batch["aus"].isnan(), torch.nan, (shown > 0).float())
        if missing := [name for name in self.model.targets if name not in known]:
            raise ValueError(
                f"{type(self.model).__name__} needs {', '.join(missing)}; a training offers "
                f"{', '.join(sorted(known))}"
            )
        return {name: known[name] for name in self.model.targets}

    def _fit_directly(self) -> Epoch:
        batch = self._batch(self.rows)
        inputs = self._inputs(batch)
        self.model.fit_directly(batch["label"], **inputs)
        right = self.predict(self.rows.tolist()).argmax(1) == batch["label"].cpu().numpy()
        return Epoch(1, math.nan, float(right.mean()), math.nan)

    def _banks(self) -> dict[str, ClipBank]:
        """What augmentations borrow from: the clips that are learned from."""
        batch = self._batch(self.rows)
        chosen = [self.clips.clips[i] for i in self.rows.tolist()]
        return {
            name: ClipBank(
                frames=batch[name][:, None] if spec.num_frames is None else batch[name],
                label=batch["label"],
                subject=batch["subject"],
                au_set=batch["au_set"],
                clip_ids=tuple(clip.id for clip in chosen),
                subject_ids=tuple(clip.subject_id for clip in chosen),
            )
            for name, spec in self.model.inputs.items()
        }


def _tensors(clips: ClipArrays, model: Recognizer, device: torch.device) -> dict[str, Tensor]:
    """Everything about all clips: on the device, or in main memory where that has no room.

    On a CPU they are the arrays themselves, which may be memory-mapped.
    """
    people = np.unique([clip.subject_id for clip in clips.clips], return_inverse=True)[1]
    arrays = {
        **clips.inputs,
        "label": clips.label,
        "au_set": clips.au_set,
        "domain": clips.domain,
        "subject": people,
    }
    with warnings.catch_warnings():
        # Batches are copies: nothing ever writes into the arrays.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if "aus" in model.targets:
        cells = [clip.aus for clip in clips.clips]
        tensors["aus"] = au_labels(cells, model.aus)  # type: ignore[arg-type]
    if device.type == "cuda":
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > _SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
            logger.info("%.1f GB of clips stay in main memory: the device lacks room", size / 1e9)
            return tensors
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _statistics(
    tensors: Mapping[str, Tensor], model: Recognizer, rows: Tensor, device: torch.device
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation of each channel of the inputs without a range, (C, 1, 1) each."""
    found = {}
    for name, spec in model.inputs.items():
        if spec.range is None:
            values = tensors[name][rows].transpose(0, -3).flatten(1)  # (C, the rest)
            deviation, mean = torch.std_mean(values, dim=1)
            mean, deviation = mean.to(device), deviation.to(device).clamp(min=1e-6)
            found[name] = (mean[:, None, None], deviation[:, None, None])
    return found
