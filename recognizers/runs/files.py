"""The JSON files of a run, written and read as the records of :mod:`recognizers.runs.records`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mersynth.disk.files import checksum_of, write_json_atomically
from mersynth.disk.json_files import converted, read_json
from recognizers.runs.records import FoldRecord, Record, RunIdentity, Selection

RUN = "run.json"
CONFIG = "config.yaml"
RESULTS = "results.json"
TABLES: dict[Selection, str] = {"strict": "predictions.csv", "oracle": "oracle.csv"}
"""File of the predictions, by selection."""

R = TypeVar("R", bound=Record)

_AGAIN = "remove it and repeat the command that made the run, which makes it again"
_AFRESH = "remove the run's folder, or choose another --out, and repeat the command that made it"


class RunError(ValueError):
    """A folder is not a complete, readable run."""


def write(path: Path, record: Record) -> None:
    """Write a record, whole or not at all; NaN becomes null, and folds carry a checksum."""
    content = msgspec.json.decode(msgspec.json.encode(record))
    if isinstance(record, FoldRecord):
        content["checksum"] = checksum_of(content)
    write_json_atomically(path, content)


def read(path: Path, kind: type[R]) -> R:
    """Read the record of an existing file.

    Raises:
        RunError: if it is not JSON, or a part is missing, has another type or is out of its range;
            if a fold's checksum is not that of its content.
    """
    try:
        content = read_json(path)
        record = converted(_renamed(content), kind)
    except ValueError as error:
        raise _damaged(path, kind, str(error)) from error
    if kind is FoldRecord and content.pop("checksum", None) != checksum_of(content):
        raise _damaged(path, kind, "its checksum is not that of its content")
    return record


def not_finished(folder: Path) -> RunError:
    """The error for a folder without a finished run: what it is, and how to continue it.

    Raises:
        RunError: if ``run.json`` is damaged.
    """
    ended = len(list((folder / "folds").glob("*.json")))
    if not (folder / RUN).is_file():
        what = f"holds {ended} folds of a run that it does not name" if ended else "is not a run"
        advice = "choose another folder, or empty this one"
        return RunError(f"{folder} {what}: it has no {RUN}; {advice}")
    run = read(folder / RUN, RunIdentity)
    advice = "repeat the command that made it, which continues with the missing folds"
    return RunError(
        f"{folder} is not a finished run: it was interrupted before {RESULTS} was written, when "
        f"{ended} folds had ended, of {len(run.folds)} per seed; "
        + (f"this command continues it:\n{run.command}" if run.command else advice)
    )


def _renamed(content: Any) -> Any:
    """Rename the keys of earlier runs: split was ``protocol``, protocol was ``habit``."""
    if isinstance(content, dict) and {"protocol", "habit"} <= content.keys():
        renamed = {"split": content["protocol"], "protocol": content["habit"]}
        return {**content, **renamed}
    return content


def _damaged(path: Path, kind: type[Record], reason: str) -> RunError:
    advice = _AFRESH if kind is RunIdentity else _AGAIN
    return RunError(f"{path} is damaged ({reason}); {advice}")
