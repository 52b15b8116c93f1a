"""Checks that a finished run's data still exist unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mersynth.disk.files import sha256_of_file
from mersynth.store.clip_store import ClipStore
from recognizers.runs.files import RunError
from recognizers.runs.records import DataUsed


def check_data(run: Path, data: Sequence[DataUsed]) -> None:
    """Refuse stores and files that are not those that a run used.

    Args:
        run: the run's folder.
        data: ``data`` of its ``results.json``. Stores of pretraining are not checked, since they
            are not read again.

    Raises:
        RunError: if one is missing or has changed.
    """
    for part in data:
        if part.role == "pretrain":
            continue
        path = Path(part.path)
        if not path.exists():
            raise RunError(
                f"{run} was made from {path}, which does not exist (seen from {Path.cwd()}); put "
                "it back, or call this from the folder in which the run was made"
            )
        checksum = sha256_of_file(path) if path.suffix == ".npz" else ClipStore.open(path).checksum
        if checksum != part.checksum:
            raise RunError(
                f"{path} has changed since {run} was made (checksum {checksum[:12]}..., then "
                f"{part.checksum[:12]}...); put the old one back, or make the run again"
            )
