"""Prepares a run: its clips, its folds, what each may learn from, and the guard's checks."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from mersynth import __version__, config
from mersynth.devices import choose_device, choose_precision
from mersynth.face.template import FramingChoice
from mersynth.store.names import Spelling
from recognizers.data.clip_arrays import ClipArrays, join
from recognizers.data.feature_files import read_form
from recognizers.data.gather import Part, read_parts, reconcile_parts
from recognizers.data.map_form import choose_form
from recognizers.experiment.file_defaults import balances, labelled, lr_factor, mixed_until
from recognizers.experiment.request import Request
from recognizers.folds.guard import Leak
from recognizers.folds.plan import FoldPlan, check_plans, plan_folds, plan_pretraining
from recognizers.folds.pretraining import PretrainingGroup
from recognizers.folds.splits import Fold, cde, cross, grouped, loso, lovo, missing_classes
from recognizers.folds.trials import Trials, carried_out, of_every_length, plan_trials
from recognizers.folds.way import read_choice
from recognizers.models import outline
from recognizers.models.base import InputSpec, Recognizer
from recognizers.runs.records import (
    Choice,
    DataUsed,
    ModelIdentity,
    ModelSummary,
    Role,
    RunIdentity,
)
from recognizers.training.augmenting import PHASES_APART, Augmenting
from recognizers.training.curriculum import Curriculum
from recognizers.training.fold_work import Work
from recognizers.training.settings import TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that is fixed before training.

    Attributes:
        request: the request.
        options: the resolved config ``evaluate``.
        data: the stores and files.
        spelling: spelling of the names that look alike in them.
        model: its config, size and reference.
        inputs: the tensors that the model reads, by name.
        plans: what each fold learns from.
        missing: classes that a fold cannot learn, by its name.
        leaks: the leaks allowed in each fold.
        groups: the pretrainings.
        trials: by which folds choose how to use the clips to pretrain on; None: that is fixed.
        work: the data that workers share.
    """

    request: Request
    options: Mapping[str, Any]
    data: tuple[DataUsed, ...]
    spelling: Spelling
    model: ModelSummary
    inputs: Mapping[str, InputSpec]
    plans: Sequence[FoldPlan]
    missing: Mapping[str, tuple[str, ...]]
    leaks: Sequence[tuple[Leak, ...]]
    groups: Sequence[PretrainingGroup]
    trials: Trials | None
    work: Work

    def as_chosen(self, plan: FoldPlan, choice: Choice | None) -> FoldPlan:
        """A fold's plan in the way that it chose; the plan itself if it had no choice."""
        if choice is None or self.trials is None or self.work.pool is None:
            return plan
        way = None if choice.chosen is None else self.trials.ways[choice.chosen]
        return carried_out(plan, way, self.work.clips, self.work.pool, self.groups)

    def pretraining_of(self, plan: FoldPlan, seed: int) -> tuple[int, int] | None:
        """Number and seed of the pretraining that a fold of a seed starts from, if there is one."""
        if plan.pretraining is None:
            return None
        shared = self.options["pretraining"]["one_for_all_seeds"]
        return plan.pretraining, self.request.seed if shared else seed

    def pretrainings(self, share: Iterable[tuple[FoldPlan, int]]) -> list[tuple[int, int]]:
        """Number and seed of the pretrainings that folds of seeds start from, each once."""
        found = {self.pretraining_of(plan, seed) for plan, seed in share}
        return sorted(each for each in found if each is not None)

    @property
    def identity(self) -> RunIdentity:
        """What the figures of a run depend on, except seeds."""
        request, work = self.request, self.work
        own_rates = work.fine_tuning != work.training
        spec = next(iter(self.inputs.values()))
        return RunIdentity(
            mersynth=__version__,
            split=request.split,
            protocol=request.protocol,
            seed=request.seed,
            model=ModelIdentity(work.model, dict(work.options)),
            features=self.options["model"].get("features"),
            augment=dict(work.augment),
            training=dataclasses.asdict(work.training),
            pretraining=dataclasses.asdict(work.pretraining) if self.groups else None,
            data=tuple((used.role, used.checksum) for used in self.data),
            classes=work.clips.classes,
            folds=tuple(plan.fold.name for plan in self.plans),
            inner=tuple(plan.inner.chosen_on if plan.inner else None for plan in self.plans),
            learned=tuple(len(plan.learned) for plan in self.plans),
            pretrained_on=tuple(len(group.clips) for group in self.groups),
            device=work.device,
            precision=work.precision,
            names=request.names,
            fine_tuning=dataclasses.asdict(work.fine_tuning) if own_rates else None,
            first_label=request.first_label,
            one_pretraining=bool(self.groups and self.options["pretraining"]["one_for_all_seeds"]),
            choice=self.options["choice"] if self.trials else None,
            scale=None if spec.scale == "none" else spec.scale,
            framing=spec.framing,
            strength=work.curriculum.schedule if work.curriculum is not None else None,
            mixed_until=None if work.mixed_until == 1 else work.mixed_until,
        )


def load_settings(request: Request) -> DictConfig:
    """The config ``evaluate`` with the request's overrides.

    Raises:
        ConfigError: if there is no such model, or an override does not fit.
    """
    folder = config.config_folder() / "model"
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if request.model not in names:
        near = difflib.get_close_matches(request.model, names, n=4)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise config.ConfigError(
            f"there is no model {request.model!r}; {hint}`recognizers list` shows the systems, and "
            f"their forms are {', '.join(names)}"
        )
    return config.load("evaluate", [f"model={request.model}", *request.overrides])


def prepare(request: Request, settings: DictConfig) -> Preparation:
    """Read the clips, divide them, and have the guard check every fold.

    Args:
        request: the request.
        settings: the config ``evaluate``.

    Raises:
        ConfigError: if a setting does not fit.
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if clips, folds and model do not fit together.
        NamesError: if names look alike, and ``request.names`` does not say whether they differ.
        LeakageError: if a fold could know what it is tested on.
    """
    request = labelled(request)
    options = cast(dict[str, Any], OmegaConf.to_container(settings, resolve=True))
    block, protocol = options["model"], request.protocol
    if options["phases_apart"]:
        block["augment"] = {PHASES_APART: {}, **(block.get("augment") or {})}
    device = choose_device(options["device"])
    model = outline(block["name"], 2, **block["options"])
    _check_model(request, options, model)
    features = block.get("features") or {}
    specs = _specs(request, options, model)
    phases_apart = PHASES_APART in (block.get("augment") or {})
    parts = read_parts(
        request.paths,
        specs,
        request.scheme,
        device,
        features,
        request.first_label,
        phases_apart,
    )
    parts, spelling = reconcile_parts(parts, request.names, protocol == "strict")
    of = {role: [part.data for part in parts if part.role == role] for role in request.paths}
    clips = join([*of.get("real", ()), *of.get("train", ()), *of.get("test", ())], mixed=of["mix"])
    pool = join(of["pretrain"], classes=clips.classes) if of["pretrain"] else None
    model = outline(block["name"], len(clips.classes), **block["options"])
    folds = _folds(request, clips, pool, sum(len(data.clips) for data in of.get("train", ())))
    curriculum = _curriculum(options["pretraining"]["strength"], parts)
    groups = plan_pretraining(folds, clips, pool, protocol, options["pretraining"]["keep"])
    for group in groups:
        if curriculum is not None and group.clips:
            names = ", ".join(folds[i].name for i in group.folds)
            curriculum.check(group.clips, f"the clips that the folds {names} may use")
    share = options["inner_share"] if options["selection"] == "inner" else None
    plans = plan_folds(folds, clips, groups, protocol, share, request.seed)
    sizes = [len(plan.learned) for plan in plans] or [len(clips.clips)]
    learned = [Fold(p.fold.name, p.learned, p.fold.test, p.fold.held_out) for p in plans]
    training, pretraining = _training(settings, model), _pretraining(settings, sizes, model)
    mixing = training
    if balances(request, settings, model):
        logger.info(
            "where folds learn from further clips, they see as many of every class "
            "(model.training.sampler=shuffle: each clip once an epoch)"
        )
        mixing = replace(training, sampler="class_balanced")
        pretraining = replace(pretraining, sampler="class_balanced")
        training = mixing if request.mix else training
    factor = lr_factor(request, options) if pool is not None else 1.0
    trials = None
    if factor == "inner" and pool is not None:
        ways, divided, margin = read_choice(options["choice"])
        for way in ways:
            training.at_rates_times(way.lr_factor)  # which refuses what does not fit
        every = plan_trials(plans, clips, pool, groups, divided, request.seed, protocol)
        groups = of_every_length(groups, ways)
        trials, factor = Trials(ways, margin, every), 1.0
    work = Work(
        clips=clips,
        pool=pool,
        model=block["name"],
        options=block["options"],
        augment=block.get("augment") or {},
        training=training,
        pretraining=pretraining,
        fine_tuning=mixing.at_rates_times(cast(float, factor)),
        protocol=protocol,
        device=device.type,
        precision=choose_precision(options["precision"], device),
        curriculum=curriculum,
        mixed_until=mixed_until(request, options, model),
        mixing=mixing,
    )
    _try_settings(work, model)
    return Preparation(
        request=request,
        options=options,
        data=tuple(_data_used(part) for part in parts),
        spelling=spelling,
        model=_summary(request, block, model),
        inputs=specs,
        plans=plans,
        missing=missing_classes(learned, clips.labels),
        leaks=check_plans(plans, clips, pool, groups, protocol) if plans else [],
        groups=groups,
        trials=trials,
        work=work,
    )


def _specs(request: Request, options: dict[str, Any], model: Recognizer) -> Mapping[str, InputSpec]:
    """The inputs in the form that is wanted, or that of the files under test; it is noted."""
    files = [path for path in (*request.data, *request.test) if path.suffix == ".npz"]
    framing = FramingChoice(**options["framing"])
    maps = all(spec.range is None for spec in model.inputs.values())
    tested = [read_form(path, model.inputs) for path in files] if maps else []
    form = choose_form(model.inputs, tested, options["scale"], framing)
    if form is None:
        return model.inputs
    options["scale"] = form.scale
    options["framing"] = {"name": "auto", **(form.framing.as_dict() if form.framing else {})}
    return form.of(model.inputs)


def _check_model(request: Request, options: Mapping[str, Any], model: Recognizer) -> None:
    """Refuse what a model cannot do, and warn of what will have no effect."""
    if model.fits_directly:
        unusable = {
            "--pretrain (--mix lets it learn from those clips, too)": bool(request.pretrain),
            "selection=inner": options["selection"] == "inner",
            "mixed_until": options["mixed_until"] not in ("auto", 1),
            "model.augment": bool(options["model"].get("augment")),
        }
        if given := [name for name, wanted in unusable.items() if wanted]:
            raise ValueError(
                f"{request.model} is fitted once, to all clips: {', '.join(given)} does not apply"
            )
    if options["mixed_until"] not in ("auto", 1) and not request.mix:
        raise config.ConfigError(
            f"mixed_until={options['mixed_until']:g} is for clips mixed in: give some (--mix)"
        )
    if "domain" in model.targets and not request.mix:
        logger.warning(
            "%s learns to distinguish mixed-in clips from those under test, but none are mixed in; "
            "give a store of macro-expressions (--mix)",
            request.model,
        )


def _folds(
    request: Request, clips: ClipArrays, pool: ClipArrays | None, num_train: int
) -> list[Fold]:
    """The folds over the clips under test; ``cross`` trains on the first part."""
    if request.split == "fit":
        return []
    tested = [clip for clip, domain in zip(clips.clips, clips.domain, strict=True) if not domain]
    if request.split == "cross":
        return [cross(tested[:num_train], tested[num_train:])]
    if request.split == "lovo":
        return lovo(tested)
    folds = cde(tested) if request.split == "cde" else loso(tested)
    if request.groups is None:
        return folds
    others = [*clips.clips[len(tested) :], *(pool.clips if pool else ())]
    synthetic = [clip for clip in others if clip.is_synthetic]
    return grouped(tested, request.groups, request.seed, synthetic)


def _training(settings: DictConfig, model: Recognizer) -> TrainingSettings:
    block = OmegaConf.select(settings, "model.training", default={})
    plain = cast(dict[str, Any], OmegaConf.to_container(block, resolve=True) if block else {})
    return TrainingSettings.from_config(plain, model.fits_directly)


def _pretraining(settings: DictConfig, sizes: Sequence[int], model: Recognizer) -> TrainingSettings:
    """The settings of pretraining; those that refer to the epochs follow its own.

    Args:
        settings: the config ``evaluate``.
        sizes: number of clips that each fold trains on.
        model: of the run.
    """
    changed = copy.deepcopy(settings)
    if changed.pretraining.epochs is not None:
        changed.model.training.epochs = changed.pretraining.epochs
    if (clips := changed.pretraining.epoch_clips) is not None:
        clips = round(fmean(sizes)) if clips == "fold" else clips
        OmegaConf.update(changed, "model.training.epoch_clips", clips, force_add=True)
    if changed.pretraining.lr is not None:
        changed.model.training.optimizer.lr = changed.pretraining.lr
    return _training(changed, model)


def _curriculum(schedule: Any, parts: Sequence[Part]) -> Curriculum | None:
    """The curriculum over the clips to pretrain on, in their order; None without a schedule."""
    if schedule is None:
        return None
    pool = [part for part in parts if part.role == "pretrain"]
    return Curriculum.of(schedule, {p.path: (p.strength, len(p.data.clips)) for p in pool})


def _try_settings(work: Work, model: Recognizer) -> None:
    """Let torch and the augmentations refuse what does not fit, before anything starts."""
    Augmenting(work.augment, model.inputs)
    for settings in () if model.fits_directly else (work.training, work.pretraining):
        settings.make_scheduler(settings.make_optimizer(model))


def _summary(request: Request, block: Mapping[str, Any], model: Recognizer) -> ModelSummary:
    return ModelSummary(
        config=request.model,
        name=block["name"],
        options=block["options"],
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        paper=model.paper,
    )


def _data_used(part: Part) -> DataUsed:
    names = [part.data.classes[i] for i in part.data.label.tolist()]
    counts = Counter(names)
    return DataUsed(
        path=str(part.path),
        role=cast(Role, part.role),
        checksum=part.checksum,
        clips=len(names),
        subjects=len({clip.subject_id for clip in part.data.clips}),
        classes={name: counts[name] for name in part.data.classes},
        image_size=part.image_size,
        framing=part.framing,
        phantom=part.phantom,
    )
