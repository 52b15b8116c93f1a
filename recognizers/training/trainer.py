"""Training and prediction on clips that stay on the device, batch by batch.

Images are decoded once, and copied to the device once if it has room for all: a batch is a
selection of rows, augmented on the device. Randomness (order, augmentation, dropout) comes from
torch's own generator, which the caller seeds.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from mersynth.augment import ORDER, ClipBank, class_weights
from mersynth.augment.samplers import balanced_order
from recognizers.data.clip_arrays import ClipArrays, as_float
from recognizers.models.au_graph import au_labels
from recognizers.models.base import Recognizer
from recognizers.runs.records import Epoch
from recognizers.training.augmenting import FRAME_BY_FRAME, Augmenting, fall_of, needs_bank
from recognizers.training.curriculum import Curriculum
from recognizers.training.settings import TrainingSettings

logger = logging.getLogger(__name__)

_ADVICE = "lower model.training.optimizer.lr"
PREDICTED_AT_ONCE = 64
"""Clips per batch in prediction."""

_SHARE_OF_DEVICE = 0.5  # of its free memory; models and batches need the rest


Statistics = Mapping[str, tuple[Tensor, Tensor]]
"""By input, mean and standard deviation of each channel, (C, 1, 1), for standardisation."""


class TrainingError(Exception):
    """A training diverged."""


def standardised(inputs: Mapping[str, Tensor], statistics: Statistics) -> dict[str, Tensor]:
    """Inputs (B, ...) by name, standardised where there are statistics."""
    brought = {
        name: (inputs[name] - mean) / deviation for name, (mean, deviation) in statistics.items()
    }
    return {**inputs, **brought}


@torch.no_grad()
def class_probabilities(model: Recognizer, batches: Iterable[Mapping[str, Tensor]]) -> np.ndarray:
    """A model's predictions; puts it into evaluation mode.

    Args:
        model: the model.
        batches: its inputs, standardised, on its device; one batch at least.

    Returns:
        (N, C) float64, the probability of each class for all clips of the batches.

    Raises:
        TrainingError: if the model gives something that is not a number.
    """
    model.eval()
    return checked_probabilities(torch.cat([model(**batch).logits for batch in batches]))


def checked_probabilities(logits: Tensor) -> np.ndarray:
    """(..., C) float64 probabilities of logits.

    Raises:
        TrainingError: if one is not a number.
    """
    probabilities = logits.double().softmax(-1)
    if not probabilities.isfinite().all():
        raise TrainingError(f"the model's weights are no longer finite; {_ADVICE}")
    return probabilities.cpu().numpy()


def check_loss(loss: float, epoch: int, rate: float) -> None:
    """Refuse the loss of an epoch, trained at a learning rate, that is not a number.

    Raises:
        TrainingError: with all three.
    """
    if not math.isfinite(loss):
        where = f"in epoch {epoch} at a learning rate of {rate:g}"
        raise TrainingError(f"the loss is {loss} {where}; {_ADVICE}")


class Training:
    """A model that learns from some clips and predicts others.

    Args:
        model: on its device; ``see_training_fold`` is called with the clips' AU cells.
        clips: arrays of all clips.
        rows: positions of the clips to train on.
        settings: settings of the training.
        augment: the block ``augment`` of the model's config.
        device: where the model is.
        precision: ``"32-true"``, or ``"bf16-mixed"`` to train under autocast.
        curriculum: which of the clips each epoch shows; None: all.
        mixed_until: share of the epochs in which clips mixed in take part; the epochs after show
            the other clips alone, as often as all before.

    Attributes:
        rows: positions of the clips to train on; while ``run`` is at it, those of the epoch. Class
            weights, the statistics of standardised inputs and the banks of augmentations come from
            all clips to train on, and no others.
        weights: (C,) class weights, if the model needs them.
        statistics: mean and standard deviation of each standardised input.
        banks: what augmentations borrow from, by input.

    Raises:
        ConfigError: if an option of an augmentation does not fit.
    """

    def __init__(
        self,
        model: Recognizer,
        clips: ClipArrays,
        rows: Sequence[int],
        settings: TrainingSettings,
        augment: Mapping[str, Mapping[str, Any]],
        device: torch.device,
        precision: str = "32-true",
        curriculum: Curriculum | None = None,
        mixed_until: float = 1.0,
    ) -> None:
        self.mixed = precision == "bf16-mixed"
        self.curriculum = curriculum
        self.last_mixed = max(1, round(mixed_until * settings.epochs))
        self.model, self.settings, self.device = model, settings, device
        self.clips = clips
        self.tensors = _tensors(clips, device)
        self.home = self.tensors["label"].device
        self.rows = torch.tensor(rows, device=self.home)
        self._usable, self._count = self.rows, len(rows)
        self._ahead = torch.empty(0, dtype=torch.int64)  # of an order that epochs share
        self.weights = self._class_weights() if "class_weights" in model.targets else None
        self.statistics = self._statistics() if settings.standardise else {}
        self.banks = self._banks() if needs_bank(augment) else {}
        self.augment = Augmenting(augment, model.inputs, self.banks)
        alike = set(augment) <= FRAME_BY_FRAME
        self.drawn = [
            name
            for name in model.draws_one_frame_of
            if alike and model.inputs[name].num_frames is not None
        ]
        if "aus" in model.targets:
            own = [ORDER.index(number) for number in model.aus]  # type: ignore[union-attr]
            self.au_rows = torch.tensor(own, device=device)
        model.see_training_fold([clips.clips[i].aus for i in rows])

    def run(self, after_epoch: Callable[[Epoch], None]) -> None:
        """Train.

        Args:
            after_epoch: called at the end of every epoch.

        Raises:
            ConfigError: if an option of optimizer or scheduler does not fit.
            TrainingError: if the loss is not a number.
            ValueError: if the model needs a target that is not available here.
        """
        if self.model.fits_directly:
            after_epoch(self._fit_directly())
            return
        optimizer = self.settings.make_optimizer(self.model)
        scheduler = self.settings.make_scheduler(optimizer)
        for number in range(1, self.settings.epochs + 1):
            self.begin(number)
            strength = None if self.curriculum is None else self.curriculum.mean(self.rows)
            rate = float(optimizer.param_groups[0]["lr"])
            loss, accuracy = self._epoch(optimizer)
            check_loss(loss, number, rate)
            if scheduler is not None:
                scheduler.step()
            seen = self.clips_in_epoch
            after_epoch(Epoch(number, loss, accuracy, rate, clips=seen, strength=strength))
        self.rows = self._usable

    def begin(self, number: int) -> None:
        """Choose the clips of an epoch, whose number counts from 1."""
        if self.curriculum is not None:
            self.rows = self.curriculum.draw(self._usable, number, self.settings.epochs)
            self._count = len(self.rows)
        elif number == self.last_mixed + 1:
            self.rows = self._usable[self.tensors["domain"][self._usable] == 0]
        else:
            return
        self._ahead = self._ahead[:0]  # of other clips

    def predict(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), C) float64, the probability of each class.

        Raises:
            TrainingError: if the model gives something that is not a number.
        """
        chosen = torch.tensor(rows, device=self.home)
        parts = chosen.split(PREDICTED_AT_ONCE)
        batches = (self._inputs(self._batch(part, self.model.inputs)) for part in parts)
        return class_probabilities(self.model, batches)

    def _epoch(self, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
        """Mean loss and accuracy of one pass."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        right = torch.zeros((), device=self.device)
        for rows in self.rows[self.order().to(self.home)].tensor_split(self.batches):
            batch = self._augmented(rows)
            with self._autocast():
                output = self.model(**self._inputs(batch))
                loss = self.model.loss(output, batch["label"], **self._targets(batch))
            optimizer.zero_grad()
            loss.backward()
            if self.settings.gradient_clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
            optimizer.step()
            total += loss.detach() * len(rows)
            right += (output.logits.argmax(1) == batch["label"]).sum()
        return float(total) / self.clips_in_epoch, float(right) / self.clips_in_epoch

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.mixed else nullcontext()

    def order(self, generator: torch.Generator | None = None) -> Tensor:
        """Positions in ``rows``, on the CPU, in the order of an epoch.

        Args:
            generator: of the order, on the CPU; None: torch's own.
        """
        count = self.clips_in_epoch
        if self.settings.sampler == "shuffle":
            while len(self._ahead) < count:
                more = torch.randperm(len(self.rows), generator=generator)
                self._ahead = torch.cat([self._ahead, more])
            drawn, self._ahead = self._ahead[:count], self._ahead[count:]
            return drawn
        key = "label" if self.settings.sampler == "class_balanced" else "subject"
        return balanced_order(self.tensors[key][self.rows].cpu(), count, generator)

    @property
    def clips_in_epoch(self) -> int:
        """Clips of an epoch."""
        return self.settings.clips_in_epoch(self._count)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.settings.batches(self._count)

    def take(self, name: str, rows: Tensor) -> Tensor:
        """Rows of one of the tensors, on the device; those of inputs as float32."""
        return as_float(self.tensors[name][rows.to(self.home)].to(self.device))

    def _batch(self, rows: Tensor, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Rows of some tensors, or of all."""
        chosen = self.tensors if names is None else names
        return {name: self.take(name, rows) for name in chosen}

    def _augmented(self, rows: Tensor) -> dict[str, Tensor]:
        """A batch to learn from.

        Where the model draws one of several frames, it is drawn before they are augmented, since
        the others would be augmented in vain.
        """
        batch = self._batch(rows, [name for name in self.tensors if name not in self.drawn])
        for name in self.drawn:
            frames = self.tensors[name]
            chosen = torch.randint(frames.shape[1], (len(rows),)).to(self.home)
            batch[name] = as_float(frames[rows, chosen][:, None].to(self.device))
        batch = self.augment(batch)
        for name in self.drawn:
            batch[name] = batch[name].expand(-1, self.tensors[name].shape[1], -1, -1, -1)
        return batch

    def _inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return standardised({name: batch[name] for name in self.model.inputs}, self.statistics)

    def _targets(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model's loss needs besides the labels."""
        known = dict(batch)
        if self.weights is not None:
            known["class_weights"] = self.weights
        if "aus" in self.model.targets:
            # AUs after augmentation; NaN, unknown, stays NaN.
            shown = batch["au_set"].amax(2)[:, self.au_rows]
            known["aus"] = torch.where(shown.isnan(), shown, (shown > 0).float())
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
        return Epoch(1, None, float(right.mean()), None, clips=len(self.rows))

    def _class_weights(self) -> Tensor:
        """(C,) class weights of the training clips."""
        labels = self.tensors["label"][self.rows].cpu()
        return class_weights(labels, num_classes=len(self.clips.classes)).to(self.device)

    def _statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation of each channel, (C, 1, 1), of inputs without a range."""
        found = {}
        for name, spec in self.model.inputs.items():
            if spec.range is None:
                values = as_float(self.tensors[name][self.rows])
                values = values.transpose(0, -3).flatten(1)  # (C, the rest)
                deviation, mean = torch.std_mean(values, dim=1)
                shape = (-1, 1, 1)
                found[name] = (
                    mean.view(shape).to(self.device),
                    deviation.clamp(min=1e-6).view(shape).to(self.device),
                )
        return found

    def _banks(self) -> dict[str, ClipBank]:
        """The training clips of each input, for augmentations to borrow from."""
        tensors = {name: as_float(values[self.rows]) for name, values in self.tensors.items()}
        chosen = [self.clips.clips[i] for i in self.rows.tolist()]
        return {
            name: ClipBank(
                frames=tensors[name][:, None] if spec.num_frames is None else tensors[name],
                label=tensors["label"],
                subject=tensors["subject"],
                au_set=tensors["au_set"],
                clip_ids=tuple(clip.id for clip in chosen),
                subject_ids=tuple(clip.subject_id for clip in chosen),
            )
            for name, spec in self.model.inputs.items()
        }


_ON_DEVICE: WeakKeyDictionary[ClipArrays, dict[torch.device, dict[str, Tensor]]]
_ON_DEVICE = WeakKeyDictionary()


def _tensors(clips: ClipArrays, device: torch.device) -> dict[str, Tensor]:
    """All data of all clips: on the device, or in main memory if the device has no room.

    The folds that a process trains share them. On a CPU they are the arrays themselves, which may
    be memory-mapped.
    """
    kept = _ON_DEVICE.setdefault(clips, {})
    if device not in kept:
        kept[device] = _moved(_arrays(clips), device)
    return kept[device]


def _arrays(clips: ClipArrays) -> dict[str, Tensor]:
    people = np.unique([clip.subject_id for clip in clips.clips], return_inverse=True)[1]
    au_set = clips.au_set.copy()
    # What a coder left open is NaN, which augmentations carry along.
    au_set[au_labels([clip.aus for clip in clips.clips], ORDER).isnan().numpy()] = np.nan
    arrays = {
        **clips.inputs,
        **{fall_of(name): values for name, values in clips.falling.items()},
        "label": clips.label,
        "au_set": au_set,
        "domain": clips.domain,
        "subject": people,
    }
    with warnings.catch_warnings():
        # Batches are copies: nothing ever writes into the arrays.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _moved(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    if device.type == "cuda":
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > _SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
            logger.info("%.1f GB of clips stay in main memory: the device lacks room", size / 1e9)
            return tensors
    return {name: tensor.to(device) for name, tensor in tensors.items()}
