"""``mersynth doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mersynth import paths

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Args:
        part: heading it stands under, for instance ``"packages"``.
        name: what was looked for.
        status: whether it was found; ``"broken"`` is something found that cannot be used.
        detail: where it is and of what version, or how to get it.
        required: whether ``mersynth generate --source phantom`` needs it.
    """

    part: str
    name: str
    status: Literal["found", "missing", "broken"]
    detail: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights that py-feat publishes.

    Args:
        repository: repository on the Hugging Face Hub.
        file: file name in that repository.
        use: what it measures, and the terms its authors name.
        variable: environment variable that names a local copy instead, if py-feat reads one.
    """

    repository: str
    file: str
    use: str
    variable: str | None = None


FEAT_WEIGHTS = (
    Weights("py-feat/retinaface_r34", "model.safetensors", "face boxes; MIT"),
    Weights(
        "py-feat/face_multitask_v2",
        "face_multitask_v28.safetensors",
        "AU intensities by Detectorv2; non-commercial research only",
        "FEAT_MULTITASK_WEIGHTS",
    ),
    Weights(
        "py-feat/arcface_r50",
        "arcface_r50.safetensors",
        "identity; non-commercial research only",
        "FEAT_ARCFACE_R50_PATH",
    ),
    Weights("py-feat/xgb_au", "xgb_au_classifier_v2.skops", "AU intensities by Detectorv1; MIT"),
    Weights("py-feat/svm_au", "svm_au_classifier_v2.skops", "AU intensities by Detectorv1; MIT"),
)


def examine() -> Iterator[Finding]:
    """Look for everything the project can use, and say how to get what is missing."""
    basis = [*_packages(), _device()]
    yield from basis
    for weights in FEAT_WEIGHTS:
        yield _weights(weights)
    # What reads data sets, generators and stores needs the packages itself.
    if not any(is_obstacle(finding) for finding in basis):
        yield from _databases()
        yield from _generators()
        yield from _stores()


def table(findings: list[Finding]) -> Table:
    """The findings as a table for the terminal, a row a finding."""
    from rich.markup import escape
    from rich.table import Table

    colours = {"found": "green", "missing": "yellow", "broken": "red"}
    rows = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(3):
        rows.add_column(overflow="fold")
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            rows.add_row(f"[bold]{part}[/bold]")
        colour = "red" if is_obstacle(finding) else colours[finding.status]
        status = f"[{colour}]{finding.status}[/{colour}]"
        rows.add_row(f"  {finding.name}", status, escape(finding.detail))
    return rows


def is_obstacle(finding: Finding) -> bool:
    """Whether ``mersynth generate --source phantom`` cannot run because of this."""
    return finding.required and finding.status != "found"


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("mersynth") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "mersynth", "missing", "install it: pip install .", required=True)
        return
    requirements = [Requirement(line) for line in lines]
    for wanted in requirements:
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            how = f"pip install '{wanted.name}{wanted.specifier}'"
            yield Finding("packages", wanted.name, "missing", how, required=True)
            continue
        if wanted.specifier.contains(version, prereleases=True):
            yield Finding("packages", wanted.name, "found", version, required=True)
        else:
            detail = f"{version}, needed is {wanted.specifier}: pip install -U {wanted.name}"
            yield Finding("packages", wanted.name, "broken", detail, required=True)


def _device() -> Finding:
    # A torch and a torchvision that were built apart fail only when both are imported.
    try:
        import torch
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        detail = f"{error}; install both together: pip install -U torch torchvision"
        return Finding("device", "torch", "broken", detail, required=True)
    cores = f"CPU, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return Finding("device", "torch", "found", f"{cores}; no CUDA device", required=True)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    detail = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB; {cores}"
    return Finding("device", "torch", "found", detail, required=True)


def _databases() -> Iterator[Finding]:
    from mersynth.sources import SOURCES, SourceError

    for name, source in SOURCES.items():
        root = paths.data_root(name)
        if not root.is_dir():
            detail = f"not in {root} (--root or {paths.DATA_VARIABLE} names another place)"
            yield Finding("data sets", name, "missing", f"{detail}; {source.request}")
            continue
        try:
            yield Finding("data sets", name, "found", str(source.find_annotations(root)))
        except SourceError as error:
            yield Finding("data sets", name, "broken", str(error))


def _weights(weights: Weights) -> Finding:
    part, name = "py-feat weights", weights.repository.removeprefix("py-feat/")
    named = os.environ.get(weights.variable) if weights.variable else None
    if named:
        if Path(named).is_file():
            return Finding(part, name, "found", f"{named} ({weights.use})")
        detail = f"{weights.variable} names {named}, where there is no file"
        return Finding(part, name, "broken", detail)
    # Where py-feat lies is asked without importing it, which takes seconds.
    spec = importlib.util.find_spec("feat")
    if spec is None or not spec.submodule_search_locations:
        return Finding(part, name, "missing", "py-feat is not installed: pip install py-feat")
    cache = Path(spec.submodule_search_locations[0]) / "resources"
    folder = f"models--{weights.repository.replace('/', '--')}"
    files = sorted(cache.glob(f"{folder}/snapshots/*/{weights.file}"))
    if files:
        return Finding(part, name, "found", f"{files[0]} ({weights.use})")
    by_hand = f"let {weights.variable} name a copy" if weights.variable else f"copy {folder} there"
    detail = (
        f"{weights.file} ({weights.use}): py-feat downloads it from {weights.repository} on the "
        f"Hugging Face Hub into {cache} on first use; without a network, {by_hand}"
    )
    return Finding(part, name, "missing", detail)


def _generators() -> Iterator[Finding]:
    from mersynth.gan.checkpoint import CARD, SHIPPED, CheckpointError, load_generator

    trained = sorted(file.parent for file in paths.checkpoint_path("").rglob(CARD))
    for folder in (SHIPPED, *trained):
        shipped = folder == SHIPPED
        name = "shipped (phantom)" if shipped else str(folder)
        try:
            _, card = load_generator(folder)
        except CheckpointError as error:
            yield Finding("generators", name, "broken", str(error), required=shipped)
        else:
            subjects = len(card.training_subjects)
            detail = f"{card.image_size} pixels, step {card.step}, trained on {subjects} subjects"
            yield Finding("generators", name, "found", detail, required=shipped)
    if not trained:
        detail = f"none in {paths.checkpoint_path('')}; `mersynth train --source S` makes one"
        yield Finding("generators", "your own", "missing", detail)


def _stores() -> Iterator[Finding]:
    from mersynth.store import ClipStore, StoreError

    folders = sorted(file.parent for file in paths.store_path("").glob("*/store.json"))
    for folder in folders:
        try:
            store = ClipStore.open(folder)
        except StoreError as error:
            yield Finding("stores", str(folder), "broken", str(error))
        else:
            detail = f"{len(store)} clips of {len(store.subjects)} subjects"
            yield Finding("stores", str(folder), "found", f"{detail}, {store.image_size} pixels")
    if not folders:
        detail = f"none in {paths.store_path('')}; `mersynth prepare --source S` makes one"
        yield Finding("stores", "your own", "missing", detail)
