"""Systems on real flow, trained alone and with synthetic clips in several ways."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from measuring.flow_sets import FlowSet, in_form
from recognizers.evaluation.comparison import Comparison, compare
from recognizers.evaluation.metrics import FULL
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.real_flow")

GROUPS, EPOCHS, BATCH = 10, 80, 64


@dataclass(frozen=True, slots=True)
class System:
    """A system that reads flow images.

    Attributes:
        model: its config.
        channels: what it reads.
        size: of its images, in pixels; 28 are enlarged to more.
        rate: learning rate.
    """

    model: str
    channels: tuple[str, ...] = ("u", "v", "strain")
    size: int = 28
    rate: float = 1e-3

    @property
    def settings(self) -> list[str]:
        """Overrides of ``configs/evaluate.yaml``."""
        own = {"epochs": EPOCHS, "batch_size": BATCH, "optimizer.lr": self.rate}
        size = f"model.options.image_size={self.size}"
        return [size, *(f"model.training.{name}={value}" for name, value in own.items())]


SYSTEMS = {
    system.model: system
    for system in (
        System("ststnet_published"),
        System("off_apexnet", ("u", "v")),
        System("sssn_strain", size=36, rate=1e-4),
    )
}
WAYS: Mapping[str, str | None] = {
    "pretrained, then 0.5 of the rate": "fine_tuning.lr_factor=0.5",
    "mixed in": None,
    "as chosen by each fold": "fine_tuning.lr_factor=inner",
}
"""How synthetic clips are used, with the override of pretraining; None: ``--mix``."""
CHOSEN = "as chosen by each fold"
ALONE, LONGER = "real clips alone", "the same, for as many steps"


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train a system, tested on a database.

    Attributes:
        system: its config.
        database: its name.
        clips: name of the synthetic set; empty for real clips alone.
        way: how it is used, a key of ``WAYS``; else ``ALONE`` or ``LONGER``.
        run: its finished run.
        gain: in UF1, over real clips alone; None for that arm itself.
        over_longer: in UF1, over real clips alone for as many steps; None without synthetic clips.
    """

    system: str
    database: str
    clips: str
    way: str
    run: Run
    gain: Comparison | None = None
    over_longer: Comparison | None = None

    @property
    def name(self) -> str:
        """The arm's name."""
        return f"{self.clips}, {self.way}" if self.clips else self.way

    @property
    def left_out(self) -> str:
        """In how many folds and seeds the clips were left out, for arms that choose."""
        choices = self.run.results.choices
        left = sum(choice.chosen is None for choice in choices)
        return f"{left} of {len(choices)}" if choices else ""

    def recalls(self) -> dict[str, float]:
        """The mean over seeds of each class's recall."""
        scores = list(self.run.scores["strict"][FULL].scores.values())
        return {name: fmean(s.recall[name] for s in scores) for name in scores[0].classes}


def longer_epochs(real: FlowSet, synthetic: Sequence[FlowSet]) -> int:
    """Epochs on real clips that take as many steps as training on them and the largest set."""
    learned = len(real.images) * (GROUPS - 1) / GROUPS
    own = math.ceil(learned / BATCH)
    other = math.ceil(max(len(each.images) for each in synthetic) / BATCH)
    return round(EPOCHS * (own + other) / own)


def run_arms(
    systems: Sequence[System],
    real: Sequence[FlowSet],
    synthetic: Sequence[FlowSet],
    folder: Path,
    seeds: range,
    choosing: Sequence[str],
    overrides: Sequence[str] = (),
) -> list[Arm]:
    """Test systems on each database, trained in every way.

    Args:
        systems: the systems.
        real: databases.
        synthetic: sets to pretrain on or to mix in.
        folder: of the runs; finished ones are not repeated.
        seeds: of the runs.
        choosing: names of the sets that folds also choose how to use, which takes long.
        overrides: of ``configs/evaluate.yaml``.
    """

    def run(
        system: System, database: FlowSet, name: str, changes: Sequence[str], **clips: list[Path]
    ) -> Run:
        logger.info("%s, %s: %s", system.model, database.name, name)
        request = Request(
            split="loso",
            model=system.model,
            data=_files(system, database),
            groups=GROUPS,
            seeds=len(seeds),
            seed=seeds.start,
            overrides=[*system.settings, *changes, *overrides],
            **clips,
        )
        place = folder / f"{system.model}_{database.name}_{name}"
        return Run.open(evaluate(request, place))

    arms = []
    for system in systems:
        for database in real:
            own = system.model, database.name
            alone = run(system, database, "alone", [])
            arms.append(Arm(*own, "", ALONE, alone))
            base = alone.predictions["strict"]
            if not synthetic:
                continue
            epochs = longer_epochs(database, synthetic)
            name, changes = f"alone_{epochs}", [f"model.training.epochs={epochs}"]
            control = run(system, database, name, changes)
            longer = control.predictions["strict"]
            gain = compare(longer, base)
            arms.append(Arm(*own, "", f"{LONGER} ({epochs} epochs)", control, gain))
            for clips in synthetic:
                for number, (way, override) in enumerate(WAYS.items()):
                    if way == CHOSEN and clips.name not in choosing:
                        continue
                    changes = [] if override is None else [override]
                    role = "mix" if override is None else "pretrain"
                    found = run(
                        system, database, f"{clips.name}_{number}", changes,
                        **{role: _files(system, clips)},
                    )  # fmt: skip
                    predictions = found.predictions["strict"]
                    gains = compare(predictions, base), compare(predictions, longer)
                    arms.append(Arm(*own, clips.name, way, found, *gains))
    return arms


def crossed(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """What a choice made on one database gains on another.

    Returns:
        For each system and database, the arm with synthetic clips that gains most on it, with the
        same arm on each other database.
    """
    fixed = [arm for arm in arms if arm.clips and arm.way != CHOSEN and arm.gain is not None]
    pairs = []
    for system, database in dict.fromkeys((arm.system, arm.database) for arm in fixed):
        own = [arm for arm in fixed if (arm.system, arm.database) == (system, database)]
        best = max(own, key=lambda arm: arm.gain.difference.estimate if arm.gain else 0.0)
        pairs += [
            (best, other)
            for other in fixed
            if (other.system, other.name) == (system, best.name) and other.database != database
        ]
    return pairs


def arm_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """One row per arm."""
    rows = []
    for arm in arms:
        scores = arm.run.scores["strict"][FULL]
        spread = f" ± {scores.sd['uf1']:.3f}" if scores.sd else ""
        rows.append(
            [
                arm.system,
                arm.database,
                arm.name,
                f"{scores.mean['uf1']:.3f}{spread}",
                f"{scores.mean['uar']:.3f}",
                " / ".join(f"{recall:.2f}" for recall in arm.recalls().values()),
                *(_interval(gain) for gain in (arm.gain, arm.over_longer)),
                arm.left_out,
            ]
        )
    return rows


def crossed_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """One row per choice on one database and its gains on another."""
    return [
        [here.system, here.database, here.name, there.database,
         *map(_interval, (there.gain, there.over_longer))]
        for here, there in crossed(arms)
    ]  # fmt: skip


def _files(system: System, clips: FlowSet) -> list[Path]:
    if (system.channels, system.size) == (("u", "v", "strain"), 28):
        return list(clips.files)
    return [in_form(file, system.channels, system.size) for file in clips.files]


def _interval(gain: Comparison | None) -> str:
    if gain is None:
        return ""
    found = gain.difference
    return f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
