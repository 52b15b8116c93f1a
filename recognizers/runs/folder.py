"""The folder of a run: finished work is kept complete, so that a stopped run can continue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mersynth.disk.files import differences, sha256_of_file, whole_file
from mersynth.disk.partial import remove
from recognizers.runs.files import CONFIG, RESULTS, RUN, RunError, not_finished, read, write
from recognizers.runs.records import Choice, FoldRecord, PretrainingRecord, RunIdentity
from recognizers.trained.card import CARD, RecognizerCard, save_recognizer
from recognizers.training.fold_work import FoldResult, Learned, Weights


class RunFolder:
    """Writes and reads the finished parts of a run.

    Args:
        path: the folder; made if missing.
        identity: what the figures depend on, except seeds.
        command: the command that continues the run.

    Raises:
        RunError: if the folder holds something else, or a run with another identity.
    """

    def __init__(self, path: Path, identity: RunIdentity, command: str) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; choose another --out")
        if path.is_dir() and any(path.iterdir()):
            self._check_same(identity)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made ({error}); choose another --out") from error
        write(path / RUN, msgspec.structs.replace(identity, command=command))
        for folder in (path / "folds", path / "pretrained"):
            folder.mkdir(exist_ok=True)

    def _check_same(self, identity: RunIdentity) -> None:
        """Refuse a folder that holds anything but this run."""
        if not (self.path / RUN).exists():
            raise not_finished(self.path)
        there = msgspec.structs.replace(read(self.path / RUN, RunIdentity), command=None)
        if differing := differences(msgspec.to_builtins(there), msgspec.to_builtins(identity)):
            shown = [f"{line[:150]} ..." if len(line) > 150 else line for line in differing[:5]]
            message = (
                f"{self.path} holds another run: {'; '.join(shown)}; choose another --out, or "
                "remove it"
            )
            if not (self.path / RESULTS).exists():
                message += f".\n{not_finished(self.path)}"
            raise RunError(message)

    def has_pretrained(self, group: int, seed: int) -> bool:
        """Whether a pretraining has ended."""
        file = self._pretrained(group, seed)
        # The record is written after the weights.
        return file.exists() and file.with_suffix(".json").exists()

    def pretrained(self, group: int, seed: int) -> Weights:
        """The weights of a pretraining that has ended.

        Raises:
            RunError: if they cannot be read.
        """
        file = self._pretrained(group, seed)
        check_weights(file, read(file.with_suffix(".json"), PretrainingRecord))
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise RunError(
                f"{file} is damaged ({error}); remove it and repeat the command, which makes it "
                "again"
            ) from error

    def pretraining(self, group: int, seed: int) -> PretrainingRecord | None:
        """The record of a pretraining that has ended; None if it has not.

        Raises:
            RunError: if it is damaged.
        """
        file = self._pretrained(group, seed).with_suffix(".json")
        return read(file, PretrainingRecord) if file.exists() else None

    def keep_pretrained(self, group: int, seed: int, result: Learned) -> None:
        """Write a pretraining's weights and its record, in this order."""
        file = self._pretrained(group, seed)
        record = PretrainingRecord(
            group=group,
            seed=seed,
            seconds=result.seconds,
            curve=tuple(result.curve),
            weights=_save_weights(file, result.weights),
        )
        write(file.with_suffix(".json"), record)

    def choice(self, index: int, seed: int) -> Choice | None:
        """How a fold uses the clips to pretrain on; None if it has not chosen yet.

        Raises:
            RunError: if the record is damaged.
        """
        file = self._choice(index, seed)
        return read(file, Choice) if file.exists() else None

    def keep_choice(self, index: int, choice: Choice) -> None:
        """Write a fold's choice."""
        file = self._choice(index, choice.seed)
        file.parent.mkdir(exist_ok=True)
        write(file, choice)

    def has_fold(self, index: int, seed: int, with_weights: bool) -> bool:
        """Whether a fold has ended and, with ``with_weights``, its recognizer was kept."""
        file = self._fold(index, seed)
        return file.exists() and (not with_weights or (file.with_suffix("") / CARD).exists())

    def keep_config(self, text: str) -> None:
        """Write ``config.yaml``."""
        with whole_file(self.path / CONFIG) as partial:
            partial.write_text(text)

    def fold(
        self, index: int, seed: int, name: str, clips: Sequence[str], num_classes: int
    ) -> FoldRecord | None:
        """The record of a finished fold; None if it is not finished.

        Args:
            index: the fold's number.
            seed: of the run.
            name: the fold's name.
            clips: ids of its test clips, in the order of the record's rows.
            num_classes: number of classes.

        Raises:
            RunError: if it is damaged, or that of another fold, seed or clips.
        """
        file = self._fold(index, seed)
        if not file.exists():
            return None
        record = read(file, FoldRecord)
        wanted, found = (name, seed, tuple(clips)), (record.fold, record.seed, record.clips)
        if found != wanted or any(len(row) != num_classes for row in record.probabilities):
            raise RunError(
                f"{file} is not that of fold {name} and seed {seed} with {len(clips)} clips and "
                f"{num_classes} classes, but of fold {record.fold} and seed {record.seed}, or of "
                "other clips or classes; remove it and repeat the command, which makes it again"
            )
        return record

    def keep_fold(
        self,
        index: int,
        seed: int,
        name: str,
        clips: Sequence[str],
        result: FoldResult,
        card: RecognizerCard | None,
    ) -> None:
        """Write a fold's recognizer, if that is kept, and then its record.

        Args:
            index: the fold's number.
            seed: of the run.
            name: the fold's name.
            clips: ids of the test clips, in the order of the result's rows.
            result: the fold's result.
            card: card of its recognizer, if the result has weights.
        """
        file = self._fold(index, seed)
        sha256 = None
        if result.weights is not None and card is not None:
            remove(file.with_suffix(""))  # left by a process killed before it wrote the record
            sha256 = save_recognizer(file.with_suffix(""), result.weights, card)
            file.with_suffix(".safetensors").unlink(missing_ok=True)  # the former location
        record = FoldRecord(
            fold=name,
            seed=seed,
            seconds=result.seconds,
            epoch=result.epoch,
            oracle_epoch=result.oracle_epoch,
            curve=tuple(result.curve),
            clips=tuple(clips),
            probabilities=result.probabilities.tolist(),
            oracle_probabilities=result.oracle_probabilities.tolist(),
            weights=sha256,
        )
        write(file, record)

    def _fold(self, index: int, seed: int) -> Path:
        return self.path / "folds" / f"{seed}_{index:04}.json"

    def _choice(self, index: int, seed: int) -> Path:
        return self.path / "chosen" / f"{seed}_{index:04}.json"

    def _pretrained(self, group: int, seed: int) -> Path:
        return self.path / "pretrained" / f"{seed}_{group:04}.safetensors"


def check_weights(file: Path, record: FoldRecord | PretrainingRecord) -> None:
    """Check weights against the SHA-256 in their record.

    Raises:
        RunError: if they are damaged.
    """
    if sha256_of_file(file) != record.weights:
        raise RunError(
            f"{file} is damaged (its SHA-256 is not that in {file.stem}.json); remove it and "
            "repeat the command, which makes it again"
        )


def _save_weights(file: Path, weights: Weights) -> str:
    """Write weights; returns their SHA-256."""
    with whole_file(file) as partial:
        save_file({name: np.asarray(value, order="C") for name, value in weights.items()}, partial)
        return sha256_of_file(partial)
