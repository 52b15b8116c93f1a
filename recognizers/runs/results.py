"""The result of a run: its folds' records pooled, scored and reported."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from mersynth import __version__
from mersynth.files import write_json_atomically
from recognizers.evaluation.comparison import bootstrap_subjects
from recognizers.evaluation.metrics import STATISTICS, by_dataset
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.preparation import Preparation
from recognizers.report.layout import RunError
from recognizers.runs.folder import ORACLE, PREDICTIONS, RESULTS, RunFolder

logger = logging.getLogger(__name__)


def write_results(folder: RunFolder, run: Preparation, seeds: Sequence[int]) -> None:
    """Write ``predictions.csv``, ``oracle.csv``, ``config.yaml`` and ``results.json``.

    Args:
        folder: holds a record of every fold and seed.
        run: the run's preparation.
        seeds: to tell of.

    Raises:
        RunError: if a record is damaged or missing.
    """
    records = {
        (seed, plan.index): _record(folder, plan.index, seed)
        for seed in seeds
        for plan in run.plans
    }
    strict = _predictions(run, records, "probabilities")
    oracle = _predictions(run, records, "oracle_probabilities")
    strict.to_csv(folder.path / PREDICTIONS)
    oracle.to_csv(folder.path / ORACLE)
    folder.keep_config(OmegaConf.to_yaml(OmegaConf.create(dict(run.options))))
    request = run.request
    results = {
        "mersynth": __version__,
        "protocol": request.protocol,
        "groups": request.groups,
        "scheme": request.scheme,
        "first_label": request.first_label,
        "habit": request.habit,
        "marked": _marks(run),
        "model": dict(run.model),
        "classes": list(run.work.clips.classes),
        "seeds": list(seeds),
        "selection": run.options["selection"],
        "data": list(run.data),
        "names": request.names,
        "alike": [str(each) for each in run.spelling.alike],
        "folds": _folds(run),
        "pretraining": _pretraining(run),
        "headline": "strict" if request.habit == "strict" else "oracle",
        "strict": {name: scores.to_dict() for name, scores in by_dataset(strict).items()},
        "oracle": {name: scores.to_dict() for name, scores in by_dataset(oracle).items()},
        "intervals": {"strict": _intervals(strict), "oracle": _intervals(oracle)},
        "device": run.work.device,
        "seconds": sum(record["seconds"] for record in records.values()),
    }
    # The last file: a folder that has it holds a whole run.
    write_json_atomically(folder.path / RESULTS, results)


def _record(folder: RunFolder, index: int, seed: int) -> dict[str, Any]:
    record = folder.fold(index, seed)
    if record is None:
        raise RunError(f"{folder.path} lacks fold {index} of seed {seed}; repeat the command")
    return record


def _predictions(
    run: Preparation, records: Mapping[tuple[int, int], Mapping[str, Any]], key: str
) -> Predictions:
    import pandas as pd

    clips, classes = run.work.clips, run.work.clips.classes
    rows = []
    for (seed, index), record in records.items():
        fold = run.plans[index].fold
        for i, probabilities in zip(fold.test, record[key], strict=True):
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


def _marks(run: Preparation) -> list[str]:
    """Why figures under published habits are not ranked."""
    if run.request.habit == "strict":
        return []
    count = sum(len(leaks) for leaks in run.leaks)
    leaks = [f"{count} leaks let pass in {len(run.plans)} folds"] if count else []
    twice = len(run.spelling.alike) if run.request.names is None else 0
    names = [f"{twice} names of people or clips look alike and were left apart"] if twice else []
    return ["epochs chosen on the tested clips", *leaks, *names]


def _folds(run: Preparation) -> list[dict[str, Any]]:
    clips = run.work.clips.clips
    return [
        {
            "name": plan.fold.name,
            "tested": sorted(plan.fold.subjects(clips)),
            "train": len(plan.fold.train),
            "mixed": len(plan.learned) - len(plan.fold.train),
            "test": len(plan.fold.test),
            "missing": list(run.missing.get(plan.fold.name, ())),
            "pretraining": plan.pretraining,
            "leaks": [asdict(leak) for leak in leaks],
        }
        for plan, leaks in zip(run.plans, run.leaks, strict=True)
    ]


def _pretraining(run: Preparation) -> list[dict[str, Any]]:
    pool = run.work.pool
    if pool is None:
        return []
    stores = [card["path"] for card in run.data if card["role"] == "pretrain"]
    unlike = []
    for group in run.groups:
        chosen = [pool.clips[i] for i in group.clips]
        counts = Counter(pool.classes[pool.label[i]] for i in group.clips)
        unseen = [frozenset(clip.unseen) for clip in chosen if clip.is_synthetic]
        unlike.append(
            {
                "stores": stores,
                "clips": len(chosen),
                "classes": {name: counts[name] for name in pool.classes},
                "folds": [run.plans[i].fold.name for i in group.folds],
                "generators": sorted({clip.generator for clip in chosen if clip.generator}),
                "unseen": len(frozenset.intersection(*unseen)) if unseen else None,
            }
        )
    return unlike


def _intervals(predictions: Predictions) -> dict[str, Any] | None:
    """Intervals over people; None where one person alone is tested."""
    people = predictions.codes.subject
    if people.max() == 0:
        logger.warning("one person alone is tested: there is no interval over people")
        return None
    return {name: asdict(bootstrap_subjects(predictions, name)) for name in STATISTICS}
