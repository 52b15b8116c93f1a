"""STSTNet on real flow, trained alone and pretrained on rendered clips."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from measuring.flow_sets import FlowSet
from recognizers.evaluation.comparison import Comparison, compare
from recognizers.evaluation.metrics import FULL
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.real_flow")

GROUPS, EPOCHS, BATCH = 10, 80, 64
SETTINGS = (
    f"model.training.epochs={EPOCHS}",
    f"model.training.batch_size={BATCH}",
    "model.training.optimizer.lr=1e-3",
)
LR_FACTOR = 0.5
ALONE, LONGER = "real clips alone", "the same, for as many steps"


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train, tested on a database.

    Attributes:
        database: its name.
        name: of the arm.
        run: its finished run.
        gain: in UF1, over real clips alone; None for that arm itself.
        over_longer: in UF1, over real clips alone for as many steps; None for arms without
            rendered clips.
    """

    database: str
    name: str
    run: Run
    gain: Comparison | None = None
    over_longer: Comparison | None = None

    def recalls(self) -> dict[str, float]:
        """The mean over seeds of each class's recall."""
        scores = list(self.run.scores["strict"][FULL].scores.values())
        return {name: fmean(s.recall[name] for s in scores) for name in scores[0].classes}


def longer_epochs(real: FlowSet, rendered: FlowSet) -> int:
    """Epochs on real clips that take as many steps as pretraining and fine-tuning together."""
    learned = len(real.images) * (GROUPS - 1) / GROUPS
    own, other = (math.ceil(count / BATCH) for count in (learned, len(rendered.images)))
    return round(EPOCHS * (own + other) / own)


def run_arms(
    real: Sequence[FlowSet],
    rendered: Sequence[FlowSet],
    folder: Path,
    seeds: range,
    overrides: Sequence[str] = (),
) -> list[Arm]:
    """Test STSTNet on each database, trained in every way.

    Args:
        real: databases.
        rendered: sets to pretrain on.
        folder: of the runs; finished ones are not repeated.
        seeds: of the runs.
        overrides: of ``configs/evaluate.yaml``.
    """

    def run(
        database: FlowSet, name: str, changes: Sequence[str], pretrain: Sequence[Path] = ()
    ) -> Run:
        logger.info("%s: %s", database.name, name)
        request = Request(
            split="loso",
            model="ststnet_published",
            data=database.files,
            pretrain=pretrain,
            groups=GROUPS,
            seeds=len(seeds),
            seed=seeds.start,
            overrides=[*SETTINGS, *changes, *overrides],
        )
        return Run.open(evaluate(request, folder / f"{database.name}_{name}"))

    arms = []
    for database in real:
        alone = run(database, "alone", [])
        arms.append(Arm(database.name, ALONE, alone))
        lengths = sorted({longer_epochs(database, each) for each in rendered})
        longer = {n: run(database, f"alone_{n}", [f"model.training.epochs={n}"]) for n in lengths}
        base = alone.predictions["strict"]
        for epochs, found in longer.items():
            gain = compare(found.predictions["strict"], base)
            arms.append(Arm(database.name, f"{LONGER} ({epochs} epochs)", found, gain))
        for each in rendered:
            factor = [f"fine_tuning.lr_factor={LR_FACTOR}"]
            found = run(database, each.name, factor, each.files)
            predictions = found.predictions["strict"]
            more = longer[longer_epochs(database, each)].predictions["strict"]
            gain, over = compare(predictions, base), compare(predictions, more)
            arms.append(Arm(database.name, f"pretrained on {each.name}", found, gain, over))
    return arms


def arm_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """One row per arm."""
    rows = []
    for arm in arms:
        scores = arm.run.scores["strict"][FULL]
        spread = f" ± {scores.sd['uf1']:.3f}" if scores.sd else ""
        rows.append(
            [
                arm.database,
                arm.name,
                f"{scores.mean['uf1']:.3f}{spread}",
                f"{scores.mean['uar']:.3f}",
                " / ".join(f"{recall:.2f}" for recall in arm.recalls().values()),
                *(_interval(gain) for gain in (arm.gain, arm.over_longer)),
            ]
        )
    return rows


def _interval(gain: Comparison | None) -> str:
    if gain is None:
        return ""
    found = gain.difference
    return f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
