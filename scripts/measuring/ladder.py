"""A ladder of tasks, each harder than the one before, that a system which can learn climbs."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from measuring.small_forms import SMALL, Small
from mersynth.clips import Strength
from mersynth.config import load
from mersynth.disk.files import checksum_of, write_json_atomically
from mersynth.phantom.population import write_store
from mersynth.phantom.version import VERSION
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.preparation import load_settings, prepare
from recognizers.experiment.request import Request
from recognizers.models import create_model
from recognizers.models.one_vs_rest import DescriptorSVM
from recognizers.report import Run
from recognizers.training.trainer import Training

logger = logging.getLogger("recognizers.scripts.learning")

EMOTIONS = ("happiness", "anger", "contempt", "surprise", "other")
IMAGE_SIZE, FRAMES = 64, 24
HANDFUL = "handful"
SEEDS, THREADS = (0, 1), (1, 2)
CHANCE = 1 / len(EMOTIONS)  # UAR
LEAST = 0.5  # probability of every right class that passes


@dataclass(frozen=True, slots=True)
class People:
    """Who shows how much: the first person's number, people, and clips of each class."""

    first: int
    people: int
    each: int


@dataclass(frozen=True, slots=True)
class Rung:
    """A task with people whom training never saw.

    Attributes:
        name: of its stores.
        shown: what the clips are, in words.
        strength, gain, fps: as of :func:`mersynth.phantom.population.write_store`.
        wanted: the UAR that passes; None: an interval above chance.
    """

    name: str
    shown: str
    strength: Strength
    gain: float
    fps: float
    wanted: float | None


RUNGS = (
    Rung("macro", "macro-expressions", "macro", 1.0, 30.0, 0.6),
    Rung("strong", "micro-expressions, three times as strong", "micro", 3.0, 50.0, 0.4),
    Rung("micro", "micro-expressions", "micro", 1.0, 50.0, None),
)
PEOPLE: Mapping[str, People] = {
    "learned": People(5000, 150, 150),
    "tested": People(5500, 40, 40),
}


@dataclass(frozen=True, slots=True)
class ByHeart:
    """What a system says of the handful that it has learned.

    Attributes:
        right: share of the clips.
        least: the smallest probability of a right class; for support vector machines, whose
            probabilities are chosen on clips held out, half of the smallest lead of a right class's
            decision over the next, 1 at the margin.
    """

    right: float
    least: float


@dataclass(frozen=True, slots=True)
class Point:
    """Shares of clips that a system gets right after an epoch.

    Attributes:
        epoch: from 1.
        trained: of those that it learns from.
        tested: of those that it is tested on.
    """

    epoch: int
    trained: float
    tested: float


@dataclass(frozen=True, slots=True)
class Climbed:
    """A system's result on a rung.

    Attributes:
        uar: at the last epoch.
        low, high: ends of its interval of 95 %.
        passed: whether that is enough.
        seconds: of the run.
        curve: by epoch.
    """

    uar: float
    low: float
    high: float
    passed: bool
    seconds: float
    curve: tuple[Point, ...]

    @classmethod
    def of(cls, run: Run, rung: Rung) -> Climbed:
        """Read it off a run."""
        uar, interval = run.scores["strict"]["Full"].mean["uar"], run.interval("strict", "uar")
        assert interval is not None
        enough = interval.low > CHANCE if rung.wanted is None else uar >= rung.wanted
        curve = tuple(
            Point(point.epoch, point.train_accuracy, point.test_accuracy)
            for point in run.folds[0].curve
        )
        return cls(uar, interval.low, interval.high, enough, run.results.seconds, curve)


@dataclass(frozen=True, slots=True)
class Climb:
    """How far up a system came.

    Attributes:
        settings: checksum of all that decides the result; another one is another measurement.
        parameters: that the system has.
        heart: of its handful, for every seed and number of threads.
        rungs: by name.
    """

    settings: str
    parameters: int
    heart: tuple[ByHeart, ...]
    rungs: Mapping[str, Climbed]

    @property
    def least_by_heart(self) -> float:
        """The smallest probability of a right class."""
        return min(each.least for each in self.heart)

    @property
    def by_heart(self) -> bool:
        """Whether the handful was learnt, with a margin."""
        return self.least_by_heart >= LEAST and all(each.right == 1 for each in self.heart)


def climb(system: str, stores: Path, work: Path, seed: int) -> Climb:
    """Have a system climb; what is finished in the folder ``work`` is not repeated."""
    config, how = config_of(system), SMALL[system]
    heart = by_heart(config, how, stores, work / "by_heart")
    runs = {rung.name: take(config, how, rung, stores, work / "runs", seed) for rung in RUNGS}
    return Climb(
        settings_of(system, seed),
        next(iter(runs.values())).results.model.parameters,
        tuple(heart),
        {rung.name: Climbed.of(runs[rung.name], rung) for rung in RUNGS},
    )


def config_of(system: str) -> str:
    """Name of the config that climbs."""
    return system if SMALL[system].epochs is None else f"{system}_tiny"


def settings_of(system: str, seed: int) -> str:
    """Checksum of a system's config, the rungs, the people, the phantom and the seeds."""
    model = _model(config_of(system), SMALL[system].settings())
    rungs, people = [asdict(rung) for rung in RUNGS], {k: asdict(v) for k, v in PEOPLE.items()}
    how = SMALL[system]
    heart = [how.heart, SEEDS, THREADS, *(["steady"] if how.steady else [])]
    return checksum_of([model, seed, rungs, people, IMAGE_SIZE, FRAMES, heart, VERSION])


def make_stores(folder: Path) -> None:
    """Render what does not exist yet."""
    wanted = {f"{rung.name}_{role}": (rung, who) for rung in RUNGS for role, who in PEOPLE.items()}
    wanted[HANDFUL] = RUNGS[-1], People(5600, 4, 2)
    for name, (rung, who) in wanted.items():
        if not (folder / name).exists():
            write_store(
                folder / name,
                image_size=IMAGE_SIZE,
                subjects=who.people,
                counts=dict.fromkeys(EMOTIONS, who.each),
                strength=rung.strength,
                first_subject=who.first,
                fps=rung.fps,
                max_frames=FRAMES,
                gain=rung.gain,
            )


def take(config: str, how: Small, rung: Rung, stores: Path, folder: Path, seed: int) -> Run:
    """A system's run on a rung; a finished one is not repeated."""
    request = Request(
        split="cross",
        model=config,
        data=[stores / f"{rung.name}_learned"],
        test=[stores / f"{rung.name}_tested"],
        seed=seed,
        overrides=how.settings(),
    )
    logger.info("%s: %s", config, rung.shown)
    made_by = checksum_of([_model(config, request.overrides), seed])[:8]
    return Run.open(evaluate(request, folder / f"{config}_{rung.name}_{made_by}"))


def by_heart(config: str, how: Small, stores: Path, folder: Path) -> list[ByHeart]:
    """What a system says of its handful, for each seed and number of threads; kept in a file."""
    requests = [_by_heart_request(config, how, stores, seed) for seed in SEEDS]
    made_by = checksum_of([_model(config, requests[0].overrides), SEEDS, THREADS])[:8]
    file = folder / f"{config}_{made_by}.json"
    if not file.exists():
        logger.info("%s: by heart", config)
        found = [_learn_by_heart(each, threads) for threads in THREADS for each in requests]
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomically(file, [asdict(each) for each in found])
    return [ByHeart(**each) for each in json.loads(file.read_text())]


def _by_heart_request(config: str, how: Small, stores: Path, seed: int) -> Request:
    """Two micro-expressions of each class, for so many epochs."""
    overrides = [*how.settings(how.heart), *(["model.training.scheduler=null"] * how.steady)]
    return Request(
        split="fit", model=config, data=[stores / HANDFUL], seed=seed, overrides=overrides
    )


def _learn_by_heart(request: Request, threads: int) -> ByHeart:
    """Learn a handful, not augmented, and recall it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        work = prepare(request, load_settings(request)).work
        torch.manual_seed(request.seed)
        model = create_model(work.model, len(EMOTIONS), **work.options)
        rows = range(len(work.clips.clips))
        training = Training(model, work.clips, rows, work.training, {}, torch.device("cpu"))
        training.run(lambda epoch: None)
        found = training.predict(rows)
    finally:
        torch.set_num_threads(before)
    label = work.clips.label
    right = float((found.argmax(1) == label).mean())
    own = found[rows, label]
    if isinstance(model, DescriptorSVM):
        others = np.where(np.arange(found.shape[1]) == label[:, None], 0, found).max(1)
        own = np.log(own / others) / float(model.machines.scale) / 2
    return ByHeart(right, float(own.min()))


def _model(config: str, overrides: Sequence[str]) -> Any:
    """The config of a model."""
    settings = load("evaluate", [f"model={config}", *overrides])
    return OmegaConf.to_container(settings.model, resolve=True)
