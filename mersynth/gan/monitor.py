"""Monitoring of a training: figures, sample pictures, and checks of mask and movement."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from mersynth.disk.files import whole_file
from mersynth.gan.data import ImageBatch
from mersynth.gan.forms import AnyGenerator
from mersynth.gan.processes import ALONE, Processes
from mersynth.gan.trainer import TrainingError
from mersynth.tracking import Kind, open_tracker

logger = logging.getLogger(__name__)

#: A mean mask outside these bounds has saturated: nothing changes, or nothing is kept.
MASK_BOUNDS = (0.05, 0.98)
_WARN_EVERY = 200
#: The movement of generated faces is averaged over this many steps; it has collapsed when it falls
#: below this share of its maximum.
_WINDOW = 200
_COLLAPSED = 0.1


class Monitor:
    """Writes figures and sample grids of one training run.

    Args:
        folder: the run's folder; pictures go to ``samples``.
        first_step: generator steps already done; TensorBoard drops its figures of later ones.
        processes: those that train together; figures are their means, and the first writes.
        kind: where figures go (:func:`mersynth.tracking.open_tracker`).
        settings: what the figures depend on, for the tracker.
    """

    def __init__(
        self,
        folder: Path,
        first_step: int,
        processes: Processes = ALONE,
        kind: Kind = "tensorboard",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.samples, self.processes = folder / "samples", processes
        if processes.rank == 0:
            self.samples.mkdir(parents=True, exist_ok=True)
        self.tracker = open_tracker(
            kind if processes.rank == 0 else "none",
            folder,
            group=f"{folder.parent.name}/{folder.name}",
            settings=settings,
            first_step=first_step,
        )
        self._waiting: list[tuple[dict[str, Tensor], int, float]] = []
        self._warned = -_WARN_EVERY
        self._moved: deque[float] = deque(maxlen=_WINDOW)
        self._most = 0.0

    def log(self, figures: Mapping[str, Tensor], step: int) -> None:
        """Keep a step's figures for :meth:`flush`, without waiting for the device."""
        self._waiting.append((dict(figures), step, time.time()))

    def flush(self) -> None:
        """Write the figures kept; warn when the attention mask saturates.

        Raises:
            TrainingError: if generated faces move far less than before.
        """
        waiting, self._waiting = self._waiting, []
        kept = [value.float() for figures, _, _ in waiting for value in figures.values()]
        if not kept:
            return
        values = iter(self.processes.mean(torch.stack(kept)).tolist())  # one transfer for all
        for figures, step, when in waiting:
            numbers = {name: next(values) for name in figures}
            self.tracker.log(numbers, step, when)
            if "moved" in numbers:
                self._check_movement(numbers["moved"], step)
            if "mask/mean" in numbers:
                self._check_mask(numbers, step)

    def _check_movement(self, moved: float, step: int) -> None:
        self._moved.append(moved)
        if len(self._moved) < _WINDOW:
            return
        mean = sum(self._moved) / _WINDOW
        self._most = max(self._most, mean)
        if mean < _COLLAPSED * self._most:
            raise TrainingError(
                f"step {step}: generated faces change by {mean:.3f} of the change of true frames, "
                f"after {self._most:.2f} earlier: the generator returns its input. Train "
                "again with another --out, more true_frame_steps, or a smaller learning_rate, "
                "gan.losses.adversarial or gan.losses.painting"
            )

    def _check_mask(self, figures: Mapping[str, float], step: int) -> None:
        low, high = MASK_BOUNDS
        if "L_mo" in figures:
            high = 1.0  # moved faces need no paint
        mean = figures["mask/mean"]
        if not low <= mean <= high and step - self._warned >= _WARN_EVERY:
            self._warned = step
            effect = "nothing changes" if mean > high else "the input is not kept"
            logger.warning(
                "step %d: the attention mask has saturated (mean %.3f, healthy is %.2f to %.2f): "
                "%s. Check that AU intensities lie in 0..1 and vary; raise "
                "gan.losses.attention if the mean is high",
                step,
                mean,
                low,
                high,
                effect,
            )

    @torch.no_grad()
    def draw(
        self, generator: AnyGenerator, images: ImageBatch, step: int, columns: int = 8
    ) -> None:
        """Save a grid: input, generated, mask and the clip's true frame, one column per sample."""
        if self.processes.rank:
            return
        shown = slice(0, images.each * columns, images.each)  # one condition per input
        start, own = images.image[:columns], images.image_aus[:columns].nan_to_num()
        out = generator(start, images.target_aus[shown].nan_to_num(), own)
        rows = [start, out.image, out.mask.expand(-1, 3, -1, -1), images.truth[shown]]
        path = self.samples / f"step_{step:06d}.png"
        with whole_file(path) as partial:
            save_image(torch.cat(rows).cpu(), partial, nrow=len(out.image), padding=2, format="png")

    def close(self) -> None:
        """End the writing of figures."""
        self.tracker.close()
