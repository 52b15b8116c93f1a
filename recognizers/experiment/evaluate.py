"""Runs an experiment: folds are planned, checked by the guard, trained, tested and pooled."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from mersynth import paths
from mersynth.disk.lock import hold
from mersynth.estimate import now
from mersynth.logs import progress
from mersynth.shards import Shard
from mersynth.tracking import check_tracker, where_to_look
from recognizers.executors import Executor, make_executor
from recognizers.experiment.estimate import estimate_run
from recognizers.experiment.preparation import Preparation, load_settings, prepare
from recognizers.experiment.request import Request
from recognizers.folds.plan import FoldPlan
from recognizers.models import outline
from recognizers.report import write_report
from recognizers.runs.folder import RunFolder
from recognizers.runs.results import write_results
from recognizers.runs.tracking import RunTracking
from recognizers.trained.card import RecognizerCard
from recognizers.trained.fitting import card_of
from recognizers.training.choice import choose_way
from recognizers.training.fold_work import FoldResult, pretrain, pretraining_seed, train_folds
from recognizers.training.side_by_side import fits_side_by_side

logger = logging.getLogger(__name__)

_ON_A_GPU = 32  # folds side by side; one on a CPU: configs/evaluate.yaml says why


def evaluate(
    request: Request, out: Path | None = None, shard: Shard | None = None, estimate: bool = False
) -> Path:
    """Run an experiment, or continue one that was stopped.

    Several processes, of machines that share the folder, can each run a share of its folds and
    seeds; afterwards the same call without ``shard`` pools them.

    Args:
        request: what to run.
        out: the run's folder; None: ``./runs/`` and the request's name, for instance
            ``./runs/loso_mmnet_samm``.
        shard: run only this share, and pool nothing. Folds with one pretraining stay together.
        estimate: only run a few epochs of some folds, and show what the whole will take
            (:mod:`recognizers.experiment.estimate`); nothing is written.

    Returns:
        The folder, with ``results.json``, ``predictions.csv``, ``oracle.csv``, ``config.yaml`` and
        ``report.html``, unless ``shard`` or ``estimate`` is given.

    Raises:
        ConfigError: if an override or a setting does not fit, or figures cannot be passed on
            (:func:`mersynth.tracking.check_tracker`).
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if clips, folds and model do not fit together.
        NamesError: if names look alike, and ``request.names`` does not say whether they differ.
        LeakageError: if a fold could know what it is tested on.
        RunError: if the folder holds another run.
        InUseError: if another process writes the folder.
        TrainingError, ExecutorError: if a training diverges or a worker dies; finished folds are
            kept, and the same command continues.
    """
    if request.split == "fit":
        raise ValueError("split fit tests nobody; recognizers.trained.fitting.fit is for it")
    begun = now()
    settings = load_settings(request)
    if not estimate:
        check_tracker(settings.logger)
    place = paths.run_path(request.name, out)
    seeds = range(request.seed, request.seed + request.seeds)
    with nullcontext() if estimate else _held(place, shard):
        run = prepare(request, settings)
        if estimate:
            with make_executor(_executor(run)) as executor:
                share, pooled = _together(run, _share(run, seeds, shard)), shard is None
                estimate_run(run, share, seeds, executor, pooled, begun).show()
            return place
        with hold(place, wait=True):  # another shard may be making it
            folder = RunFolder(place, run.identity, request.command(place))
        tracking = RunTracking(settings.logger, folder.path, run.options)
        if where := where_to_look(settings.logger, folder.path):
            logger.info("learning curves: %s", where)
        _train(run, folder, _share(run, seeds, shard), tracking)
        if shard is not None:
            logger.info("share %s is in %s; without --shard the command pools all", shard, place)
            return folder.path
        tracking.pooled(write_results(folder, run, seeds))
        logger.info("report: %s", write_report(folder.path))
    return folder.path


@contextmanager
def _held(place: Path, shard: Shard | None) -> Iterator[None]:
    """Hold a run's folder, or a shard of it, which others may fill meanwhile."""
    with ExitStack() as held:
        if shard is not None:
            held.enter_context(hold(place.with_name(f"{place.name}.{shard.number}_of_{shard.of}")))
        else:
            held.enter_context(hold(place))
            for file in place.parent.glob(f".{glob.escape(place.name)}.*_of_*.lock"):
                held.enter_context(hold(file.with_name(file.stem.removeprefix("."))))
        yield


def _share(
    run: Preparation, seeds: Sequence[int], shard: Shard | None
) -> list[tuple[FoldPlan, int]]:
    """The folds and seeds to run, of one shard or of all."""
    every = [(plan, seed) for seed in seeds for plan in run.plans]
    if shard is None:
        return every
    # No two shards train the same pretraining.
    units: dict[tuple[Any, ...], list[tuple[FoldPlan, int]]] = {}
    for plan, seed in every:
        key = run.pretraining_of(plan, seed) or (None, seed, plan.index)
        units.setdefault(key, []).append((plan, seed))
    chosen = list(units.values())[shard.share(len(units), what="folds or pretrainings to share")]
    return [work for unit in chosen for work in unit]


def _train(
    run: Preparation,
    folder: RunFolder,
    share: Sequence[tuple[FoldPlan, int]],
    tracking: RunTracking,
) -> None:
    """Run the pretrainings and folds that are not in the folder yet."""
    keep_weights = run.options["keep_weights"]
    missing = [
        (plan, seed) for plan, seed in share if not folder.has_fold(plan.index, seed, keep_weights)
    ]
    total = len(share)
    if not missing:
        logger.info("all %d folds are in %s", total, folder.path)
        return
    if len(missing) < total:
        logger.info("%d of %d folds are in %s", total - len(missing), total, folder.path)
    with make_executor(_executor(run)) as executor:
        work = executor.share(run.work)
        missing = _as_chosen(run, folder, missing, executor, work)
        weights = _pretrain(run, folder, run.pretrainings(missing), executor, work, tracking)
        groups = _together(run, missing)
        calls = [
            (work, plans, weights.get(run.pretraining_of(plans[0], seed)), seed, keep_weights)
            for plans, seed in groups
        ]
        with progress("folds", total=len(missing), unit="folds") as advance:
            for position, results in executor.run(train_folds, calls):
                plans, seed = groups[position]
                for plan, result in zip(plans, results, strict=True):
                    clips = [run.work.clips.clips[i].id for i in plan.fold.test]
                    card = _card(run, plan, seed, result) if keep_weights else None
                    folder.keep_fold(plan.index, seed, plan.fold.name, clips, result, card)
                    tracking.curve(seed, plan.fold.name, result.curve)
                advance(len(plans))


def _as_chosen(
    run: Preparation,
    folder: RunFolder,
    share: Sequence[tuple[FoldPlan, int]],
    executor: Executor,
    work: Any,
) -> list[tuple[FoldPlan, int]]:
    """The folds as they are carried out, after they chose how to use the clips to pretrain on."""
    trials = run.trials
    if trials is None:
        return list(share)
    choosing = [
        (plan, seed)
        for plan, seed in share
        if plan.index in trials.of and folder.choice(plan.index, seed) is None
    ]
    calls = [
        (work, p.fold.name, p.index, trials.of[p.index], trials.ways, trials.margin, seed)
        for p, seed in choosing
    ]
    with progress("choosing", total=len(choosing), unit="folds") as advance:
        for position, choice in executor.run(choose_way, calls):
            folder.keep_choice(choosing[position][0].index, choice)
            advance(1)
    return [(run.as_chosen(p, folder.choice(p.index, seed)), seed) for p, seed in share]


def _together(
    run: Preparation, missing: Sequence[tuple[FoldPlan, int]]
) -> list[tuple[list[FoldPlan], int]]:
    """The folds that are trained side by side, with their seed: alike, and no more than allowed."""
    at_once = run.options["folds_at_once"] or (_ON_A_GPU if run.work.device == "cuda" else 1)
    if run.work.precision != "32-true":  # in which folds side by side are trained
        at_once = 1
    model = outline(run.work.model, len(run.work.clips.classes), **run.work.options)
    groups: dict[tuple[Any, ...], list[FoldPlan]] = {}
    for plan, seed in missing:
        settings = run.work.training if plan.pretraining is None else run.work.fine_tuning
        if at_once == 1 or not fits_side_by_side(model, settings, run.work.augment):
            key: tuple[Any, ...] = (seed, plan.index)
        else:
            learned = [plan.learned, *([plan.inner.learned] if plan.inner else [])]
            batches = [settings.batches(len(rows)) for rows in learned]
            key = (seed, plan.pretraining, plan.way, *batches, None)
        groups.setdefault(key, []).append(plan)
    return [
        (plans[first : first + at_once], key[0])
        for key, plans in groups.items()
        for first in range(0, len(plans), at_once)
    ]


def _card(run: Preparation, plan: FoldPlan, seed: int, result: FoldResult) -> RecognizerCard:
    """The card of the fold's recognizer."""
    before = None if plan.pretraining is None else run.groups[plan.pretraining].clips
    name, way = plan.fold.name, plan.way
    return card_of(run, plan.learned, before, result.statistics, result.epoch, seed, name, way)


def _pretrain(
    run: Preparation,
    folder: RunFolder,
    needed: Sequence[tuple[int, int]],
    executor: Executor,
    work: Any,
    tracking: RunTracking,
) -> dict[tuple[int, int] | None, Any]:
    """Shared weights by pretraining and seed; those in the folder are not trained again."""
    missing = [key for key in needed if not folder.has_pretrained(*key)]
    calls = [
        (work, run.groups[group].clips, pretraining_seed(seed, group), run.groups[group].length)
        for group, seed in missing
    ]
    if calls:
        with progress("pretraining", total=len(calls), unit="pretrainings") as advance:
            for position, result in executor.run(pretrain, calls):
                group, seed = missing[position]
                folder.keep_pretrained(group, seed, result)
                tracking.curve(seed, f"pretraining {group}", result.curve)
                advance(1)
    return {key: executor.share(folder.pretrained(*key)) for key in needed}


def _executor(run: Preparation) -> dict[str, Any]:
    """The executor's settings; on a GPU, folds run one at a time unless configured otherwise."""
    settings = dict(run.options["executor"])
    if settings["name"] == "local" and settings["workers"] is None and run.work.device == "cuda":
        settings["workers"] = 1
    return settings
