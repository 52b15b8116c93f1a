"""Opens a finished run: its clips as its models read them, and each fold's trained model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from mersynth.devices import choose_device
from mersynth.disk.files import read_tensors
from mersynth.face.template import FramingChoice
from recognizers.data.clip_arrays import ClipArrays, as_float, join
from recognizers.data.gather import Part, read_parts, reconcile_parts
from recognizers.data.map_form import choose_form
from recognizers.explain.run_data import check_data
from recognizers.folds.plan import plan_folds
from recognizers.folds.splits import Fold, HeldOut
from recognizers.models import create_model, outline
from recognizers.models.base import InputSpec, Recognizer
from recognizers.report.run import Run
from recognizers.runs.files import CONFIG, RUN, RunError, read
from recognizers.runs.folder import check_weights
from recognizers.runs.records import FoldRecord, RunIdentity
from recognizers.trained.card import CARD, RecognizerError
from recognizers.trained.recognizer import load
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import Statistics, Training, standardised

logger = logging.getLogger(__name__)

# Probabilities differ between machines only by rounding; those of another model differ more.
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class FoldModel:
    """A fold's trained model.

    Attributes:
        name: of the fold.
        rows: rows of its test clips in the run's ``ClipArrays``.
        model: the model in evaluation mode, on its device.
        probabilities: (len(rows), C), as recorded by the run for these clips.
        read: returns the model's inputs for rows, (n, ...) each, on its device.
    """

    name: str
    rows: tuple[int, ...]
    model: Recognizer
    probabilities: np.ndarray
    read: Callable[[Sequence[int]], dict[str, Tensor]]

    def check(self, predicted: Tensor, positions: Sequence[int], path: Path) -> None:
        """Refuse a model that does not predict what the run recorded.

        Args:
            predicted: (n, C) logits of the clips at some positions of ``rows``.
            positions: these positions.
            path: the run's folder.

        Raises:
            RunError: with the largest difference.
        """
        found = predicted.detach().double().softmax(1).cpu().numpy()
        difference = float(np.abs(found - self.probabilities[list(positions)]).max())
        if difference > _TOLERANCE:
            raise RunError(
                f"{path}: fold {self.name} predicts its clips otherwise than recorded, by up to "
                f"{difference:.2f}: weights, code or options have changed since; make the run "
                "again"
            )


class OpenedRun:
    """A finished run whose folds kept their weights.

    Args:
        path: the run's folder.
        seed: the seed whose folds are opened; None: the run's first.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Attributes:
        run: as reports read it.
        seed: the seed whose folds are opened.
        options: the resolved config.
        parts: stores and files, except those of pretraining.
        spelling: the spelling of names in them that the run used.
        clips: all clips of ``parts``, those under test first.

    Raises:
        RunError: if the folder is not a finished run, its folds kept no weights, or its data are
            missing or have changed.
    """

    def __init__(self, path: Path, seed: int | None = None, device: str = "auto") -> None:
        self.run = Run.open(path)
        self.path, self.results = self.run.path, self.run.results
        seeds = self.results.seeds
        self.seed = seeds[0] if seed is None else seed
        if self.seed not in seeds:
            raise RunError(f"{path} has the seeds {', '.join(map(str, seeds))}, not {seed}")
        self.device = choose_device(device)
        self.options = self._read_options()
        check_data(self.path, self.results.data)
        self.scheme = self.results.scheme
        self._check_weights()
        self.model_name = self.results.model.name
        # The run's choice of names still holds; runs made before that choice kept them distinct.
        self.parts, self.spelling = reconcile_parts(
            self._read_parts(), self.results.names, strict=False
        )
        tested = [part.data for part in self.parts if part.role != "mix"]
        self.clips: ClipArrays = join(
            tested, [part.data for part in self.parts if part.role == "mix"]
        )
        self._check_labels()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.clips.classes

    @cached_property
    def row(self) -> dict[str, int]:
        """Row of each clip by its id."""
        return {clip.id: i for i, clip in enumerate(self.clips.clips)}

    @cached_property
    def records(self) -> list[FoldRecord]:
        """The record of each fold of the seed, in the order of the folds."""
        return [read(self._file(i, ".json"), FoldRecord) for i in range(len(self.results.folds))]

    @property
    def tested(self) -> list[str]:
        """Ids of the tested clips, fold by fold."""
        return [clip for record in self.records for clip in record.clips]

    def folds(self, wanted: Sequence[int] | None = None) -> Iterator[FoldModel]:
        """The folds' models, one at a time.

        Args:
            wanted: numbers of folds; None: all.

        Raises:
            RunError: if a file of weights is damaged or does not fit.
        """
        chosen = range(len(self.records)) if wanted is None else wanted
        for index in chosen:
            record = self.records[index]
            rows = tuple(self.row[clip] for clip in record.clips)
            if self._kept(index).exists():
                model, statistics = self._open(index)
            else:
                model = self._load(index, record)
                statistics = self._scales(index, rows, model)
            yield FoldModel(
                record.fold,
                rows,
                model,
                np.array(record.probabilities),
                partial(self._inputs, statistics=statistics),
            )

    def _file(self, index: int, suffix: str) -> Path:
        return self.path / "folds" / f"{self.seed}_{index:04}{suffix}"

    def _kept(self, index: int) -> Path:
        """The card of a fold's recognizer; earlier runs kept only weights beside the record."""
        return self._file(index, "") / CARD

    def _read_options(self) -> dict[str, Any]:
        file = self.path / CONFIG
        if self.run.config is None:
            raise RunError(f"{self.path} has no {file.name}; make the run again")
        options = OmegaConf.to_container(OmegaConf.create(self.run.config), resolve=True)
        if not isinstance(options, dict) or "name" not in (options.get("model") or {}):
            raise RunError(f"{file} is damaged: it names no model; make the run again")
        return cast(dict[str, Any], options)

    def _check_weights(self) -> None:
        missing = [
            fold.name
            for i, fold in enumerate(self.results.folds)
            if not (self._kept(i).exists() or self._file(i, ".safetensors").exists())
        ]
        if not missing:
            return
        raise RunError(
            f"{self.path} did not keep the weights of {len(missing)} of "
            f"{len(self.results.folds)} folds ({missing[0]} ...), which an explanation needs; "
            f"{self._how_to_keep_them()}"
        )

    def _how_to_keep_them(self) -> str:
        file = self.path / RUN
        command = read(file, RunIdentity).command if file.is_file() else None
        if command is None:  # an earlier run
            return "repeat the command that made the run with keep_weights=true"
        return f"this trains them again and keeps them:\n{command} keep_weights=true"

    def _read_parts(self) -> list[Part]:
        paths: dict[str, list[Path]] = {}
        for part in self.results.data:
            if part.role != "pretrain":
                paths.setdefault(part.role, []).append(Path(part.path))
        # In the run's order of roles, since rows are numbered across them.
        roles = ("real", "train", "test", "mix")
        ordered: dict[str, Sequence[Path]] = {r: paths[r] for r in roles if r in paths}
        model = outline(self.model_name, 2, **self.options["model"]["options"])
        features = self.options["model"].get("features") or {}
        first = self.results.first_label
        specs: Mapping[str, InputSpec] = model.inputs
        if "scale" in self.options:  # not in runs made before maps had a form
            chosen = FramingChoice(**self.options["framing"])
            form = choose_form(specs, [], self.options["scale"], chosen)
            specs = specs if form is None else form.of(specs)
        return read_parts(ordered, specs, self.scheme, self.device, features, first)

    def _check_labels(self) -> None:
        """The clips under test must be those of the run, with their classes."""
        table = self.run.predictions["strict"].frame
        true = {
            f"{row.dataset}/{row.subject}/{row.clip}": row.true
            for row in table[table["seed"] == self.seed].itertuples()
        }
        labels = self.clips.labels
        wrong = [
            clip
            for clip, name in true.items()
            if clip not in self.row or labels[self.row[clip]] != name
        ]
        if wrong or self.classes != self.results.classes:
            raise RunError(
                f"{self.path}: its data no longer have the clips and classes of the run "
                f"({', '.join(wrong[:5]) or 'other classes'}); make the run again"
            )

    def _open(self, index: int) -> tuple[Recognizer, Statistics]:
        try:
            opened = load(self._file(index, ""), self.device)
        except RecognizerError as error:
            raise RunError(str(error)) from error
        return opened.model, opened.statistics

    def _load(self, index: int, record: FoldRecord) -> Recognizer:
        file = self._file(index, ".safetensors")
        model = create_model(self.model_name, len(self.classes), **self.options["model"]["options"])
        check_weights(file, record)
        try:
            model.load_state_dict(read_tensors(file))
        except (ValueError, RuntimeError) as error:
            raise RunError(
                f"{file} does not fit the model ({error}); make the run again"
            ) from error
        return model.to(self.device).eval()

    def _scales(self, index: int, rows: Sequence[int], model: Recognizer) -> Statistics:
        """For weights without a card: measured again on the fold's training clips."""
        block = self.options["model"].get("training") or {}
        if not block.get("standardise"):
            return {}
        settings = TrainingSettings.from_config(block, model.fits_directly)
        learned = self._learned(index, rows)
        # A fresh model, since setting up a training must not change the trained one.
        fresh = create_model(self.model_name, len(self.classes), **self.options["model"]["options"])
        return Training(
            fresh.to(self.device), self.clips, learned, settings, {}, self.device
        ).statistics

    def _learned(self, index: int, rows: Sequence[int]) -> tuple[int, ...]:
        """Rows that the fold trained on, planned as in the run."""
        roles = [part.role for part in self.parts for _ in part.data.clips]
        tested = set(rows)
        source = "train" if self.results.split == "cross" else "real"
        train = tuple(i for i, role in enumerate(roles) if role == source and i not in tested)
        learned = self.results.folds[index]
        held_out: HeldOut = "clip" if self.results.split == "lovo" else "subject"
        fold = Fold(learned.name, train, tuple(rows), held_out)
        (plan,) = plan_folds([fold], self.clips, [], self.results.protocol, None, self.seed)
        if (len(train), len(plan.learned) - len(train)) != (learned.train, learned.mixed):
            raise RunError(
                f"{self.path}: fold {learned.name} learned from {learned.train} clips and "
                f"{learned.mixed} mixed in, but its data now give {len(train)} and "
                f"{len(plan.learned) - len(train)}; make the run again"
            )
        return plan.learned

    def _inputs(self, rows: Sequence[int], statistics: Statistics) -> dict[str, Tensor]:
        inputs = {
            name: as_float(torch.from_numpy(array[list(rows)]).to(self.device))
            for name, array in self.clips.inputs.items()
        }
        return standardised(inputs, statistics)
