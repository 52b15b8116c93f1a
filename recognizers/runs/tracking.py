"""Learning curves and figures of a run, for TensorBoard, Weights & Biases or MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mersynth.disk.files import file_name
from mersynth.disk.partial import remove
from mersynth.tracking import LOGS, Kind, open_tracker
from recognizers.runs.records import Epoch, Results

_CURVES = ("loss", "train_accuracy", "test_accuracy", "learning_rate", "strength")


class RunTracking:
    """Passes on what a run has learnt, when a part of it has ended.

    Folds are trained by other processes, on other machines perhaps, and side by side. What each of
    them returns is passed on by the process that keeps it, as a training of its own.

    Args:
        kind: where to (:func:`mersynth.tracking.open_tracker`).
        folder: of the run; it exists.
        settings: the run's config.
    """

    def __init__(self, kind: Kind, folder: Path, settings: Mapping[str, Any]) -> None:
        self.kind, self.folder, self.settings = kind, folder, settings

    def curve(self, seed: int, part: str, curve: Sequence[Epoch]) -> None:
        """The learning curve of a part, for instance of the fold ``samm/006``, with a seed."""
        steps = []
        for epoch in curve:
            known = {name: getattr(epoch, name) for name in _CURVES}
            steps.append((epoch.epoch, {n: v for n, v in known.items() if v is not None}))
        self._write(f"seed_{seed}/{file_name(part)}", steps, {"seed": seed, "part": part})

    def pooled(self, results: Results) -> None:
        """The figures over all folds: a step per seed."""
        steps: dict[int, dict[str, float]] = {}
        for selection in ("strict", "oracle"):
            pools = getattr(results, selection) or {}
            for name, pool in pools.items():
                for seed, scores in pool.seeds.items():
                    own = steps.setdefault(int(seed), {})
                    for statistic in ("uf1", "uar", "accuracy"):
                        own[f"{selection}/{name}/{statistic}"] = getattr(scores, statistic)
        self._write("pooled", sorted(steps.items()), {"seeds": list(results.seeds)})

    def _write(
        self,
        name: str,
        steps: Sequence[tuple[int, Mapping[str, float]]],
        further: Mapping[str, Any],
    ) -> None:
        if self.kind == "tensorboard":
            remove(self.folder / LOGS / name)  # of an earlier try
        tracker = open_tracker(
            self.kind,
            self.folder,
            name,
            group=self.folder.resolve().name,
            settings={**self.settings, **further},
        )
        try:
            for step, figures in steps:
                tracker.log(figures, step)
        finally:
            tracker.close()
