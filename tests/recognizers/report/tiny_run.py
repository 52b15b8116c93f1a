"""Invented folders of finished runs: only their figures are computed, from the predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from recognizers.evaluation.comparison import Interval, bootstrap_subjects
from recognizers.evaluation.metrics import STATISTICS
from recognizers.evaluation.predictions import Predictions
from recognizers.folds.guard import Leak
from recognizers.folds.splits import Split
from recognizers.runs.files import write
from recognizers.runs.records import (
    ByStatistic,
    DataUsed,
    Epoch,
    FoldRecord,
    FoldSummary,
    Intervals,
    ModelSummary,
    PretrainingRecord,
    PretrainingSummary,
    Results,
)
from recognizers.runs.results import scored
from tests.recognizers.evaluation.tiny_predictions import frame_of

FIVE = ("anger", "contempt", "happiness", "other", "surprise")
EPOCHS = 20


def write_tiny_run(
    path: Path,
    *,
    seeds: int = 2,
    skill: float = 0.5,
    datasets: Sequence[str] = ("samm",),
    subjects: int = 6,
    clips: int = 40,
    classes: Sequence[str] = FIVE,
    pretrained: bool = True,
    paper: bool = False,
    model: str = "au_gacn_tiny",
    split: Split = "loso",
    groups: int | None = None,
) -> Path:
    """Write a run's folder.

    Args:
        path: the folder, which is made.
        seeds: number of seeds.
        skill: share of the clips that are right for sure; the oracle has a tenth more.
        datasets: names of the databases.
        subjects: of each database.
        clips: of each database; the same whatever the seeds and the skill.
        classes: the classes, the fourth of which is the most frequent.
        pretrained: whether folds started from one of two pretrainings.
        paper: whether published habits were kept.
        model: the model's config.
        split: ``"loso"`` and the like.
        groups: number of groups of subjects, or None for single ones.
    """
    path.mkdir(parents=True)
    strict = _predictions(skill, seeds, datasets, subjects, clips, classes)
    oracle = _predictions(min(1, skill + 0.1), seeds, datasets, subjects, clips, classes)
    strict.to_csv(path / "predictions.csv")
    oracle.to_csv(path / "oracle.csv")
    folds = _write_folds(path, strict, pretrained, paper)
    results = Results(
        mersynth="0.1.0",
        split=split,
        groups=groups,
        scheme="five",
        protocol="paper" if paper else "strict",
        marked=("epochs chosen on the tested subjects", "6 leaks allowed") if paper else (),
        model=ModelSummary(
            config=model,
            name="au_gacn",
            options={"top_k": 5, "dropout": 0.2},
            parameters=1234567,
            paper="Xie et al., AU-assisted Graph Attention Convolutional Network (2020)",
        ),
        classes=tuple(classes),
        seeds=strict.seeds,
        selection="fixed",
        data=_data(strict, pretrained),
        folds=folds,
        pretraining=_write_pretraining(path, folds, classes) if pretrained else (),
        headline="oracle" if paper else "strict",
        strict=scored(strict),
        oracle=scored(oracle),
        intervals=Intervals(strict=_intervals(strict), oracle=_intervals(oracle)),
        device="cpu",
        seconds=754.3,
    )
    (path / "config.yaml").write_text(
        f"model: {model}\nsplit: {split}\ntraining:\n  epochs: {EPOCHS}\n  lr: 0.001\n"
    )
    write(path / "results.json", results)
    return path


def change(run: Path, **changed: Any) -> None:
    """Overwrite parts of a run's ``results.json``."""
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**results, **changed}))


def _predictions(
    skill: float,
    seeds: int,
    datasets: Sequence[str],
    subjects: int,
    clips: int,
    classes: Sequence[str],
) -> Predictions:
    rng = np.random.default_rng(0)
    rare = np.array([3, 1, 2, 5, 1.5] + [1] * len(classes))[: len(classes)]
    frames = []
    for dataset in datasets:
        true = rng.choice(classes, clips, p=rare / rare.sum())
        true[: len(classes)] = classes
        weights = rng.dirichlet(np.ones(subjects))
        people = np.concatenate([np.arange(subjects), rng.choice(subjects, clips, p=weights)])
        names = [f"{number + 1:03}" for number in people[:clips]]
        for seed in range(seeds):
            own = np.random.default_rng([seed, int(1000 * skill)])
            guess = own.choice(classes, clips, p=rare / rare.sum())
            predicted = np.where(own.random(clips) < skill, true, guess)
            frame = frame_of(
                true.tolist(),
                predicted.tolist(),
                names,
                seed=seed,
                datasets=[dataset] * clips,
                classes=classes,
            )
            frames.append(frame.assign(fold=frame["dataset"] + "/" + frame["subject"]))
    return Predictions(pd.concat(frames), tuple(classes))


def _intervals(predictions: Predictions) -> ByStatistic[Interval]:
    return ByStatistic(
        **{name: bootstrap_subjects(predictions, name, samples=200) for name in STATISTICS}
    )


def _data(predictions: Predictions, pretrained: bool) -> tuple[DataUsed, ...]:
    one = predictions.frame[predictions.frame["seed"] == 0]
    rows = [
        DataUsed(
            path=f"stores/{name}",
            role="real",
            checksum=f"{index + 10:064x}"[::-1],
            clips=len(part),
            subjects=part["subject"].nunique(),
            classes=part["true"].value_counts().to_dict(),
        )
        for index, (name, part) in enumerate(one.groupby("dataset"))
    ]
    if pretrained:
        classes = dict.fromkeys(predictions.classes, 60)
        path = "stores/samm_synthetic"
        rows.append(DataUsed(path, "pretrain", "ab" * 32, 60 * len(classes), 9, classes))
    return tuple(rows)


def _write_folds(
    path: Path, predictions: Predictions, pretrained: bool, paper: bool
) -> tuple[FoldSummary, ...]:
    (path / "folds").mkdir()
    folds = []
    names = list(predictions.frame["fold"].unique())
    columns = [f"p_{name}" for name in predictions.classes]
    for index, name in enumerate(names):
        rows = predictions.frame[predictions.frame["fold"] == name]
        for seed in predictions.seeds:
            own = rows[rows["seed"] == seed]
            rng = np.random.default_rng([index, seed])
            oracle_epoch = int(rng.integers(1, EPOCHS + 1))
            record = FoldRecord(
                fold=name,
                seed=seed,
                seconds=1.2,
                epoch=EPOCHS,
                oracle_epoch=oracle_epoch,
                curve=_curve(rng, len(own)),
                clips=tuple(own[["dataset", "subject", "clip"]].agg("/".join, axis=1)),
                probabilities=own[columns].to_numpy().tolist(),
                oracle_probabilities=own[columns].to_numpy().tolist(),
            )
            write(path / "folds" / f"{seed}_{index:03}.json", record)
        leaks = tuple(
            Leak(kind, f"{name}/{clip}", f"shows {name}, who is tested")
            for kind, clip in (("synthetic clips", "x"), ("synthetic clips", "y"), ("bank: b", "z"))
        )
        folds.append(
            FoldSummary(
                name=name,
                tested=(name,),
                train=len(predictions.clips) - len(own),
                test=len(own),
                missing=("contempt",) if index == 1 else (),
                pretraining=index % 2 if pretrained else None,
                mixed=0,
                leaks=leaks if paper and index < 2 else (),
            )
        )
    return tuple(folds)


def _curve(rng: np.random.Generator, clips: int) -> tuple[Epoch, ...]:
    pace = rng.uniform(0.6, 1.4)
    points = []
    for epoch in range(1, EPOCHS + 1):
        learned = 1 - np.exp(-pace * epoch * 3.5 / EPOCHS)
        points.append(
            Epoch(
                epoch=epoch,
                loss=float(1.6 - 1.3 * learned + rng.normal(0, 0.03)),
                train_accuracy=float(np.clip(0.2 + 0.75 * learned + rng.normal(0, 0.02), 0, 1)),
                test_accuracy=float(rng.binomial(clips, 0.2 + 0.35 * learned) / clips),
                learning_rate=0.001,
            )
        )
    return tuple(points)


def _write_pretraining(
    path: Path, folds: Sequence[FoldSummary], classes: Sequence[str]
) -> tuple[PretrainingSummary, ...]:
    (path / "pretrained").mkdir()
    groups = []
    for group in (0, 1):
        rng = np.random.default_rng(group)
        curve = tuple(
            msgspec.structs.replace(point, test_accuracy=None) for point in _curve(rng, 1)
        )
        record = PretrainingRecord(group, 0, 9.5, curve, weights="cd" * 32)
        write(path / "pretrained" / f"0_{group}.json", record)
        groups.append(
            PretrainingSummary(
                stores=("stores/samm_synthetic",),
                clips=60 * len(classes),
                classes=dict.fromkeys(classes, 60),
                folds=tuple(fold.name for fold in folds if fold.pretraining == group),
                generators=(f"{group + 1:064x}"[::-1],),
                unseen=6,
            )
        )
    return tuple(groups)
