"""Systems on real flow, trained alone and with synthetic clips in several ways."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from measuring.flow_sets import FlowSet, in_form
from measuring.pretraining import CLIPS_SEEN
from recognizers.evaluation.comparison import Comparison, Interval, compare, mean_difference
from recognizers.evaluation.metrics import FULL
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.report import Run

logger = logging.getLogger("recognizers.scripts.real_flow")

GROUPS, BATCH, LR_FACTOR, UNTIL = 10, 64, "0.5", "0.67"


@dataclass(frozen=True, slots=True)
class System:
    """A system that reads flow images.

    Attributes:
        model: its config.
        channels: what it reads.
        size: of its images, in pixels; 28 are enlarged to more.
        epochs: on real clips alone.
        rate: learning rate.
    """

    model: str
    channels: tuple[str, ...] = ("u", "v", "strain")
    size: int = 28
    epochs: int = 30
    rate: float = 1e-3

    @property
    def settings(self) -> list[str]:
        """Overrides of ``configs/evaluate.yaml`` for every arm."""
        own = {"batch_size": BATCH, "optimizer.lr": self.rate}
        size = f"model.options.image_size={self.size}"
        return [size, *(f"model.training.{name}={value}" for name, value in own.items())]

    def alone(self, times: int = 1) -> list[str]:
        """Overrides of an arm that learns from real clips alone, for so many times its epochs."""
        return [f"model.training.epochs={times * self.epochs}"]

    def pretrained(self, lr_factor: str) -> list[str]:
        """Overrides of a pretrained arm, which sees ``1 + CLIPS_SEEN`` times as many clips."""
        return [
            *self.alone(),
            f"fine_tuning.lr_factor={lr_factor}",
            "pretraining.epoch_clips=fold",
            f"pretraining.epochs={CLIPS_SEEN * self.epochs}",
        ]

    def mixed(self, real: int, synthetic: int, until: str = "1") -> list[str]:
        """Overrides of an arm that learns from both kinds at once, of which it has so many clips.

        It sees as many clips as a pretrained arm.
        """
        learned = real * (GROUPS - 1) / GROUPS
        epochs = (1 + CLIPS_SEEN) * self.epochs * learned / (learned + synthetic)
        return [f"model.training.epochs={max(1, round(epochs))}", f"mixed_until={until}"]


SYSTEMS = {
    system.model: system
    for system in (
        System("ststnet_published", epochs=80),
        System("off_apexnet", ("u", "v")),
        System("sssn_strain", size=36),
    )
}
WAYS = {
    "pretrained": f"pretrained, then {LR_FACTOR} of the rate",
    "mixed": "mixed in",
    "mixed_first": f"mixed in for {UNTIL} of the epochs",
}
"""How synthetic clips are used, in words."""
CHOSEN = "as chosen by each fold"
SAMPLERS = {
    "class_balanced": "An epoch has as many clips of every class",
    "shuffle": "An epoch has each clip once",
}
"""How the clips of an epoch are drawn, in words."""
ALONE, LONGER = "real clips alone", "the same, for as many steps"


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train a system, tested on a database.

    Attributes:
        system: its config.
        database: its name.
        clips: name of the synthetic set; empty for real clips alone.
        way: how it is used, of ``WAYS`` or ``CHOSEN``; else ``ALONE`` or ``LONGER``.
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


def run_arms(
    systems: Sequence[System],
    real: Sequence[FlowSet],
    synthetic: Sequence[FlowSet],
    folder: Path,
    seeds: range,
    ways: Sequence[str],
    shared: Sequence[str],
    choosing: Sequence[str],
    overrides: Sequence[str] = (),
) -> list[Arm]:
    """Test systems on each database, trained in every way.

    Args:
        systems: the systems.
        real: databases.
        synthetic: sets to pretrain on or to mix in; the first system tries all of them.
        folder: of the runs; finished ones are not repeated.
        seeds: of the runs.
        ways: to use a set, of ``WAYS``.
        shared: names of the sets that the other systems, which take longer, try too.
        choosing: names of the sets that folds of the first system also choose how to use, which
            takes about seven times as long as pretraining.
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
            alone = run(system, database, "alone", system.alone())
            arms.append(Arm(*own, "", ALONE, alone))
            base = alone.predictions["strict"]
            if not synthetic:
                continue
            control = run(system, database, "steps", system.alone(1 + CLIPS_SEEN))
            longer = control.predictions["strict"]
            arms.append(Arm(*own, "", LONGER, control, compare(longer, base)))
            first = system is systems[0]
            for clips in synthetic:
                if not first and clips.name not in shared:
                    continue
                files = _files(system, clips)
                counts = len(database.images), len(clips.images)
                pretrain, mix = {"pretrain": files}, {"mix": files}
                possible = {
                    "pretrained": (system.pretrained(LR_FACTOR), pretrain),
                    "mixed": (system.mixed(*counts), mix),
                    "mixed_first": (system.mixed(*counts, UNTIL), mix),
                }
                tried = {name: (WAYS[name], *possible[name]) for name in ways}
                if first and clips.name in choosing:
                    tried["chosen"] = CHOSEN, system.pretrained("inner"), pretrain
                for name, (way, changes, given) in tried.items():
                    found = run(system, database, f"{clips.name}_{name}", changes, **given)
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


def mean_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """Mean gains over systems, a row per arm that several tried: by database, and over all."""
    base = {
        (arm.system, arm.database, arm.way): arm.run.predictions["strict"]
        for arm in arms
        if not arm.clips
    }
    databases = list(dict.fromkeys(arm.database for arm in arms))
    rows = []
    for name in dict.fromkeys(arm.name for arm in arms if arm.clips):
        own = [arm for arm in arms if arm.name == name]
        systems = {arm.system for arm in own}
        if len(systems) < 2:
            continue
        for tested in (*([each] for each in databases), databases):
            gains = [
                mean_difference(
                    [
                        (arm.run.predictions["strict"], base[arm.system, arm.database, way])
                        for arm in own
                        if arm.database in tested
                    ]
                )
                for way in (ALONE, LONGER)
            ]
            rows.append([name, str(len(systems)), " and ".join(tested), *map(_interval, gains)])
    return rows


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
                *(_interval(gain and gain.difference) for gain in (arm.gain, arm.over_longer)),
                arm.left_out,
            ]
        )
    return rows


def crossed_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """One row per choice on one database and its gains on another."""
    return [
        [here.system, here.database, here.name, there.database,
         *(_interval(gain and gain.difference) for gain in (there.gain, there.over_longer))]
        for here, there in crossed(arms)
    ]  # fmt: skip


def _files(system: System, clips: FlowSet) -> list[Path]:
    if (system.channels, system.size) == (("u", "v", "strain"), 28):
        return list(clips.files)
    return [in_form(file, system.channels, system.size) for file in clips.files]


def _interval(gain: Interval | None) -> str:
    return f"{gain.estimate:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})" if gain else ""
