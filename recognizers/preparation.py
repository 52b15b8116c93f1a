"""A run before its training: clips, folds, what each may learn from, and the guard's consent."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mersynth.clips import Clip
from recognizers.augmenting import needs_bank
from recognizers.clip_arrays import ClipArrays, join
from recognizers.fold_work import Work
from recognizers.gather import Part, read_parts
from recognizers.guard import Leak
from recognizers.models import create_model
from recognizers.models.base import Recognizer
from recognizers.plan import FoldPlan, check_plans, plan_folds, plan_pretraining
from recognizers.pretraining import PretrainingGroup
from recognizers.protocol import Fold, cde, cross, grouped, loso, lovo, missing_classes
from recognizers.request import Request
from recognizers.settings import TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that is settled before training.

    Attributes:
        request: what was asked for.
        parts: the stores and files.
        model: paper and size of the model, as ``results.json`` tells them.
        plans: what each fold learns from.
        missing: classes that a fold cannot learn, by its name.
        leaks: of each fold, those that were let pass.
        groups: the pretrainings.
        work: what workers share.
    """

    request: Request
    parts: Sequence[Part]
    model: Mapping[str, Any]
    plans: Sequence[FoldPlan]
    missing: Mapping[str, tuple[str, ...]]
    leaks: Sequence[tuple[Leak, ...]]
    groups: Sequence[PretrainingGroup]
    work: Work

    @property
    def identity(self) -> dict[str, Any]:
        """What the figures of a run depend on, seeds apart, as JSON takes it."""
        request = self.request
        return {
            "protocol": request.protocol,
            "habit": request.habit,
            "seed": request.seed,
            "model": {"name": self.work.model, "options": self.work.options},
            "augment": self.work.augment,
            "training": dataclasses.asdict(self.work.training),
            "pretraining": dataclasses.asdict(self.work.pretraining) if self.groups else None,
            "data": [[part.role, part.checksum] for part in self.parts],
            "classes": list(self.work.clips.classes),
            "folds": [plan.fold.name for plan in self.plans],
            "inner": [plan.inner and list(plan.inner.chosen_on) for plan in self.plans],
            "learned": [len(plan.learned) for plan in self.plans],
            "pretrained_on": [len(group.clips) for group in self.groups],
            "device": str(self.work.device),
        }


def prepare(request: Request, options: Mapping[str, Any]) -> Preparation:
    """Read the clips, divide them, and show every fold to the guard.

    Args:
        request: what is asked for.
        options: the resolved config ``evaluate``.

    Raises:
        ConfigError: if a setting does not fit.
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if clips, folds and model do not fit together.
        LeakageError: if a fold could know what it is tested on.
    """
    block, habit = options["model"], request.habit
    model = create_model(block["name"], 2, **block["options"])
    training = TrainingSettings.from_config(block.get("training") or {}, model.fits_directly)
    if model.fits_directly and request.pretrain:
        raise ValueError(
            f"{block['name']} is fitted at once and cannot start from pretrained weights; let it "
            "learn from the clips besides its own (--mix)"
        )
    features = block.get("features") or {}
    parts = read_parts(request.paths, model.inputs, request.scheme, options["device"], features)
    if "domain" in model.targets and not request.mix:
        logger.warning(
            "%s tells the databases under test from clips mixed in, of which there are none; give "
            "a store of macro-expressions (--mix)",
            request.model,
        )
    clips = join(
        [part.data for part in parts if part.role in ("real", "train", "test")],
        [part.data for part in parts if part.role == "mix"],
    )
    pretraining = [part.data for part in parts if part.role == "pretrain"]
    pool = join(pretraining, classes=clips.classes) if pretraining else None
    folds = _folds(request, parts, pool)
    missing = missing_classes(folds, clips.labels)
    groups = plan_pretraining(folds, clips, pool, habit, options["pretraining"]["keep"])
    inner = options["inner_share"] if options["selection"] == "inner" else None
    plans = plan_folds(folds, clips, groups, habit, inner, request.seed)
    augment = block.get("augment") or {}
    leaks = check_plans(
        plans,
        clips,
        pool,
        groups,
        habit,
        weighted="class_weights" in model.targets,
        standardised=training.standardise,
        banked=needs_bank(augment),
    )
    work = Work(
        clips=clips,
        pool=pool,
        model=block["name"],
        options=block["options"],
        augment=augment,
        training=training,
        pretraining=_pretraining(training, options["pretraining"]),
        device=options["device"],
    )
    return Preparation(
        request, parts, _card(request, block, model), plans, missing, leaks, groups, work
    )


def _folds(request: Request, parts: Sequence[Part], pool: ClipArrays | None) -> list[Fold]:
    def clips(*roles: str) -> list[Clip]:
        return [clip for part in parts if part.role in roles for clip in part.data.clips]

    if request.protocol == "cross":
        return [cross(clips("train"), clips("test"))]
    real = clips("real")
    if request.protocol == "lovo":
        return lovo(real)
    folds = cde(real) if request.protocol == "cde" else loso(real)
    if request.groups is None:
        return folds
    synthetic = [clip for clip in (pool.clips if pool else ()) if clip.is_synthetic]
    return grouped(real, request.groups, request.seed, synthetic)


def _pretraining(training: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """The settings of pretraining: those of training, with what is said otherwise."""
    changed: dict[str, Any] = {}
    if changes["epochs"] is not None:
        changed["epochs"] = changes["epochs"]
    if changes["lr"] is not None:
        changed["optimizer"] = {**training.optimizer, "lr": changes["lr"]}
    return dataclasses.replace(training, **changed)


def _card(request: Request, block: Mapping[str, Any], model: Recognizer) -> dict[str, Any]:
    return {
        "config": request.model,
        "name": block["name"],
        "options": block["options"],
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "paper": model.paper,
    }
