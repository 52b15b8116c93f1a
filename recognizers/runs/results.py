"""The results of a run: its folds' records, pooled and scored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from omegaconf import OmegaConf

from mersynth import __version__
from recognizers.evaluation.comparison import Interval, bootstrap_subjects
from recognizers.evaluation.metrics import STATISTICS, by_dataset
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.preparation import Preparation
from recognizers.folds.plan import FoldPlan
from recognizers.runs.files import RESULTS, TABLES, RunError, write
from recognizers.runs.folder import RunFolder
from recognizers.runs.records import (
    ByStatistic,
    Choice,
    FoldRecord,
    FoldSummary,
    Intervals,
    PretrainingRecord,
    PretrainingSummary,
    Results,
    ScoredPool,
    Selection,
)

logger = logging.getLogger(__name__)


def write_results(folder: RunFolder, run: Preparation, seeds: Sequence[int]) -> Results:
    """Write ``predictions.csv``, ``oracle.csv``, ``config.yaml`` and ``results.json``.

    Args:
        folder: the run's folder, with a record of every fold and seed.
        run: the run's preparation.
        seeds: the seeds to pool.

    Returns:
        What ``results.json`` holds.

    Raises:
        RunError: if a record is damaged or missing.
    """
    records = {
        (seed, plan.index): _record(folder, run, plan, seed) for seed in seeds for plan in run.plans
    }
    plans = {
        (seed, plan.index): run.as_chosen(plan, folder.choice(plan.index, seed))
        for seed in seeds
        for plan in run.plans
    }
    starts = run.pretrainings((plan, seed) for (seed, _), plan in plans.items())
    before = {start: folder.pretraining(*start) for start in starts}
    strict, oracle = (_predictions(run, records, name) for name in ("strict", "oracle"))
    strict.to_csv(folder.path / TABLES["strict"])
    oracle.to_csv(folder.path / TABLES["oracle"])
    folder.keep_config(OmegaConf.to_yaml(OmegaConf.create(dict(run.options))))
    request = run.request
    results = Results(
        mersynth=__version__,
        split=request.split,
        protocol=request.protocol,
        groups=request.groups,
        scheme=request.scheme,
        first_label=request.first_label,
        marked=_marks(run),
        model=run.model,
        classes=run.work.clips.classes,
        seeds=tuple(seeds),
        selection=run.options["selection"],
        data=run.data,
        names=request.names,
        alike=tuple(str(each) for each in run.spelling.alike),
        choices=_choices(folder, run, seeds),
        folds=_folds(run),
        pretraining=_pretraining(run),
        headline="strict" if request.protocol == "strict" else "oracle",
        strict=scored(strict),
        oracle=scored(oracle),
        intervals=Intervals(strict=_intervals(strict), oracle=_intervals(oracle)),
        device=run.work.device,
        seconds=sum(record.seconds for record in records.values())
        + sum(record.seconds for record in before.values() if record),
        clips_seen=_clips_seen(run, plans, records, before),
    )
    # The last file: a folder that has it holds a complete run.
    write(folder.path / RESULTS, results)
    return results


def scored(predictions: Predictions) -> dict[str, ScoredPool]:
    """Scores of all databases together and of each, as ``results.json`` holds them."""
    return {
        name: msgspec.convert(scores.to_dict(), ScoredPool)
        for name, scores in by_dataset(predictions).items()
    }


def _record(folder: RunFolder, run: Preparation, plan: FoldPlan, seed: int) -> FoldRecord:
    clips = run.work.clips
    tested = [clips.clips[i].id for i in plan.fold.test]
    record = folder.fold(plan.index, seed, plan.fold.name, tested, len(clips.classes))
    if record is None:
        raise RunError(f"{folder.path} lacks fold {plan.index} of seed {seed}; repeat the command")
    return record


def _clips_seen(
    run: Preparation,
    plans: Mapping[tuple[int, int], FoldPlan],
    records: Mapping[tuple[int, int], FoldRecord],
    before: Mapping[tuple[int, int], PretrainingRecord | None],
) -> float | None:
    """Clips that a fold's strict weights have learned from, mean; None if a record lacks them."""
    counts: list[int | None] = []
    for (seed, index), record in records.items():
        counts += [epoch.clips for epoch in record.curve[: record.epoch]]
        if (start := run.pretraining_of(plans[seed, index], seed)) is not None:
            record_before = before[start]
            counts += [epoch.clips for epoch in record_before.curve] if record_before else [None]
    known = [count for count in counts if count is not None]
    return sum(known) / len(records) if len(known) == len(counts) else None


def _predictions(
    run: Preparation, records: Mapping[tuple[int, int], FoldRecord], selection: Selection
) -> Predictions:
    import pandas as pd

    clips, classes = run.work.clips, run.work.clips.classes
    rows = []
    for (seed, index), record in records.items():
        fold = run.plans[index].fold
        oracle = selection == "oracle"
        found = record.oracle_probabilities if oracle else record.probabilities
        for i, probabilities in zip(fold.test, found, strict=True):
            clip = clips.clips[i]
            rows.append(
                {
                    "seed": seed,
                    "fold": fold.name,
                    "dataset": clip.source,
                    "subject": clip.subject,
                    "clip": clip.name,
                    "true": classes[clips.label[i]],
                    "predicted": classes[int(np.argmax(probabilities))],
                    **{f"p_{name}": p for name, p in zip(classes, probabilities, strict=True)},
                }
            )
    return Predictions(pd.DataFrame(rows), classes)


def _marks(run: Preparation) -> tuple[str, ...]:
    """Why figures of protocol paper are not ranked."""
    if run.request.protocol == "strict":
        return ()
    count = sum(len(leaks) for leaks in run.leaks)
    leaks = [f"{count} leaks allowed in {len(run.plans)} folds"] if count else []
    twice = len(run.spelling.alike) if run.request.names is None else 0
    names = [f"{twice} names of people or clips look alike and were left apart"] if twice else []
    return ("epochs chosen on the tested clips", *leaks, *names)


def _choices(folder: RunFolder, run: Preparation, seeds: Sequence[int]) -> tuple[Choice, ...]:
    found = [folder.choice(plan.index, seed) for seed in seeds for plan in run.plans]
    choices = tuple(choice for choice in found if choice is not None)
    if left := sum(choice.chosen is None for choice in choices):
        logger.warning(
            "pretraining does not help people of the training part of %d of %d folds, and is left "
            "out there",
            left,
            len(choices),
        )
    return choices


def _folds(run: Preparation) -> tuple[FoldSummary, ...]:
    clips = run.work.clips.clips
    return tuple(
        FoldSummary(
            name=plan.fold.name,
            tested=tuple(sorted(plan.fold.subjects(clips))),
            train=len(plan.fold.train),
            mixed=len(plan.learned) - len(plan.fold.train),
            test=len(plan.fold.test),
            missing=run.missing.get(plan.fold.name, ()),
            pretraining=plan.pretraining,
            leaks=leaks,
        )
        for plan, leaks in zip(run.plans, run.leaks, strict=True)
    )


def _pretraining(run: Preparation) -> tuple[PretrainingSummary, ...]:
    pool = run.work.pool
    if pool is None:
        return ()
    stores = tuple(used.path for used in run.data if used.role == "pretrain")
    summaries = []
    for group in run.groups:
        chosen = [pool.clips[i] for i in group.clips]
        counts = Counter(pool.classes[pool.label[i]] for i in group.clips)
        unseen = [frozenset(clip.unseen) for clip in chosen if clip.is_synthetic]
        summaries.append(
            PretrainingSummary(
                stores=stores,
                clips=len(chosen),
                classes={name: counts[name] for name in pool.classes},
                folds=tuple(run.plans[i].fold.name for i in group.folds),
                generators=tuple(sorted({clip.generator for clip in chosen if clip.generator})),
                unseen=len(frozenset.intersection(*unseen)) if unseen else None,
                length=group.length,
            )
        )
    return tuple(summaries)


def _intervals(predictions: Predictions) -> ByStatistic[Interval] | None:
    """Intervals over people; None where only one person is tested."""
    people = predictions.codes.subject
    if people.max() == 0:
        logger.warning("only one person is tested: there is no interval over people")
        return None
    return ByStatistic(**{name: bootstrap_subjects(predictions, name) for name in STATISTICS})
