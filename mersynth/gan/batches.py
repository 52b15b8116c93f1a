"""The batches of each training step, drawn ahead while the device computes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from mersynth.gan.data import ImageBatch, TrainingClips, VideoBatch, draw_image_batch
from mersynth.gan.processes import Processes

Sets = Sequence[tuple[TrainingClips, int]]


@dataclass(frozen=True)
class Drawn:
    """What one step needs.

    Attributes:
        step: below 0 where the image critic learns to read AUs.
        batches: images and clips of each critic step, then of the generator's, unless it shares
            the last critic step's; one without clips in steps that need no critic.
        noise_seed: seeds the step's noise.
    """

    step: int
    batches: list[tuple[ImageBatch, VideoBatch | None]]
    noise_seed: int


class Batches:
    """Draws steps, each from (seed, step): a resumed run sees the same batches.

    Args:
        sets: clips, with their number of inputs in an image batch.
        config: of the training.
        seed: of the training.
        device: where the batches go.
        processes: each draws the whole batch and keeps its share.
    """

    def __init__(
        self, sets: Sets, config: DictConfig, seed: int, device: torch.device, processes: Processes
    ) -> None:
        self.sets, self.config, self.seed = sets, config, seed
        self.device, self.processes = device, processes

    def ahead(self, steps: Iterable[int]) -> Generator[Drawn]:
        """Yield steps in turn; a thread draws the next one meanwhile."""
        with ThreadPoolExecutor(1, "batches") as pool:
            coming = None
            for step in steps:
                drawn, coming = coming, pool.submit(self._draw_step, step)
                if drawn is not None:
                    yield drawn.result()
            if coming is not None:
                yield coming.result()

    def to_device(
        self, batch: tuple[ImageBatch, VideoBatch | None]
    ) -> tuple[ImageBatch, VideoBatch | None]:
        """A step's batch on the device; from pinned memory this does not wait."""

        def moved(value: Tensor) -> Tensor:
            return value.to(self.device, non_blocking=True)

        images, video = batch
        return images.map(moved), None if video is None else video.map(moved)

    def _draw_step(self, step: int) -> Drawn:
        config = self.config
        if step < 0:
            rng = np.random.default_rng([self.seed, 0, -step])
            return Drawn(step, [(self._images(rng), None)], 0)
        rng = np.random.default_rng([self.seed, 1, step])
        if step < config.true_frame_steps:
            # Macro faces if any of them move, because their movement is easier to see.
            moving = [clips for clips, _ in self.sets if clips.moving]
            sets = [(moving[-1], config.batch_size)]
            return Drawn(step, [(self._images_of(sets, rng, own_share=1.0, noise=0.0), None)], 0)
        noise_seed = int(rng.integers(2**62))
        with_video = config.video_every > 0 and step % config.video_every == 0
        count = config.critic_steps + (not config.share_fakes)
        batches = [(self._images(rng), self._video(rng, with_video)) for _ in range(count)]
        return Drawn(step, batches, noise_seed)

    def _images(self, rng: np.random.Generator) -> ImageBatch:
        return self._images_of(self.sets, rng, self.config.own_share, self.config.condition_noise)

    def _images_of(
        self, sets: Sets, rng: np.random.Generator, own_share: float, noise: float
    ) -> ImageBatch:
        each, size = self.config.conditions_each, self.config.gan.image_size
        return draw_image_batch(sets, rng, own_share, noise, each, size).map(self._own)

    def _video(self, rng: np.random.Generator, wanted: bool) -> VideoBatch | None:
        micro, config = self.sets[0][0], self.config
        if not wanted or not micro.moving:
            return None
        gan = config.gan
        video = micro.video_batch(rng, config.video_batch_size, gan.num_frames, gan.image_size)
        return video.map(self._own)

    def _own(self, whole: Tensor) -> Tensor:
        """This process's share, in memory from which a CUDA device copies by itself."""
        share = self.processes.share(whole)
        return share.pin_memory() if self.device.type == "cuda" else share
