"""What a finished run was made of: whether it is there still, and in which label scheme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mersynth.dataset import ClipDataset
from mersynth.facs.emotions import SCHEMES
from mersynth.files import sha256_of_file
from mersynth.store import ClipStore
from recognizers.report.layout import RunError


def check_data(run: Path, data: Sequence[Mapping[str, Any]]) -> None:
    """Refuse stores and files that are not what a run was made of.

    Args:
        run: the run's folder.
        data: ``data`` of its ``results.json``. Stores of pretraining are not looked at: they are in
            the weights, and are not read again.

    Raises:
        RunError: if one is gone or has changed.
    """
    for part in data:
        if part["role"] == "pretrain":
            continue
        path = Path(part["path"])
        if not path.exists():
            raise RunError(
                f"{run} was made of {path}, which is not there (seen from {Path.cwd()}); put it "
                "back, or call this from the folder in which the run was made"
            )
        checksum = ClipStore.open(path).checksum if _is_store(part) else sha256_of_file(path)
        if checksum != part["checksum"]:
            raise RunError(
                f"{path} has changed since {run} was made of it (checksum {checksum[:12]}..., then "
                f"{part['checksum'][:12]}...); put the old one back, or make the run again"
            )


def usual_scheme(protocol: str) -> str:
    """The label scheme of a protocol where no other is asked for."""
    return "three" if protocol == "cde" else "five"


def find_scheme(run: Path, results: Mapping[str, Any]) -> str:
    """The label scheme that gives a run's stores their classes.

    Args:
        run: the run's folder.
        results: its ``results.json``.

    Returns:
        A name of ``facs.emotions.SCHEMES``; the protocol's usual one of a run without stores.

    Raises:
        RunError: if none does.
    """
    usual = usual_scheme(results["protocol"])
    stores = [part for part in results["data"] if _is_store(part) and part["role"] != "pretrain"]
    for scheme in dict.fromkeys((usual, *SCHEMES)):
        if all(_labels_fit(ClipStore.open(p["path"]), scheme, p["classes"]) for p in stores):
            return scheme
    raise RunError(f"{run}: no label scheme gives the classes of {stores[0]['path']}")


def _labels_fit(store: ClipStore, scheme: str, counts: Mapping[str, int]) -> bool:
    """Whether a scheme gives a store's clips these classes, some clips perhaps left out."""
    try:
        named = ClipDataset(store, scheme=scheme)
    except ValueError:  # it has no clip of the store
        return False
    found = Counter(named.classes[i] for i in named.labels)
    return set(named.classes) == set(counts) and all(found[k] >= n for k, n in counts.items())


def _is_store(part: Mapping[str, Any]) -> bool:
    return not part["path"].endswith(".npz")
