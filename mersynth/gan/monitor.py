"""Monitoring of a training: figures, sample pictures, and checks of mask and movement."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import save_image

from mersynth.files import whole_file
from mersynth.gan.data import ImageBatch
from mersynth.gan.forms import AnyGenerator
from mersynth.gan.trainer import TrainingError

logger = logging.getLogger(__name__)

#: A mean mask outside these bounds has saturated: nothing changes, or nothing is kept.
MASK_BOUNDS = (0.05, 0.98)
_WARN_EVERY = 200
#: The movement of generated faces is averaged over this many steps; it has collapsed when it falls
#: below this share of its maximum.
_WINDOW = 200
_COLLAPSED = 0.1


class Monitor:
    """Writes TensorBoard figures and sample grids of one training run.

    Args:
        folder: the run's folder; figures go to ``logs``, pictures to ``samples``.
        first_step: generator steps already done; figures of later steps are dropped.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.samples = folder / "samples"
        self.samples.mkdir(parents=True, exist_ok=True)
        self.writer = SummaryWriter(str(folder / "logs"), purge_step=first_step + 1)
        self._warned = -_WARN_EVERY
        self._moved: deque[float] = deque(maxlen=_WINDOW)
        self._most = 0.0

    def log(self, figures: Mapping[str, Tensor], step: int) -> None:
        """Write a step's figures; warn when the attention mask saturates.

        Raises:
            TrainingError: if generated faces move far less than before.
        """
        for name, value in figures.items():
            self.writer.add_scalar(name, value.item(), step)
        if "moved" in figures:
            self._check_movement(figures["moved"].item(), step)
        if "mask/mean" in figures:
            self._check_mask(figures, step)

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

    def _check_mask(self, figures: Mapping[str, Tensor], step: int) -> None:
        low, high = MASK_BOUNDS
        if "L_mo" in figures:
            high = 1.0  # moved faces need no paint
        mean = figures["mask/mean"].item()
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
        shown = slice(0, images.each * columns, images.each)  # one condition per input
        start, own = images.image[:columns], images.image_aus[:columns].nan_to_num()
        out = generator(start, images.target_aus[shown].nan_to_num(), own)
        rows = [start, out.image, out.mask.expand(-1, 3, -1, -1), images.truth[shown]]
        path = self.samples / f"step_{step:06d}.png"
        with whole_file(path) as partial:
            save_image(torch.cat(rows).cpu(), partial, nrow=len(out.image), padding=2, format="png")

    def close(self) -> None:
        """Close the TensorBoard file."""
        self.writer.close()
