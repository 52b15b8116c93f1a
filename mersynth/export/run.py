"""``mersynth export``: writes a store in a layout that other people's code reads."""

from __future__ import annotations

import csv
import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf

from mersynth import __version__
from mersynth import config as configs
from mersynth.checks import check_choice, listed
from mersynth.clips import Clip
from mersynth.disk.files import whole_file, whole_folder, write_json_atomically
from mersynth.disk.lock import hold
from mersynth.export.arrays import npz_fault, write_npz
from mersynth.export.aus import AUS_FOLDER, write_aus, write_openface
from mersynth.export.images import apex_fault, write_imagefolder
from mersynth.export.job import (
    AllClips,
    ExportError,
    ExportSettings,
    Job,
    LabelledClips,
    Written,
    provenance,
)
from mersynth.export.meb import write_meb
from mersynth.export.parquet import write_parquet
from mersynth.export.shards import write_webdataset
from mersynth.export.trees import CASME2_TREE, SAMM_TREE
from mersynth.export.video import write_mp4
from mersynth.face.template import FramingChoice
from mersynth.facs.emotions import label
from mersynth.sources import SOURCES
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import ClipDataset
from mersynth.store.loading import own_scheme
from mersynth.store.names import NameChoice, reconcile_stores

logger = logging.getLogger(__name__)

_COMMON = ("classes", "skip_bad")
_SHOWN = 5  # clips that an error names


def _no_fault(clip: Clip, settings: ExportSettings) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to lay clips out.

    Attributes:
        write: writes a job into a new folder or, if ``suffix`` is set, file.
        reads: the options of ``configs/export.yaml`` that it reads besides the common ones.
        fault: gives the reason why a clip does not fit the layout; None if it does.
        suffix: for a layout of one file: the ending of its name.
        needs_class: whether clips without a class in the label scheme are left out.
    """

    write: Callable[[Job, Path], Written]
    reads: tuple[str, ...] = ()
    fault: Callable[[Clip, ExportSettings], str | None] = _no_fault
    suffix: str = ""
    needs_class: bool = True


_IMAGES = ("format", "quality")
_FLOW = ("size", "scale", "framing", "flow", "device")
_TREE = ("naming", "first_frame", "emotions", *_IMAGES)
LAYOUTS: Mapping[str, Layout] = {
    "casme2": Layout(CASME2_TREE.write, _TREE),
    "samm": Layout(SAMM_TREE.write, _TREE),
    "imagefolder": Layout(write_imagefolder, ("frames", *_IMAGES), apex_fault),
    "mp4": Layout(write_mp4, ("codec",)),
    "webdataset": Layout(write_webdataset, ("shard_clips", *_IMAGES)),
    "parquet": Layout(write_parquet, ("shard_clips", *_IMAGES)),
    "meb": Layout(write_meb, (*_FLOW, *_IMAGES), npz_fault),
    "npz": Layout(write_npz, ("features", *_FLOW), npz_fault, ".npz"),
    "openface": Layout(write_openface, needs_class=False),
}
"""The layouts by name."""


def export(
    store: Path,
    layout: str | None,
    out: Path,
    *,
    aus: str | None = None,
    naming: str | None = None,
    classes: str | None = None,
    features: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
    names: NameChoice | None = None,
    resume: bool = False,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Path:
    """Write a store in a layout that other people's code reads.

    ``out`` appears only when it is complete. A folder contains ``card.json`` (the store's header
    and checksum, licences, options, versions) and ``provenance.csv`` (one line per clip: its path,
    whose face it shows, whose AU curve it follows, its generator and the subjects that this never
    saw); an ``.npz`` contains the same.

    Args:
        store: folder of a store, real or synthetic.
        layout: a name of :data:`LAYOUTS`; with ``aus``, None is ``openface``.
        out: the new folder; for ``npz`` the new file.
        aus: ``"csv"``: the AU intensities as OpenFace's files (:mod:`mersynth.export.aus`), beside
            the layout's in the folder ``aus``.
        naming: for casme2 and samm: ``"raw"`` or ``"cropped"``.
        classes: label scheme; default the store's own. Clips without a class are left out.
        features: for npz: names of its channels, separated by commas.
        size: for npz and meb: side of the maps, in pixels.
        skip_bad: leave out the clips that the layout cannot hold, instead of stopping.
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"``, ``"distinct"``, or None to refuse them (:mod:`mersynth.store.names`).
        resume: leave this very export alone if it is there already.
        seed: of the order of clips in webdataset's shards.
        overrides: Hydra overrides of ``configs/export.yaml``; the arguments above take precedence.

    Returns:
        ``out``.

    Raises:
        StoreError: if there is no complete, readable store.
        NamesError: if names in the store look alike, and ``names`` is None.
        ExportError: if ``out`` exists and is not what is resumed, or the layout cannot hold the
            clips.
        InUseError: if another process is writing ``out``.
        ConfigError, ValueError: if the layout or an option is unknown or wrong, or the layout does
            not read it.
    """
    check_choice("aus", aus, (None, "csv"))
    layout = "openface" if layout is None and aus is not None else layout
    if layout is None:
        raise ValueError(f"give a layout ({', '.join(LAYOUTS)}), AUs (--aus csv), or both")
    check_choice("layout", layout, LAYOUTS)
    if aus is not None and LAYOUTS[layout].suffix:
        raise ValueError(f"{layout} is one file: export the AUs, a file per clip, without a layout")
    channels = f"[{features}]" if features is not None else None
    flags = {"naming": naming, "classes": classes, "features": channels, "size": size}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    given = [*overrides, *given, *(["skip_bad=true"] if skip_bad else [])]
    settings = _settings(layout, given)
    target = Path(out)
    suffix = LAYOUTS[layout].suffix
    if suffix and target.suffix != suffix:
        raise ExportError(f"{layout} writes one file, whose name ends in {suffix}; got {target}")
    with hold(target):
        there = target.exists()
        if there and not resume:
            raise ExportError(f"{target} exists already; remove it or choose another --out")
        (named,), _ = reconcile_stores([ClipStore.open(store, verify=True)], names)
        job = _job(named, layout, settings, seed, names, aus)
        if there:
            _check_same(job, target)
            logger.info("%s is whole already", target)
            return target
        _warn_terms(job)
        _write(job, layout, target, aus is not None)
    logger.info("%s: %d clips in the layout %s", target, len(job.store), layout)
    if layout in SOURCES:
        logger.info("to read it: mersynth prepare --source %s --root %s", layout, target)
    if aus is not None:
        place = target if layout == "openface" else target / AUS_FOLDER
        logger.info("to read the AUs: mersynth prepare ... --intensities openface=%s", place)
    return target


def _check_same(job: Job, target: Path) -> None:
    """Check that an export is that of a job."""
    try:
        if target.is_dir():
            card = json.loads((target / "card.json").read_text(encoding="utf-8"))
        else:
            with np.load(target) as arrays:
                card = json.loads(str(arrays["card"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        card = {}
    wanted = json.loads(json.dumps(job.card))
    if not isinstance(card, dict) or {name: card.get(name) for name in wanted} != wanted:
        raise ExportError(
            f"{target} exists already, and is not this export (another store, layout, option or "
            "version); remove it or choose another --out"
        )


def _write(job: Job, layout: str, target: Path, aus: bool) -> None:
    """Write a job into the new folder or file, all or nothing."""
    if LAYOUTS[layout].suffix:
        with whole_file(target, replace=False) as partial:
            LAYOUTS[layout].write(job, partial)
        return
    with whole_folder(target) as partial:
        written = LAYOUTS[layout].write(job, partial)
        if aus and LAYOUTS[layout].write is not write_openface:
            (partial / AUS_FOLDER).mkdir()
            files = [f"{AUS_FOLDER}/{name}" for name in write_aus(job, partial / AUS_FOLDER)]
            written = replace(written, columns={**written.columns, "aus_file": files})
        write_json_atomically(partial / "card.json", {**job.card, **written.facts})
        _write_provenance(partial / "provenance.csv", job, written)


def _settings(layout: str, overrides: Sequence[str]) -> ExportSettings:
    """The options; one that the layout does not read is refused, not ignored."""
    config = configs.load("export", overrides)
    for override in overrides:
        key = override.partition("=")[0].partition(".")[0]
        if key not in (*_COMMON, *LAYOUTS[layout].reads):
            readers = [name for name, other in LAYOUTS.items() if key in other.reads]
            raise ValueError(f"{override}: {key} is for {', '.join(readers)}, not for {layout}")
    container: Any = OmegaConf.to_container(config, resolve=True)
    container["framing"] = FramingChoice(**container["framing"])
    return ExportSettings(**container)


def _job(
    store: ClipStore,
    layout: str,
    settings: ExportSettings,
    seed: int,
    names: NameChoice | None,
    aus: str | None,
) -> Job:
    scheme = settings.classes if settings.classes is not None else own_scheme(store)
    labelled = _with_classes(store, scheme, layout)
    left = len(store) - len(labelled.store)
    if left:
        logger.warning("%d clips have no class in the scheme %s and are left out", left, scheme)
    fault = LAYOUTS[layout].fault
    faults = {c.id: why for c in labelled.store.clips if (why := fault(c, settings)) is not None}
    _report(faults, labelled.store, settings.skip_bad)
    kept = labelled.store.filter(lambda clip: clip.id not in faults)
    data = _with_classes(kept, scheme, layout)
    header = store.meta["header"]
    reads = {*_COMMON, *LAYOUTS[layout].reads}
    card = {
        "layout": layout,
        "scheme": scheme,
        "classes": list(data.classes),
        "clips": len(data.store),
        "synthetic_clips": sum(clip.is_synthetic for clip in data.store.clips),
        "licences": list(dict.fromkeys(_terms(header, "licence"))),
        "citations": list(dict.fromkeys(_terms(header, "citation"))),
        "skipped": faults,
        "without_a_class": left,
        "options": {name: value for name, value in asdict(settings).items() if name in reads},
        "names": names,
        "aus": aus,
        "seed": seed,
        "store": {"name": store.path.name, "checksum": store.checksum, "header": header},
        "versions": {
            "mersynth": __version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
        },
    }
    return Job(data, settings, card, seed)


def _with_classes(store: ClipStore, scheme: str, layout: str) -> LabelledClips:
    every = all(label(clip.source, clip.emotion, scheme) is not None for clip in store.clips)
    if every or LAYOUTS[layout].needs_class:
        return ClipDataset(store, scheme=scheme)
    return AllClips(store, scheme)


def _report(faults: Mapping[str, str], store: ClipStore, skip_bad: bool) -> None:
    """Report clips that cannot be exported; raise unless that is allowed and some are left."""
    if not faults:
        return
    by_reason: dict[str, list[str]] = {}
    for clip, why in faults.items():
        by_reason.setdefault(why, []).append(clip)
    reasons = "\n".join(f"  {listed(clips, _SHOWN)}: {why}" for why, clips in by_reason.items())
    count = f"{len(faults)} of {len(store)} clips cannot be exported"
    if len(faults) == len(store) or not skip_bad:
        hint = "" if len(faults) == len(store) else "\nOr leave them out with --skip-bad."
        raise ExportError(f"{count}; nothing was written\n{reasons}{hint}")
    logger.warning("%s and are left out:\n%s", count, reasons)


def _terms(header: Mapping[str, Any], key: str) -> Iterator[str]:
    """The licences or citations of a store and of those it was merged from."""
    if header.get(key):
        yield header[key]
    for part in header.get("parts", ()):
        yield from _terms(part["header"], key)


def _warn_terms(job: Job) -> None:
    for licence in job.card["licences"]:
        logger.info("licence: %s", licence)
    if job.card["synthetic_clips"]:
        logger.warning(
            "synthetic clips show one subject and follow another: by their provenance, a fold that "
            "tests a subject must leave out clips with that face, with that template, and from "
            "generators that saw the subject"
        )


def _write_provenance(path: Path, job: Job, written: Written) -> None:
    rows = (
        {"path": place, **row, **{name: values[i] for name, values in written.columns.items()}}
        for i, (place, row) in enumerate(zip(written.paths, provenance(job), strict=True))
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        first = next(rows)
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerows(chain([first], rows))
