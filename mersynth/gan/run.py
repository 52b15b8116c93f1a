"""The steps of a training: taken, watched, saved, and estimated."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from mersynth.estimate import Estimate, Spent
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.batches import Batches, Drawn
from mersynth.gan.calibration import measure_gains
from mersynth.gan.checkpoint import CheckpointCard, save_generator
from mersynth.gan.data import ImageBatch, TrainingClips, VideoBatch
from mersynth.gan.estimate import estimate_training
from mersynth.gan.monitor import Monitor
from mersynth.gan.motion_generator import MotionGenerator
from mersynth.gan.state import save_state
from mersynth.gan.trainer import Figures, Trainer
from mersynth.logs import progress
from mersynth.tracking import Kind, where_to_look

logger = logging.getLogger(__name__)

_CHECK_EVERY = 20  # steps between two looks at figures, for which the device is waited for


def train_step(
    trainer: Trainer, drawn: Drawn, batches: Sequence[tuple[ImageBatch, VideoBatch | None]]
) -> Figures:
    """One step of a training.

    Args:
        trainer: updated.
        drawn: the step.
        batches: its batches, on the trainer's device.

    Returns:
        Figures to log, on the device.
    """
    config, step = trainer.config, drawn.step
    images, video = batches[-1]
    if step < 0:
        return trainer.au_reading_step(images)
    trainer.set_learning_rate(step)
    if step < config.true_frame_steps:
        return trainer.true_frame_step(images, step)
    randomness = torch.Generator(trainer.device).manual_seed(drawn.noise_seed)
    critic: Figures = {}
    for seen in batches[:-1]:
        critic = trainer.critic_step(*seen, randomness)
    fakes = trainer.generate(images, video, randomness)
    if config.share_fakes:
        critic = trainer.critic_step(images, video, randomness, fakes)
    return critic | trainer.generator_step(images, video, randomness, step, fakes)


class Run:
    """The loop of one training run."""

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        sets: Sequence[tuple[TrainingClips, int]],
        config: DictConfig,
        seed: int,
        run: dict[str, Any],
        card: CheckpointCard,
    ) -> None:
        self.folder, self.trainer, self.sets = folder, trainer, sets
        self.config, self.seed, self.run, self.card = config, seed, run, card

    def go(self, first: int) -> None:
        """Take all steps from ``first`` on, and save."""
        config, trainer = self.config, self.trainer
        kind = config.logger
        monitor = Monitor(self.folder, first, trainer.processes, kind, self.card.config)
        if trainer.processes.rank == 0 and (where := where_to_look(kind, self.folder)):
            logger.info("figures: %s", where)
        try:
            with (
                progress("training", config.steps - first, "steps") as advance,
                closing(self._take(range(first, config.steps), monitor)) as steps,
            ):
                for step, images in steps:
                    done = step + 1
                    last = done == config.steps
                    if done > 0 and (done % config.sample_every == 0 or last):
                        self._draw(images, step, monitor)
                    saves = done % config.checkpoint_every == 0 or last
                    if saves or done % _CHECK_EVERY == 0:
                        trainer.check_finite()
                        monitor.flush()
                    if saves and trainer.processes.rank == 0:
                        self._save(done)
                    advance(1)
        finally:
            monitor.close()

    def estimate(self, first: int, groups: int, begun: Spent) -> Estimate:
        """What :meth:`go` would take for a number of generators, from some of its steps."""
        config, seen = self.config, [clips for clips, _ in self.sets]
        # What a tool elsewhere takes is not measured.
        kind: Kind = "tensorboard" if config.logger == "tensorboard" else "none"
        monitor = Monitor(self.folder, first, self.trainer.processes, kind)
        (_, images), *_ = self._take([first], monitor)
        try:
            return estimate_training(
                config,
                range(first, config.steps),
                monitor,
                lambda steps: self._take(steps, monitor),
                lambda step: self._draw(images, step, monitor),
                partial(self._save, 1),
                self.trainer.average,
                seen,
                groups,
                begun,
            )
        finally:
            monitor.close()

    def _take(self, numbers: Iterable[int], monitor: Monitor) -> Generator[tuple[int, ImageBatch]]:
        """Take steps; yields the number of each, and the images that it ended with."""
        trainer = self.trainer
        batches = Batches(self.sets, self.config, self.seed, trainer.device, trainer.processes)
        with closing(batches.ahead(numbers)) as steps:
            for drawn in steps:
                on_device = [batches.to_device(batch) for batch in drawn.batches]
                figures = train_step(trainer, drawn, on_device)
                if drawn.step >= 0:
                    monitor.log(figures, drawn.step + 1)
                elif drawn.step == -1:
                    read = figures["critic/L_AI"]
                    logger.info("the image critic reads AUs with L_AI %.4f", read)
                yield drawn.step, on_device[-1][0]

    def _draw(self, images: ImageBatch, step: int, monitor: Monitor) -> None:
        """Pictures after a step, and the critics' health."""
        monitor.draw(self.trainer.average, images, step + 1)
        if step >= self.config.true_frame_steps:
            monitor.log(self.trainer.health(images), step + 1)

    def _save(self, step: int) -> None:
        if step <= 0:  # the generator has not learnt yet
            save_state(self.folder, self.trainer, step, self.run)
            return
        card = dataclasses.replace(self.card, step=step, gains=self._gains(step))
        save_generator(self.folder, self.trainer.average.state_dict(), card)
        # The state last: if the generator is ahead of it, a resumed run makes it again.
        save_state(self.folder, self.trainer, step, self.run)

    def _gains(self, step: int) -> tuple[float, ...] | None:
        """The gains of a finished generator of the form with motion; else None."""
        generator = self.trainer.average
        pairs = self.config.gain_pairs
        if step < self.config.steps or not pairs or not isinstance(generator, MotionGenerator):
            return None
        rng = np.random.default_rng([self.seed, 2])
        gains = measure_gains(generator, [clips for clips, _ in self.sets], rng, pairs)
        named = zip(CONDITION_AUS, gains, strict=True)
        logger.info("gains of AUs: %s", ", ".join(f"{au}: {gain:.2f}" for au, gain in named))
        return tuple(np.round(gains, 3).tolist())
