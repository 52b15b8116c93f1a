"""A run: folds planned, shown to the guard, trained, tested, and pooled in one honest figure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from omegaconf import OmegaConf

from mersynth import config, paths
from mersynth.logs import progress
from recognizers.executors import Executor, make_executor
from recognizers.fold_work import learn_fold, pretrain
from recognizers.preparation import Preparation, prepare
from recognizers.report import write_report
from recognizers.request import Request
from recognizers.run_folder import RunFolder
from recognizers.run_results import write_results

logger = logging.getLogger(__name__)


def evaluate(request: Request, out: Path | None = None) -> Path:
    """Run an experiment, or go on with one that was stopped.

    Args:
        request: what to run.
        out: the run's folder; None: ``./runs/<protocol>_<model>_<data>``.

    Returns:
        The folder, with ``results.json``, ``predictions.csv``, ``oracle.csv``, ``config.yaml`` and
        ``report.html``.

    Raises:
        ConfigError: if an override or a setting does not fit.
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if clips, folds and model do not fit together.
        LeakageError: if a fold could know what it is tested on.
        RunError: if the folder holds another run.
        TrainingError, ExecutorError: if a training goes astray or a worker dies; what ended is
            kept, and the same command goes on.
    """
    settings = config.load("evaluate", [f"model={request.model}", *request.overrides])
    config.check_choice(settings, "selection", ("fixed", "inner"))
    options = cast(dict[str, Any], OmegaConf.to_container(settings, resolve=True))
    run = prepare(request, options)
    folder = RunFolder(paths.run_path(request.name, out), run.identity)
    seeds = range(request.seed, request.seed + request.seeds)
    _train(run, folder, seeds, options)
    write_results(folder, run, seeds, options)
    logger.info("report: %s", write_report(folder.path))
    return folder.path


def _train(
    run: Preparation, folder: RunFolder, seeds: Sequence[int], options: dict[str, Any]
) -> None:
    """Whatever of the pretrainings and folds is not in the folder yet."""
    missing = [
        (plan, seed)
        for seed in seeds
        for plan in run.plans
        if folder.fold(plan.index, seed) is None
    ]
    total = len(seeds) * len(run.plans)
    if not missing:
        logger.info("all %d folds are in %s", total, folder.path)
        return
    if len(missing) < total:
        logger.info("%d of %d folds are in %s", total - len(missing), total, folder.path)
    with make_executor(options["executor"]) as executor:
        work = executor.share(run.work)
        needed = {(p.pretraining, seed) for p, seed in missing if p.pretraining is not None}
        weights = _pretrain(run, folder, sorted(needed), executor, work)
        calls = [
            (work, plan, weights.get((plan.pretraining, seed)), seed, options["keep_weights"])
            for plan, seed in missing
        ]
        with progress("folds", total=len(calls), unit="folds") as advance:
            for position, result in executor.run(learn_fold, calls):
                plan, seed = missing[position]
                clips = [run.work.clips.clips[i].id for i in plan.fold.test]
                folder.keep_fold(plan.index, seed, plan.fold.name, clips, result)
                advance(1)


def _pretrain(
    run: Preparation,
    folder: RunFolder,
    needed: Sequence[tuple[int, int]],
    executor: Executor,
    work: Any,
) -> dict[tuple[int | None, int], Any]:
    """Shared weights by pretraining and seed; what is in the folder is not trained again."""
    missing = [key for key in needed if folder.pretrained(*key) is None]
    calls = [(work, run.groups[group].clips, _seed(seed, group)) for group, seed in missing]
    if calls:
        with progress("pretraining", total=len(calls), unit="pretrainings") as advance:
            for position, result in executor.run(pretrain, calls):
                group, seed = missing[position]
                folder.keep_pretrained(group, seed, result)
                advance(1)
    return {key: executor.share(folder.pretrained(*key)) for key in needed}


def _seed(seed: int, group: int) -> int:
    """Pretrainings draw apart from each other and from the folds."""
    return int(np.random.SeedSequence([seed, group, 1]).generate_state(1)[0])
