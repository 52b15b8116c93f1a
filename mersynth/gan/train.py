"""``mersynth train``: trains a generator on a store, or K generators for K groups of subjects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from mersynth.checks import listed
from mersynth.config import ConfigError
from mersynth.curves import ConditionSettings
from mersynth.devices import choose_device, choose_precision
from mersynth.disk.lock import hold
from mersynth.disk.scratch import scratch_folder
from mersynth.estimate import now
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import CheckpointCard, CheckpointError
from mersynth.gan.data import TrainingClips
from mersynth.gan.forms import MOTION
from mersynth.gan.processes import Processes
from mersynth.gan.run import Run
from mersynth.gan.settings import check_shares, load_settings
from mersynth.gan.signal import check_signal
from mersynth.gan.state import STATE, load_state
from mersynth.gan.trainer import Trainer
from mersynth.gan.warm_start import Start
from mersynth.phantom.version import version_of, warn_versions
from mersynth.store.clip_store import (
    ClipStore,
    StoreError,
    require_real,
    shared_framing,
    warn_framings,
)
from mersynth.store.names import NameChoice, reconcile_stores
from mersynth.tracking import check_tracker

logger = logging.getLogger(__name__)


def train(
    *,
    store_path: Path,
    out: Path,
    subject_groups: int = 1,
    group: int | None = None,
    resume: bool = False,
    estimate: bool = False,
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
        estimate: only take a few steps, in a folder for temporary files, and show what the whole
            training will take (:mod:`mersynth.gan.estimate`).
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"``, ``"distinct"``, or None to refuse them (:mod:`mersynth.store.names`).
        seed: of initialisation, subject groups and sampling.
        overrides: Hydra overrides of ``configs/train.yaml``.

    Returns:
        The folders of the trained generators; none for an estimate.

    Raises:
        ConfigError: if an override does not fit, this machine lacks the device, or figures cannot
            be passed on (:func:`mersynth.tracking.check_tracker`).
        StoreError: if a store cannot be read, holds synthetic clips, or has another image size
            than the configuration.
        CheckpointError: if ``out`` holds a run already and ``resume`` is false, or another run.
        NamesError: if names in the stores look alike, and ``names`` is None.
        InUseError: if another process is training into ``out``.
        TrainingError: if a loss is not a number, or generated faces stop moving.
        ValueError: if there are fewer subjects than groups, no such group, or the clips teach
            nothing.
    """
    begun = now()
    if group is not None and not 0 <= group < subject_groups:
        raise ValueError(
            f"--group must lie in 0..{subject_groups - 1}, got {group}; --subject-groups says how "
            "many there are"
        )
    config = load_settings(overrides)
    check_tracker(config.logger)
    # The choice is recorded in card and state, so that a resumed run has the same precision.
    device = _device(config.device)
    processes = Processes.of(device)
    check_shares(config, processes.count)
    device = processes.device(device)
    config.precision = choose_precision(config.precision, device)
    # The first process writes, the others only compute.
    held = out if group is None else out / f"group_{group}"
    writes = processes.rank == 0 and not estimate
    with hold(held) if writes else nullcontext():
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
        if writes:
            _check_out(out, resume, len(groups), held)
        if macro is None:
            logger.info("training on micro clips alone; macro_store=STORE adds macro faces")
        for unseen in groups:
            sets = _training_sets(store, macro, config, unseen)
            check_signal([clips for clips, _ in sets], config.true_frame_steps, config.steps)
        chosen = [k for k in range(len(groups)) if group in (None, k)]

        def begin(folder: Path, k: int) -> tuple[Run, int]:
            return _begin(
                *(folder, store, macro, config, device, processes),
                *(groups[k], len(groups), seed, names),
            )

        if estimate:
            with scratch_folder() as folder:
                run, step = begin(folder / "generator", chosen[0])
                run.estimate(step, len(chosen), begun).show()
            return []
        folders = [out / f"group_{k}" for k in range(len(groups))] if len(groups) > 1 else [out]
        for k in chosen:
            with hold(folders[k]) if writes else nullcontext():
                run, step = begin(folders[k], k)
                run.go(step)
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


def _begin(
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
) -> tuple[Run, int]:
    """The training of a generator, and the step that comes next."""
    sets = _training_sets(store, macro, config, unseen)
    trained = {subject for clips, _ in sets for subject in clips.subjects}
    with torch.random.fork_rng():  # initialisation has no generator argument
        torch.manual_seed(seed)
        trainer = Trainer(config, len(sets[0][0].emotions), device, processes)
    recorded: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    # Checksums, because a path on this machine would mean nothing elsewhere.
    del recorded["logger"]  # which nothing depends on
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
        framing=shared_framing([store] if macro is None else [store, macro]),
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
    return Run(folder, trainer, sets, config, seed, run, card), step


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
