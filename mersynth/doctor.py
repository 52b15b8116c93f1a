"""``mersynth doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mersynth import paths
from mersynth.face.weights import (
    FEAT_WEIGHTS,
    RETINAFACE,
    Weights,
    by_hand,
    download_command,
    how_to_get,
    locate,
)

if TYPE_CHECKING:
    from rich.text import Text

_OPERATORS = ("_C*.so", "_C*.pyd", "_C*.dylib")  # torchvision's, by system


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Args:
        part: heading of its section, for instance ``"packages"``.
        name: what was looked for.
        status: whether it was found; ``"broken"`` is something found that cannot be used.
        detail: where it is and of what version, or why not.
        required: whether ``mersynth generate --source phantom`` needs it.
        command: the command that gets it, if there is one.
    """

    part: str
    name: str
    status: Literal["found", "missing", "broken"]
    detail: str
    required: bool = False
    command: str | None = None


def examine() -> Iterator[Finding]:
    """Look for everything the project can use, and say how to get what is missing."""
    basis = [*_packages(), _device()]
    yield from basis
    yield from _detectors()
    for weights in FEAT_WEIGHTS:
        yield _weights(weights)
    yield _mediapipe()
    # Looking at data sets, generators and stores needs the packages.
    if not any(is_obstacle(finding) for finding in basis):
        yield from _databases()
        yield from _generators()
        yield from _stores()


def report(findings: Iterable[Finding], width: int | None) -> Iterator[Text]:
    """The findings as lines to print.

    A command has a line of its own, whatever its length, and text between backticks is never
    broken, so that both can be copied.

    Args:
        findings: in the order of their parts.
        width: columns to wrap prose to; None: do not wrap.
    """
    from rich.text import Text

    colours = {"found": "green", "missing": "yellow", "broken": "red"}
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            yield Text(part, "bold")
        colour = "red" if is_obstacle(finding) else colours[finding.status]
        head = Text(f"  {finding.name:<20} ").append(f"{finding.status:<7} ", colour)
        first, *others = _wrapped(finding.detail, len(head), width)
        yield head.append(first)
        yield from (Text(line) for line in others)
        if finding.command is not None:
            yield Text(f"      {finding.command}")


def _wrapped(text: str, begin: int, width: int | None) -> list[str]:
    """Lines of a text that begins after ``begin`` columns; a folder tree keeps its lines."""
    prose, *tree = text.splitlines() or [""]
    lines = textwrap.wrap(
        re.sub("`[^`]*`", lambda match: match[0].replace(" ", "\0"), prose),
        width=width or begin + len(prose) + 1,
        initial_indent=" " * begin,
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    first, *others = [line.replace("\0", " ") for line in lines] or [""]
    return [first[begin:], *others, *(f"      {line}".rstrip() for line in tree)]


def is_obstacle(finding: Finding) -> bool:
    """Whether this keeps ``mersynth generate --source phantom`` from running."""
    return finding.required and finding.status != "found"


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("mersynth") or []
    except metadata.PackageNotFoundError:
        detail = "it is not installed; in its folder:"
        yield Finding("packages", "mersynth", "missing", detail, True, "pip install .")
        return
    requirements = [Requirement(line) for line in lines]
    for wanted in requirements:
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            command = f"pip install '{wanted.name}{wanted.specifier}'"
            yield Finding("packages", wanted.name, "missing", "not installed", True, command)
            continue
        if wanted.specifier.contains(version, prereleases=True):
            yield Finding("packages", wanted.name, "found", version, required=True)
        else:
            detail = f"{version}, needed is {wanted.specifier}"
            command = f"pip install -U '{wanted.name}{wanted.specifier}'"
            yield Finding("packages", wanted.name, "broken", detail, True, command)


def _device() -> Finding:
    try:
        import torch

        _load_operators()
    except (ImportError, OSError, RuntimeError) as error:
        detail = f"{error}; install both together:"
        return Finding(
            "device", "torch", "broken", detail, True, "pip install -U torch torchvision"
        )
    cores = f"CPU, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return Finding("device", "torch", "found", f"{cores}; no CUDA device", required=True)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    detail = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB; {cores}"
    return Finding("device", "torch", "found", detail, required=True)


def _load_operators() -> None:
    """Load torchvision's operators for torch, which fails if the two versions do not match.

    Importing torchvision does this too, but takes seconds more for its models.

    Raises:
        ImportError, OSError, RuntimeError: if they do not fit.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    folder = next(iter((spec and spec.submodule_search_locations) or ()), None)
    files = [file for pattern in _OPERATORS for file in Path(folder or "").glob(pattern)]
    if folder is None or not files:
        import torchvision  # noqa: F401

        return
    for file in files:
        torch.ops.load_library(file)
    if not hasattr(torch.ops.torchvision, "nms"):
        raise RuntimeError(f"{folder} holds no operators that torch {torch.__version__} knows")


def _detectors() -> Iterator[Finding]:
    from mersynth.face.detect import DETECTORS, INSTALL, choose_detector
    from mersynth.face.mtcnn import is_installed

    here = {"mtcnn": is_installed(), "feat": locate(RETINAFACE) is not None, "lbp": True}
    get = {"mtcnn": INSTALL, "feat": "its weights are missing, see below"}
    first = choose_detector()
    for name, what in DETECTORS.items():
        used = "; `mersynth prepare` takes it" if name == first else ""
        detail = f"{what} (detector={name}){used}" if here[name] else f"{what}: {get[name]}"
        yield Finding("face detectors", name, "found" if here[name] else "missing", detail)


def _databases() -> Iterator[Finding]:
    from mersynth.sources import SOURCES, SourceError

    subsets: dict[str, list[str]] = {}
    for name, source in SOURCES.items():
        subsets.setdefault(source.home, []).append(name)
    for home, names in subsets.items():
        source, name = SOURCES[names[0]], ", ".join(names)
        root = paths.data_root(home)
        if not root.is_dir():
            detail = f"not in {root} (--root or {paths.DATA_VARIABLE} sets another folder)"
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
    command = download_command(weights)
    if weights.override is not None or command is None:
        status: Literal["missing", "broken"] = "missing" if command is None else "broken"
        return Finding(part, weights.name, status, how_to_get(weights))
    detail = f"{weights.file} ({weights.use}; licence: {weights.licence}): {by_hand(weights)}, or"
    return Finding(part, weights.name, "missing", detail, command=command)


def _mediapipe() -> Finding:
    from mersynth.face.blendshapes import INSTALL

    detail = "AU intensities with sides (--intensities blendshapes=FILE.task)"
    try:
        version = metadata.version("mediapipe")
    except metadata.PackageNotFoundError:
        return Finding("AU readers", "mediapipe", "missing", f"{detail}:", command=INSTALL)
    return Finding("AU readers", "mediapipe", "found", f"{version}, {detail}")


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
            size = "any size" if card.any_size else f"{card.image_size} pixels"
            detail = f"{size}, step {card.step}, trained on {subjects} subjects"
            yield Finding("generators", name, "found", detail, required=shipped)
    if not trained:
        detail = f"none in {paths.checkpoint_path('')}; of a source S:"
        command = "mersynth train --source S"
        yield Finding("generators", "your own", "missing", detail, command=command)


def _stores() -> Iterator[Finding]:
    from mersynth.store.clip_store import ClipStore, StoreError

    # A name that begins with a dot is a store being written.
    folders = sorted(file.parent for file in paths.store_path("").glob("[!.]*/store.json"))
    for folder in folders:
        try:
            store = ClipStore.open(folder)
        except StoreError as error:
            yield Finding("stores", str(folder), "broken", str(error))
        else:
            detail = f"{len(store)} clips of {len(store.subjects)} subjects"
            yield Finding("stores", str(folder), "found", f"{detail}, {store.image_size} pixels")
    if not folders:
        detail = f"none in {paths.store_path('')}; of a source S:"
        command = "mersynth prepare --source S"
        yield Finding("stores", "your own", "missing", detail, command=command)
