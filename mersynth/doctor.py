"""``mersynth doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from mersynth import paths
from mersynth.face.weights import FEAT_WEIGHTS, Weights, how_to_get, locate

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

    subsets: dict[str, list[str]] = {}
    for name, source in SOURCES.items():
        subsets.setdefault(source.home, []).append(name)
    for home, names in subsets.items():
        source, name = SOURCES[names[0]], ", ".join(names)
        root = paths.data_root(home)
        if not root.is_dir():
            detail = f"not in {root} (--root or {paths.DATA_VARIABLE} names another place)"
            yield Finding("data sets", name, "missing", f"{detail}; {source.request}")
            continue
        try:
            yield Finding("data sets", name, "found", str(source.find_annotations(root)))
        except SourceError as error:
            yield Finding("data sets", name, "broken", str(error))


def _weights(weights: Weights) -> Finding:
    part = "py-feat weights"
    path = locate(weights)
    if path is not None:
        detail = f"{path} ({weights.use}; licence: {weights.licence})"
        return Finding(part, weights.name, "found", detail)
    status: Literal["missing", "broken"] = "missing" if weights.override is None else "broken"
    return Finding(part, weights.name, status, how_to_get(weights))


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
