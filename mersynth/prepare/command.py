"""``mersynth prepare``: makes a store from a database, the phantom or other stores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mersynth import paths
from mersynth.devices import choose_device
from mersynth.disk.lock import hold
from mersynth.face.detect import choose_detector
from mersynth.face.template import AUTO, HEAD, framing_in
from mersynth.features.cache import complete_options, compute_features
from mersynth.features.kinds import FEATURES
from mersynth.phantom.version import VERSION, version_of
from mersynth.prepare.database import PrepareSettings, prepare_database
from mersynth.sources import PHANTOM, SOURCES, get_source
from mersynth.sources.composite import COMPOSITE, make_composite
from mersynth.sources.folder import Folder
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.journal import check_target

logger = logging.getLogger(__name__)


def prepare(
    source: str,
    root: Path | None = None,
    out: Path | None = None,
    *,
    images: Sequence[Path] = (),
    videos: Sequence[Path] = (),
    features: Mapping[str, Mapping[str, Any]] | None = None,
    skip_bad: bool = False,
    resume: bool = False,
    seed: int = 0,
    **settings: Any,
) -> ClipStore:
    """Check a database's files, then write its clips, from onset to offset, into a store.

    The header of ``store.json`` records what was chosen, found and left out. If the store already
    exists, prepared in the same way, only the features that it lacks are computed. Without features
    to compute this is an error, except for the phantom, which would be rendered the same, and with
    ``resume``, if the database's clips are those of the store.

    Args:
        source: a name in ``sources.SOURCES``; ``"phantom"``, which is rendered; or ``"composite"``,
            the database of MEGC2019, which is made from three stores.
        root: the database's folder; default ``$MERSYNTH_DATA/<source>``, else ``./data/<source>``.
            For the composite, the folder of its three stores; default ``./stores``.
        out: the new store; default ``./stores/<source>``.
        images: photos, instead of a root; only for the source ``"folder"``.
        videos: videos, likewise.
        features: names of ``mersynth.features.kinds.FEATURES``, each with its options.
        skip_bad: leave out the clips that cannot be stored, instead of stopping.
        resume: continue an interrupted writing of the same clips; a whole store stays as it is.
        seed: seed of the phantom's rendering; recorded in the store in any case.
        settings: of :class:`PrepareSettings`.

    Returns:
        The store, opened.

    Raises:
        ValueError: if the source, a setting or a feature's option is unknown, or the phantom gets
            an argument that only databases have.
        FeatureError: if a feature is unknown.
        SourceError: if the database is missing.
        PrepareError: if clips cannot be stored and ``skip_bad`` is false; nothing was written.
        StoreError: if ``out`` exists and is not the store asked for, or no clip is left to store.
        InUseError: if another process is writing ``out``.
        WeightsMissingError: if py-feat was asked for by name and its weights are missing.
    """
    chosen = PrepareSettings(**settings)
    check_source(source)
    if (images or videos) and (source != Folder.name or root is not None):
        raise ValueError("--image and --video go with --source folder, and without --root")
    wanted = complete_options(features or {})
    choose_detector(chosen.detector)
    out = paths.store_path(source, out)
    with hold(out):
        if out.exists() and (not resume or source in (PHANTOM, COMPOSITE)):
            # The same phantom would be rendered again; the files of a database may have changed.
            done = not wanted and source != PHANTOM
            _check_same(out, source, chosen, seed, given=bool(root or images or videos or done))
            if not wanted:
                logger.info("%s exists already, prepared in the same way", out)
        elif source == PHANTOM:
            _render_phantom(root, out, chosen, seed, resume)
        elif source == COMPOSITE:
            _compose(root, out, chosen, skip_bad)
        else:
            check_target(out, resume)
            database = Folder(images, videos) if images or videos else get_source(source)
            store = prepare_database(database, root, out, chosen, skip_bad, seed, resume)
            logger.info("%s: %d clips, %d subjects", out, len(store), len(store.subjects))
            lacking = store.meta["header"].get("without_intensities")
            if lacking is not None and len(store.frames) > sum(
                c["frames"] for c in lacking.values()
            ):
                wanted = complete_options({"intensity_change": {}}) | wanted
        if wanted:
            add_features(out, wanted)
        return ClipStore.open(out)


def check_source(source: str) -> None:
    """Raise ValueError, with the known names, if a source cannot be prepared."""
    known = (*SOURCES, COMPOSITE, PHANTOM)
    if source not in known:
        raise ValueError(f"no source {source!r}; known: {', '.join(known)}")


def add_features(path: Path, features: Mapping[str, Mapping[str, Any]]) -> None:
    """Compute those features that a store, real or synthetic, does not have yet.

    Args:
        path: the store's folder.
        features: names of ``mersynth.features.kinds.FEATURES``, each with its options.

    Raises:
        ValueError: if no feature is named, or an option is wrong.
        StoreError: if the store cannot be read.
        FeatureError: if a feature is unknown, or no clip has what it needs.
    """
    if not features:
        raise ValueError(f"name what to compute with --features: {', '.join(FEATURES)}")
    compute_features(ClipStore.open(path), features, choose_device("auto"))


def _check_same(out: Path, source: str, chosen: PrepareSettings, seed: int, given: bool) -> None:
    """Check that an existing store is the one asked for, so that features can be added."""
    if given:
        raise StoreError(
            f"{out} exists already; remove it or choose another --out, or add features to it with "
            f"--store {out} --features ..."
        )
    store = ClipStore.open(out)
    header = store.meta["header"]
    asked: dict[str, Any] = {"source": source}
    if source == PHANTOM:
        strength = chosen.strength or "micro"
        asked |= {"image_size": chosen.image_size, "seed": seed, "strength": strength}
        asked |= {"framing": str(chosen.framing.framing(HEAD)), "phantom of version": VERSION}
    elif source != COMPOSITE:  # its parts were prepared
        asked |= chosen.as_recorded()
    # Stores from before these choices existed kept such clips, and had automatic framing.
    recorded = {"doubtful_apex": "keep", "face": "largest", **header}
    recorded |= {"framing": asdict(AUTO), "min_confidence": PrepareSettings().min_confidence}
    recorded |= header.get("options", {})
    if source == PHANTOM:
        recorded |= {"framing": str(framing_in(header)), "phantom of version": version_of(store)}
    others = [
        f"{name} {recorded.get(name)!r}, not {value!r}"
        for name, value in asked.items()
        if recorded.get(name) != value
    ]
    if others:
        raise StoreError(
            f"{out} exists already and was prepared with {'; '.join(others)}: choose another --out "
            f"to prepare it again, or add features to this one with --store {out} --features ..."
        )


def _compose(root: Path | None, out: Path, chosen: PrepareSettings, skip_bad: bool) -> None:
    changed = [n for n, v in asdict(chosen).items() if v != getattr(PrepareSettings(), n)]
    if changed:
        raise ValueError(
            f"the composite takes its stores unchanged: prepare casme2, smic and samm with "
            f"{', '.join(changed)}, and the composite without"
        )
    make_composite(root, out, skip_bad=skip_bad)


def _render_phantom(
    root: Path | None, out: Path, chosen: PrepareSettings, seed: int, resume: bool
) -> None:
    from mersynth.phantom.population import write_store

    if root is not None:
        raise ValueError(f"the phantom is rendered and has no --root, got {root}")
    defaults = PrepareSettings()
    for name in ("geometry", "detector", "face", "intensities", "apex", "doubtful_apex"):
        if getattr(chosen, name) != getattr(defaults, name):
            raise ValueError(
                f"{name}={getattr(chosen, name)}: the phantom's faces, AU intensities and apexes "
                f"are known and are stored as they are; leave it at {getattr(defaults, name)}"
            )
    strength = chosen.strength or "micro"
    check_target(out, resume)
    write_store(
        out,
        image_size=chosen.image_size,
        seed=seed,
        strength=strength,
        framing=chosen.framing.framing(HEAD),
        resume=resume,
    )
