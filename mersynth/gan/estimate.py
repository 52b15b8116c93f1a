"""``mersynth train --estimate``: what a training will take, from a few steps of each kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing

import numpy as np
from omegaconf import DictConfig

from mersynth.estimate import Estimate, PeakMemory, Spent, bytes_in, now
from mersynth.gan.calibration import measure_gains, pairs_at_once
from mersynth.gan.data import TrainingClips
from mersynth.gan.forms import AnyGenerator
from mersynth.gan.monitor import Monitor
from mersynth.gan.motion_generator import MotionGenerator

_WARM = 2
"""Steps of each kind that do not count."""
_SECONDS, _FEWEST = 6.0, 3
"""Each kind of steps is measured for so long, and at least so many of them."""
_BATCHES = 4
"""Batches of pairs on which gains are measured."""


def estimate_training(
    config: DictConfig,
    steps: Sequence[int],
    monitor: Monitor,
    take: Callable[[Iterable[int]], Generator[object]],
    draw: Callable[[int], None],
    save: Callable[[], None],
    generator: AnyGenerator,
    sets: Sequence[TrainingClips],
    groups: int,
    begun: Spent,
) -> Estimate:
    """Take a few steps of each kind, draw pictures, save, and multiply.

    Args:
        config: the training configuration.
        steps: the numbers of all steps; those below 0 only teach the image critic to read AUs.
        monitor: of a training in a folder for temporary files.
        take: takes steps; yields after each.
        draw: draws the pictures of a number of steps done.
        save: saves generator and state.
        generator: whose gains are measured at the end.
        sets: the clips that it learns from.
        groups: number of generators to train.
        begun: when the command began; the time since is part of the estimate.
    """
    prepared, folder = now() - begun, monitor.samples.parent
    kinds: dict[str, list[int]] = {}
    for step in steps:
        kinds.setdefault(_kind(config, step), []).append(step)
    with PeakMemory() as memory:
        a_step, taken = {}, 0
        for kind, numbers in kinds.items():
            a_step[kind], count = _measured(numbers, take)
            taken += count
        monitor.flush()
        logged = bytes_in(folder) / taken
        draw(1)  # imports what it needs
        a_picture = _time(lambda: draw(2))
        pictures = bytes_in(monitor.samples) / 2
        before = bytes_in(folder)
        save()
        saved = bytes_in(folder) - before
        a_save = _time(save)
        measuring = _measuring_gains(generator, sets, config.gain_pairs)
    drawn = sum(_is_due(step + 1, config.sample_every, config.steps) for step in steps if step >= 0)
    saves = sum(_is_due(step + 1, config.checkpoint_every, config.steps) for step in steps)
    one = a_picture * drawn + a_save * saves + measuring
    for kind, numbers in kinds.items():
        one += a_step[kind] * len(numbers)
    return Estimate(
        time=prepared + one * groups,
        memory=memory.peak,
        on_gpu=memory.on_gpu,
        disk=round(groups * (saved + pictures * drawn + logged * len(steps))),
        steps=(
            *(
                f"{groups * len(numbers)} {kind} at {a_step[kind].wall:.3g} s"
                for kind, numbers in kinds.items()
            ),
            f"{groups * saves} times saved at {a_save.wall:.3g} s",
        ),
    )


def _kind(config: DictConfig, step: int) -> str:
    if step < 0:
        return "steps that read AUs"
    if step < config.true_frame_steps:
        return "steps with true frames"
    with_video = config.video_every > 0 and step % config.video_every == 0
    return "steps with video" if with_video else "steps without video"


def _measured(
    numbers: Sequence[int], take: Callable[[Iterable[int]], Generator[object]]
) -> tuple[Spent, int]:
    """Duration of a step, after some that do not count, and how many were taken in all."""
    with closing(take(itertools.cycle(numbers))) as steps:
        for _ in range(_WARM):
            next(steps)
        start, count = now(), 0
        while count < _FEWEST or (now() - start).wall < _SECONDS:
            next(steps)
            count += 1
        return (now() - start) * (1 / count), _WARM + count


def _measuring_gains(generator: AnyGenerator, sets: Sequence[TrainingClips], pairs: int) -> Spent:
    """Duration of measuring gains on so many pairs, from a few."""
    if not pairs or not isinstance(generator, MotionGenerator):
        return Spent()
    each = pairs_at_once(sets)
    for batches in (1, _BATCHES):  # one that does not count
        start = now()
        measure_gains(generator, sets, np.random.default_rng(0), batches * each)
        spent = now() - start
    return spent * (max(1, pairs // each) / _BATCHES)


def _time(work: Callable[[], object]) -> Spent:
    start = now()
    work()
    return now() - start


def _is_due(done: int, every: int, steps: int) -> bool:
    return done % every == 0 or done == steps
