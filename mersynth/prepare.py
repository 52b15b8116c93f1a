"""``mersynth prepare``: a database on disk becomes a store."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from mersynth import __version__, logs, paths
from mersynth.clips import Strength
from mersynth.sources import PHANTOM, SOURCES, PrepareError, Source, get_source
from mersynth.sources.base import ClipFiles, Scan
from mersynth.sources.frames import to_square
from mersynth.store import ClipStore, StoreError
from mersynth.store_writer import StoreWriter

logger = logging.getLogger(__name__)


def prepare(
    source: str,
    root: Path | None = None,
    out: Path | None = None,
    image_size: int = 128,
    skip_bad: bool = False,
    strength: Strength = "micro",
    seed: int = 0,
) -> ClipStore:
    """Check a database's files, then write its clips, from onset to offset, into a store.

    AU intensities and landmarks are not measured here and stored as NaN.

    Args:
        source: a name of ``sources.SOURCES``, or ``"phantom"``, which is rendered.
        root: the database's folder; default ``$MERSYNTH_DATA/<source>``, else ``./data/<source>``.
        out: the new store; default ``./stores/<source>``.
        image_size: side of the stored frames, in pixels.
        skip_bad: leave out the clips that cannot be stored, instead of stopping.
        strength: what the tree shows, micro- or macro-expressions; the phantom renders either.
        seed: seed of the phantom's rendering; recorded in the store in any case.

    Returns:
        The store, opened.

    Raises:
        ValueError: if the source is unknown, the size not positive, or the phantom given a root.
        SourceError: if the database is not there.
        PrepareError: if clips cannot be stored and ``skip_bad`` is false; nothing was written.
        StoreError: if ``out`` exists, or no clip is left to store.
    """
    if source not in (*SOURCES, PHANTOM):
        raise ValueError(f"no source {source!r}; known: {', '.join((*SOURCES, PHANTOM))}")
    if image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}")
    out = paths.store_path(source, out)
    if out.exists():
        raise StoreError(f"{out} exists already; remove it or choose another --out")
    if source == PHANTOM:
        if root is not None:
            raise ValueError(f"the phantom is rendered and has no --root, got {root}")
        from mersynth.sources.phantom.population import write_store

        return write_store(out, image_size=image_size, seed=seed, strength=strength)
    database = get_source(source)
    scan = database.scan(paths.data_root(source, root))
    _report(source, scan, skip_bad)
    return _write(database, scan, out, image_size, strength, seed)


def _report(source: str, scan: Scan, skip_bad: bool) -> None:
    """Tell every problem; stop where one of them costs a clip and that was not allowed."""
    fatal = [problem for problem in scan.problems if problem.fatal]
    for problem in scan.problems:
        if not problem.fatal or skip_bad:
            logger.warning("%s%s", "left out: " if problem.fatal else "", problem)
    if fatal and not skip_bad:
        raise PrepareError(source, scan.problems)
    if not scan.clips:
        raise StoreError(f"{source}: no clip is left to store")


def _write(
    database: Source, scan: Scan, out: Path, image_size: int, strength: Strength, seed: int
) -> ClipStore:
    crop = scan.release == "raw"
    geometry = "centred square crop, resized" if crop else "resized"
    clips = [replace(files.clip, strength=strength) for files in scan.clips]
    header = {
        "source": database.name,
        "release": scan.release,
        "geometry": geometry,
        "image_size": image_size,
        "strength": strength,
        "licence": database.licence,
        "citation": database.citation,
        "skipped": [problem.as_dict() for problem in scan.problems if problem.fatal],
        "warnings": [problem.as_dict() for problem in scan.problems if not problem.fatal],
        "mersynth": __version__,
        "seed": seed,
    }
    logger.info("%s, %s release: frames are %s", database.name, scan.release, geometry)
    total = sum(clip.num_frames for clip in clips)
    with (
        StoreWriter(out, clips, image_size, header) as writer,
        logs.progress(f"writing {out.name}", total=total, unit="frames") as advance,
    ):
        for files in scan.clips:
            writer.add(_frames(files, image_size, crop))
            advance(files.clip.num_frames)
        store = writer.finish()
    logger.info("%s: %d clips, %d subjects", out, len(store), len(store.subjects))
    return store


def _frames(files: ClipFiles, image_size: int, crop: bool) -> np.ndarray:
    return np.stack([to_square(frame, image_size, crop) for frame in files.read()])
