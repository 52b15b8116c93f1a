"""``mersynth train``: trains a generator on a store, or K generators for K groups of subjects."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from mersynth.checks import listed
from mersynth.config import ConfigError
from mersynth.curves import ConditionSettings
from mersynth.devices import choose_device, choose_precision
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.batches import Batches, Drawn
from mersynth.gan.calibration import measure_gains
from mersynth.gan.checkpoint import CheckpointCard, CheckpointError, save_generator
from mersynth.gan.data import ImageBatch, TrainingClips, VideoBatch
from mersynth.gan.forms import MOTION
from mersynth.gan.monitor import Monitor
from mersynth.gan.motion_generator import MotionGenerator
from mersynth.gan.processes import Processes
from mersynth.gan.settings import check_shares, load_settings
from mersynth.gan.signal import check_signal
from mersynth.gan.state import STATE, load_state, save_state
from mersynth.gan.trainer import Figures, Trainer
from mersynth.gan.warm_start import Start
from mersynth.lock import hold
from mersynth.logs import progress
from mersynth.phantom.version import version_of, warn_versions
from mersynth.store.clip_store import ClipStore, StoreError, require_real, warn_framings
from mersynth.store.names import NameChoice, reconcile_stores

logger = logging.getLogger(__name__)

_CHECK_EVERY = 20  # steps between two looks at figures, for which the device is waited for


def train(
    *,
    store_path: Path,
    out: Path,
    subject_groups: int = 1,
    group: int | None = None,
    resume: bool = False,
    names: NameChoice | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> list[Path]:
    """Train AU-ICGAN on a store.

    Args:
        store_path: a ClipStore of real clips.
        out: the checkpoint's folder.
        subject_groups: K; with K > 1, K generators are trained, each without one group of
            subjects, in ``out/group_0`` and so on.
        group: train only this one of them, so that several commands, on one machine or many, train
            them side by side.
        resume: continue a run of the same command that was stopped.
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"``, ``"distinct"``, or None to refuse them (:mod:`mersynth.store.names`).
        seed: of initialisation, subject groups and sampling.
        overrides: Hydra overrides of ``configs/train.yaml``.

    Returns:
        The folders of the trained generators.

    Raises:
        ConfigError: if an override does not fit, or this machine lacks the device.
        StoreError: if a store cannot be read, holds synthetic clips, or has another image size
            than the configuration.
        CheckpointError: if ``out`` holds a run already and ``resume`` is false, or another run.
        NamesError: if names in the stores look alike, and ``names`` is None.
        InUseError: if another process is training into ``out``.
        TrainingError: if a loss is not a number, or generated faces stop moving.
        ValueError: if there are fewer subjects than groups, no such group, or the clips teach
            nothing.
    """
    if group is not None and not 0 <= group < subject_groups:
        raise ValueError(
            f"--group must lie in 0..{subject_groups - 1}, got {group}; --subject-groups says how "
            "many there are"
        )
    config = load_settings(overrides)
    # The choice is recorded in card and state, so that a resumed run has the same precision.
    device = _device(config.device)
    processes = Processes.of(device)
    check_shares(config, processes.count)
    device = processes.device(device)
    config.precision = choose_precision(config.precision, device)
    # The first process writes, the others only compute.
    held = out if group is None else out / f"group_{group}"
    with hold(held) if processes.rank == 0 else nullcontext():
        store = _open_store(store_path, config)
        macro = _open_store(config.macro_store, config) if config.macro_store else None
        # A person with two spellings could be held out under one and trained on under the other.
        (store, *further), _ = reconcile_stores([store, *([macro] if macro else [])], names)
        macro = further[0] if further else None
        if macro is not None:
            warn_framings(
                {str(each.path): each.framing for each in (store, macro)},
                "Prepare one of the stores again with the other's framing: a generator learns "
                "the positions of faces",
            )
            warn_versions(
                {str(each.path): version_of(each) for each in (store, macro)},
                "Render the earlier one again: `mersynth prepare --source phantom`",
            )
        groups = split_subjects(store, subject_groups, seed) if subject_groups > 1 else [()]
        if processes.rank == 0:
            _check_out(out, resume, len(groups), held)
        if macro is None:
            logger.info("training on micro clips alone; macro_store=STORE adds macro faces")
        for unseen in groups:
            sets = _training_sets(store, macro, config, unseen)
            check_signal([clips for clips, _ in sets], config.true_frame_steps, config.steps)
        folders = [out / f"group_{k}" for k in range(len(groups))] if len(groups) > 1 else [out]
        chosen = [k for k in range(len(groups)) if group in (None, k)]
        for k in chosen:
            with hold(folders[k]) if processes.rank == 0 else nullcontext():
                _train_one(
                    *(folders[k], store, macro, config, device, processes),
                    *(groups[k], len(groups), seed, names),
                )
    return [folders[k] for k in chosen]


def _device(name: str) -> torch.device:
    try:
        return choose_device(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _open_store(path: str | Path, config: DictConfig) -> ClipStore:
    store = require_real(ClipStore.open(path, verify=True))
    size = config.gan.image_size
    if store.image_size != size and config.gan.generator.form != MOTION:
        raise StoreError(
            f"the frames of {path} have {store.image_size} pixels, the configuration has {size}:"
            f" prepare the store with --image-size {size}, or train with "
            f"gan.image_size={store.image_size}"
        )
    return store


def _check_out(out: Path, resume: bool, groups: int, held: Path) -> None:
    if held.exists() and not resume:
        raise CheckpointError(
            f"{held} exists already; add --resume, remove it or choose another --out"
        )
    if not out.exists():
        return
    in_groups = any(out.glob("group_*"))
    # Locks are hidden.
    begun = any(not path.name.startswith(".") for path in out.iterdir())
    if begun and in_groups != (groups > 1):
        kind = "with --subject-groups" if in_groups else "without --subject-groups"
        raise CheckpointError(f"{out} was begun {kind}; repeat the command that began it")


def split_subjects(store: ClipStore, count: int, seed: int) -> list[tuple[str, ...]]:
    """Split the subjects of a store into groups of about equally many clips.

    Returns:
        ``count`` tuples of subject ids, disjoint, together all subjects.

    Raises:
        ValueError: if there are fewer subjects than groups, or less than one group.
    """
    if not 1 <= count <= len(store.subjects):
        raise ValueError(
            f"--subject-groups must lie in 1..{len(store.subjects)} (the subjects of "
            f"{store.path}), got {count}"
        )
    sizes = {subject: 0 for subject in store.subjects}
    for clip in store.clips:
        sizes[clip.subject_id] += 1
    shuffled = np.random.default_rng(seed).permutation(np.array(store.subjects)).tolist()
    groups: list[list[str]] = [[] for _ in range(count)]
    for subject in sorted(shuffled, key=lambda s: -sizes[s]):
        min(groups, key=lambda g: (sum(sizes[s] for s in g), len(g))).append(subject)
    return [tuple(sorted(group)) for group in groups]


def _train_one(
    folder: Path,
    store: ClipStore,
    macro: ClipStore | None,
    config: DictConfig,
    device: torch.device,
    processes: Processes,
    unseen: tuple[str, ...],
    groups: int,
    seed: int,
    names: NameChoice | None,
) -> None:
    sets = _training_sets(store, macro, config, unseen)
    trained = {subject for clips, _ in sets for subject in clips.subjects}
    with torch.random.fork_rng():  # initialisation has no generator argument
        torch.manual_seed(seed)
        trainer = Trainer(config, len(sets[0][0].emotions), device, processes)
    recorded: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    # Checksums, because a path on this machine would mean nothing elsewhere.
    recorded["macro_store"] = macro.checksum if macro is not None else None
    if config.gan.init_from:
        start = trainer.start_from(config.gan.init_from)
        trained |= _check_unseen(start, unseen, config.gan.init_from)
        recorded["gan"]["init_from"] = start.sha256
    card = CheckpointCard(
        image_size=config.gan.image_size,
        aus=CONDITION_AUS,
        generator={"num_aus": len(CONDITION_AUS), **config.gan.generator},
        training_subjects=tuple(sorted(trained)),
        unseen_subjects=unseen,
        groups=groups,
        seed=seed,
        step=0,
        config=recorded,
        framing=store.framing,
        phantom=version_of(store),
    )
    run: dict[str, Any] = {
        "config": card.config,
        "seed": seed,
        "store": store.checksum,
        "unseen_subjects": list(unseen),
        "names": names,
    }
    # Steps below 0 teach the image critic to read AUs.
    reading = config.au_reading_steps if config.true_frame_steps < config.steps else 0
    step = load_state(folder, trainer, run) if (folder / STATE).exists() else -reading
    folder.mkdir(parents=True, exist_ok=True)
    logger.info(
        "training %s on %s: %d micro clips, %d subjects, step %d of %d",
        folder,
        device,
        len(sets[0][0].items),
        len(trained),
        max(step, 0),
        config.steps,
    )
    _Run(folder, trainer, sets, config, seed, run, card).go(step)


def _check_unseen(start: Start, unseen: tuple[str, ...], source: str) -> set[str]:
    if known := sorted(set(start.subjects) & set(unseen)):
        raise CheckpointError(
            f"gan.init_from={source} was trained on people that this generator must not see: "
            f"{listed(known, 5)}; start from another one, or "
            "from none"
        )
    return set(start.subjects)


def _training_sets(
    store: ClipStore, macro: ClipStore | None, config: DictConfig, unseen: tuple[str, ...]
) -> list[tuple[TrainingClips, int]]:
    """Micro clips, then macro faces, each with its share of an image batch."""
    settings = ConditionSettings(**config.conditions)
    micro_clips = TrainingClips(store.filter(lambda c: c.subject_id not in unseen), settings)
    if macro is None:
        return [(micro_clips, config.batch_size)]
    macro_clips = TrainingClips(macro.filter(lambda c: c.subject_id not in unseen), settings)
    share = round(config.macro_share * config.batch_size)
    return [(micro_clips, config.batch_size - share), (macro_clips, share)]


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


class _Run:
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
        config, trainer = self.config, self.trainer
        monitor = Monitor(self.folder, first, trainer.processes)
        batches = Batches(self.sets, config, self.seed, trainer.device, trainer.processes)
        try:
            with (
                progress("training", config.steps - first, "steps") as advance,
                closing(batches.ahead(range(first, config.steps))) as steps,
            ):
                for drawn in steps:
                    done = drawn.step + 1
                    on_device = [batches.to_device(batch) for batch in drawn.batches]
                    figures, images = train_step(trainer, drawn, on_device), on_device[-1][0]
                    if drawn.step >= 0:
                        monitor.log(figures, done)
                    elif drawn.step == -1:
                        read = figures["critic/L_AI"]
                        logger.info("the image critic reads AUs with L_AI %.4f", read)
                    last = done == config.steps
                    if done > 0 and (done % config.sample_every == 0 or last):
                        monitor.draw(trainer.average, images, done)
                        if drawn.step >= config.true_frame_steps:
                            monitor.log(trainer.health(images), done)
                    saves = done % config.checkpoint_every == 0 or last
                    if saves or done % _CHECK_EVERY == 0:
                        trainer.check_finite()
                        monitor.flush()
                    if saves and trainer.processes.rank == 0:
                        self._save(done)
                    advance(1)
        finally:
            monitor.close()

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
