"""The folder of a run: what ended is there whole, so that a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mersynth.files import (
    checksum_of,
    differences,
    remove,
    sha256_of_file,
    whole_file,
    write_json_atomically,
)
from recognizers.report.layout import RunError
from recognizers.trained.card import CARD, RecognizerCard, save_recognizer
from recognizers.training.fold_work import FoldResult, Learned, Weights

RUN = "run.json"
PREDICTIONS = "predictions.csv"
ORACLE = "oracle.csv"
CONFIG = "config.yaml"
RESULTS = "results.json"


_ACCOUNT = (
    "fold", "seed", "seconds", "clips", "probabilities", "oracle_probabilities", "checksum",
)  # fmt: skip


class RunFolder:
    """Writes and reads what a run has done so far.

    Args:
        path: the folder; made if it is not there.
        run: JSON-able description of everything that the figures depend on, seeds apart.

    Raises:
        RunError: if the folder holds something else, or a run of another description.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; choose another --out")
        if path.is_dir() and any(path.iterdir()):
            if not (path / RUN).exists():
                raise RunError(f"{path} holds something that is no run; choose another --out")
            if differing := differences(_read(path / RUN), run):
                told = [f"{line[:150]} ..." if len(line) > 150 else line for line in differing]
                raise RunError(
                    f"{path} holds another run: {'; '.join(told[:5])}; choose another --out, or "
                    "remove it"
                )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made ({error}); choose another --out") from error
        write_json_atomically(path / RUN, run)
        for folder in (path / "folds", path / "pretrained"):
            folder.mkdir(exist_ok=True)

    def has_pretrained(self, group: int, seed: int) -> bool:
        """Whether a pretraining has ended."""
        file = self._pretrained(group, seed)
        # The account is written after the weights.
        return file.exists() and file.with_suffix(".json").exists()

    def pretrained(self, group: int, seed: int) -> Weights:
        """The weights of a pretraining that has ended.

        Raises:
            RunError: if they cannot be read.
        """
        file = self._pretrained(group, seed)
        check_weights(file)
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise RunError(
                f"{file} is damaged ({error}); remove it and repeat the command, which makes it "
                "again"
            ) from error

    def keep_pretrained(self, group: int, seed: int, result: Learned) -> None:
        """Write a pretraining's weights and its account, in this order."""
        file = self._pretrained(group, seed)
        account = {
            "weights": _save_weights(file, result.weights),
            "group": group,
            "seed": seed,
            "seconds": result.seconds,
            "curve": _finite(result.curve),
        }
        write_json_atomically(file.with_suffix(".json"), account)

    def has_fold(self, index: int, seed: int, with_weights: bool) -> bool:
        """Whether a fold has ended and, if it is wanted, its recognizer was kept."""
        file = self._fold(index, seed)
        return file.exists() and (not with_weights or (file.with_suffix("") / CARD).exists())

    def keep_config(self, text: str) -> None:
        """Write ``config.yaml``."""
        with whole_file(self.path / CONFIG) as partial:
            partial.write_text(text)

    def fold(self, index: int, seed: int) -> dict[str, Any] | None:
        """The account of a fold that ended; None if it did not.

        Raises:
            RunError: if it is damaged.
        """
        file = self._fold(index, seed)
        if not file.exists():
            return None
        account = _read(file, _ACCOUNT)
        if account.pop("checksum") != checksum_of(account):
            raise RunError(
                f"{file} is damaged (its checksum is not that of its content); remove it and "
                "repeat the command, which makes it again"
            )
        return account

    def keep_fold(
        self,
        index: int,
        seed: int,
        name: str,
        clips: Sequence[str],
        result: FoldResult,
        card: RecognizerCard | None,
    ) -> None:
        """Write a fold's account, and before it its recognizer, if that is kept.

        Args:
            index: the fold's number.
            seed: of the run.
            name: the fold's name.
            clips: ids of the test clips, in the order of the result's rows.
            result: what the fold gave.
            card: of its recognizer, where the result has weights.
        """
        file = self._fold(index, seed)
        sha256 = None
        if result.weights is not None and card is not None:
            remove(file.with_suffix(""))  # of a writing that was killed before the account
            sha256 = save_recognizer(file.with_suffix(""), result.weights, card)
            file.with_suffix(".safetensors").unlink(missing_ok=True)  # where they once lay
        account = {
            "weights": sha256,
            "fold": name,
            "seed": seed,
            "seconds": result.seconds,
            "epoch": result.epoch,
            "oracle_epoch": result.oracle_epoch,
            "curve": _finite(result.curve),
            "clips": list(clips),
            "probabilities": result.probabilities.tolist(),
            "oracle_probabilities": result.oracle_probabilities.tolist(),
        }
        write_json_atomically(file, {**account, "checksum": checksum_of(account)})

    def _fold(self, index: int, seed: int) -> Path:
        return self.path / "folds" / f"{seed}_{index:04}.json"

    def _pretrained(self, group: int, seed: int) -> Path:
        return self.path / "pretrained" / f"{seed}_{group:04}.safetensors"


def check_weights(file: Path) -> None:
    """Hold weights against the SHA-256 in the account beside them.

    Raises:
        RunError: if they are damaged, or the account is.
    """
    account = _read(file.with_suffix(".json"), ("weights",))
    if sha256_of_file(file) != account["weights"]:
        raise RunError(
            f"{file} is damaged (its SHA-256 is not that in {file.stem}.json); remove it and "
            "repeat the command, which makes it again"
        )


def _save_weights(file: Path, weights: Weights) -> str:
    """Write weights; their SHA-256."""
    with whole_file(file) as partial:
        save_file({name: np.asarray(value, order="C") for name, value in weights.items()}, partial)
        return sha256_of_file(partial)


def _finite(curve: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """JSON has no NaN: what a model without gradient steps has not is null."""
    return [
        {key: None if isinstance(v, float) and np.isnan(v) else v for key, v in epoch.items()}
        for epoch in curve
    ]


def _read(file: Path, parts: Sequence[str] = ()) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text())
        if not isinstance(value, dict):
            raise ValueError("it holds no mapping")
        if lacking := [part for part in parts if part not in value]:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        return value
    except ValueError as error:
        raise RunError(
            f"{file} is damaged ({error}); remove it and repeat the command, which makes it again"
        ) from error
