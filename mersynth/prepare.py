"""``mersynth prepare``: a database on disk becomes a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mersynth import __version__, logs, paths
from mersynth.clips import Strength
from mersynth.devices import choose_device
from mersynth.face.align import Alignment
from mersynth.face.detect import choose_detector
from mersynth.face.framing import GEOMETRIES, FramedClip, Geometry, frame_clips
from mersynth.face.intensity import IntensityMeter, choose_backend
from mersynth.face.template import face_box
from mersynth.face.weights import RETINAFACE, Backend, locate, require
from mersynth.feature_kinds import FEATURES
from mersynth.features import complete_options, compute_features
from mersynth.motion.spotting import SPOTTING, spot_apexes
from mersynth.sources import PHANTOM, SOURCES, PrepareError, Source, get_source
from mersynth.sources.composite import COMPOSITE, make_composite
from mersynth.sources.errors import Problem
from mersynth.sources.folder import Folder
from mersynth.store import ClipStore, StoreError
from mersynth.store_writer import StoreWriter, check_target

logger = logging.getLogger(__name__)

_CLIPS_A_COMMIT = 25  # what a kill may cost


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """How a database becomes a store; the defaults are those of ``configs/prepare.yaml``.

    Args:
        image_size: side of the stored frames, in pixels.
        geometry: which part of a frame is stored (:func:`mersynth.face.framing.frame_clips`).
        detector: what finds faces, where they are looked for: ``"auto"``, ``"feat"`` or ``"lbp"``.
        intensities: the backend of py-feat that measures AU intensities, ``"v2"`` or ``"v1"``, or
            ``"none"``; ``"auto"``: whichever has its weights on this machine. The feature
            ``intensity_change``, their difference to the onset frame, is then stored beside them.
        apex: which clips without an apex get one spotted, and how: one of ``motion.spotting``'s
            ``SPOTTING``.
        strength: ``"micro"`` or ``"macro"``; None: as the database says. The phantom renders
            either; for a rendered tree it says what was rendered into it.

    Raises:
        ValueError: if the size is not positive, or a name is unknown.
    """

    image_size: int = 128
    geometry: Geometry = "auto"
    detector: str = "auto"
    intensities: str = "auto"
    apex: str = "auto"
    strength: Strength | None = None

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"image_size must be positive, got {self.image_size}")
        allowed = {
            "geometry": GEOMETRIES,
            "apex": SPOTTING,
            "strength": (None, "micro", "macro"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                names = ", ".join(str(value) for value in values)
                raise ValueError(f"{name} must be one of {names}, got {getattr(self, name)!r}")


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

    What was chosen, found and left out stands in the header of ``store.json``. Where the store is
    there already, prepared in the same way, only the features that it lacks are computed.

    Args:
        source: a name of ``sources.SOURCES``; ``"phantom"``, which is rendered; or ``"composite"``,
            the database of MEGC2019, which is made of three stores.
        root: the database's folder; default ``$MERSYNTH_DATA/<source>``, else ``./data/<source>``.
            For the composite the folder of the stores that it is made of; default ``./stores``.
        out: the new store; default ``./stores/<source>``.
        images: photos, instead of a root; for the source ``"folder"`` alone.
        videos: videos, likewise.
        features: names of ``feature_kinds.FEATURES``, each with its options.
        skip_bad: leave out the clips that cannot be stored, instead of stopping.
        resume: go on with an interrupted writing of the same clips.
        seed: seed of the phantom's rendering; recorded in the store in any case.
        settings: of :class:`PrepareSettings`.

    Returns:
        The store, opened.

    Raises:
        ValueError: if the source, a setting or a feature's option is unknown, or the phantom is
            given what only a database has.
        FeatureError: if a feature is unknown.
        SourceError: if the database is not there.
        PrepareError: if clips cannot be stored and ``skip_bad`` is false; nothing was written.
        StoreError: if ``out`` exists and is another store than the one asked for, or no clip is
            left to store.
        WeightsMissingError: if py-feat was asked for by name and its weights are not there.
    """
    chosen = PrepareSettings(**settings)
    check_source(source)
    if (images or videos) and (source != Folder.name or root is not None):
        raise ValueError("--image and --video go with --source folder, and without --root")
    wanted = complete_options(features or {})
    choose_detector(chosen.detector)
    out = paths.store_path(source, out)
    if out.exists():
        _check_same(out, source, chosen, seed, given=bool(root or images or videos or not wanted))
    elif source == PHANTOM:
        _render_phantom(root, out, chosen, seed)
    elif source == COMPOSITE:
        _compose(root, out, chosen, skip_bad)
    else:
        check_target(out, resume)
        database = Folder(images, videos) if images or videos else get_source(source)
        _prepare_database(database, root, out, chosen, skip_bad, seed, resume)
    if wanted:
        add_features(out, wanted)
    return ClipStore.open(out)


def check_source(source: str) -> None:
    """Raise ValueError, with the names there are, if a source is none that can be prepared."""
    known = (*SOURCES, COMPOSITE, PHANTOM)
    if source not in known:
        raise ValueError(f"no source {source!r}; known: {', '.join(known)}")


def add_features(path: Path, features: Mapping[str, Mapping[str, Any]]) -> None:
    """Compute those features that a store, real or synthetic, has not yet.

    Args:
        path: the store's folder.
        features: names of ``feature_kinds.FEATURES``, each with its options.

    Raises:
        ValueError: if no feature is named, or an option is wrong.
        StoreError: if the store cannot be read.
        FeatureError: if a feature is unknown, or no clip has what it needs.
    """
    if not features:
        raise ValueError(f"name what to compute with --features: {', '.join(FEATURES)}")
    compute_features(ClipStore.open(path), features, choose_device("auto"))


def _check_same(out: Path, source: str, chosen: PrepareSettings, seed: int, given: bool) -> None:
    """Check that a store that is there already is the one asked for, so that it takes features."""
    if given:
        raise StoreError(
            f"{out} exists already; remove it or choose another --out, or add features to it as it "
            f"is with --store {out} --features ..."
        )
    header = ClipStore.open(out).meta["header"]
    asked: dict[str, Any] = {"source": source}
    if source == PHANTOM:
        strength = chosen.strength or "micro"
        asked |= {"image_size": chosen.image_size, "seed": seed, "strength": strength}
    elif source != COMPOSITE:  # whose parts were prepared, not it
        asked |= asdict(chosen)
    recorded = {**header, **header.get("options", {})}
    others = [
        f"{name} {recorded.get(name)!r}, not {value!r}"
        for name, value in asked.items()
        if recorded.get(name) != value
    ]
    if others:
        raise StoreError(
            f"{out} exists already and was prepared with {'; '.join(others)}: choose another --out "
            f"to prepare it anew, or add features to it as it is with --store {out} --features ..."
        )


def _prepare_database(
    database: Source,
    root: Path | None,
    out: Path,
    chosen: PrepareSettings,
    skip_bad: bool,
    seed: int,
    resume: bool,
) -> None:
    backend = choose_backend(chosen.intensities)
    scan = database.scan(paths.data_root(database.home, root))
    framed = frame_clips(scan, chosen.image_size, chosen.geometry, chosen.detector)
    problems = [*scan.problems, *framed.problems]
    _report(database.name, problems, skip_bad)
    if not framed.clips:
        raise StoreError(f"{database.name}: no clip is left to store")
    if backend is not None and scan.release == "raw" and framed.geometry != "align":
        backend = _if_faces_can_be_found(backend, chosen.intensities)
    clips, spotting, still = spot_apexes(framed.clips, chosen.apex)
    if chosen.strength is not None:
        clips = [replace(c, clip=replace(c.clip, strength=chosen.strength)) for c in clips]
    header = {
        "source": database.name,
        "licence": database.licence,
        "citation": database.citation,
        "release": scan.release,
        "image_size": chosen.image_size,
        "geometry": framed.text,
        "detector": framed.detector,
        "alignments": framed.alignments,
        "intensities": backend,
        "apex_spotting": spotting,
        "options": asdict(chosen),
        "skipped": [problem.as_dict() for problem in problems if problem.fatal],
        "warnings": [p.as_dict() for p in (*problems, *still) if not p.fatal],
        "mersynth": __version__,
        "seed": seed,
    }
    logger.info("%s, %s release: frames are %s", database.name, scan.release, framed.text)
    if backend is None:
        logger.info("AU intensities are not measured; `mersynth doctor` says what that needs")
    meter = IntensityMeter(backend) if backend is not None else None
    _write(out, clips, header, meter, resume)
    if meter is not None:
        add_features(out, {"intensity_change": {}})


def _if_faces_can_be_found(backend: Backend, asked: str) -> Backend | None:
    """The backend, if RetinaFace's weights are there: nobody has looked for the faces yet."""
    if asked == "auto" and locate(RETINAFACE) is None:
        return None
    require([RETINAFACE], "faces in frames that are not aligned")
    return backend


def _compose(root: Path | None, out: Path, chosen: PrepareSettings, skip_bad: bool) -> None:
    changed = [n for n, v in asdict(chosen).items() if v != getattr(PrepareSettings(), n)]
    if changed:
        raise ValueError(
            f"the composite is made of stores as they are: prepare casme2, smic and samm with "
            f"{', '.join(changed)}, and the composite without"
        )
    make_composite(root, out, skip_bad=skip_bad)


def _render_phantom(root: Path | None, out: Path, chosen: PrepareSettings, seed: int) -> None:
    from mersynth.sources.phantom.population import write_store

    if root is not None:
        raise ValueError(f"the phantom is rendered and has no --root, got {root}")
    for name in ("geometry", "detector", "intensities", "apex"):
        if getattr(chosen, name) != "auto":
            raise ValueError(
                f"{name}={getattr(chosen, name)}: the phantom's faces, AU intensities and apexes "
                "are known and are stored as they are; leave it at auto"
            )
    strength = chosen.strength or "micro"
    write_store(out, image_size=chosen.image_size, seed=seed, strength=strength)


def _report(source: str, problems: Sequence[Problem], skip_bad: bool) -> None:
    """Tell every problem; stop where one of them costs a clip and that was not allowed."""
    fatal = [problem for problem in problems if problem.fatal]
    for problem in problems:
        if not problem.fatal or skip_bad:
            logger.warning("%s%s", "left out: " if problem.fatal else "", problem)
    if fatal and not skip_bad:
        raise PrepareError(source, problems)


def _write(
    out: Path,
    clips: Sequence[FramedClip],
    header: dict[str, Any],
    meter: IntensityMeter | None,
    resume: bool,
) -> None:
    side = header["image_size"]
    total = sum(item.clip.num_frames for item in clips)
    with (
        StoreWriter(out, [item.clip for item in clips], side, header, resume=resume) as writer,
        logs.progress(f"writing {out.name}", total=total, unit="frames") as advance,
    ):
        advance(sum(item.clip.num_frames for item in clips[: writer.done]))
        for number, item in enumerate(clips[writer.done :], writer.done + 1):
            frames, intensities, landmarks = item.read(), None, item.landmarks
            if meter is not None:
                read = meter.measure(frames, _face_box(item, header["release"], side))
                intensities = read.intensities
                landmarks = read.landmarks if item.files.landmarks is None else landmarks
            writer.add(frames, intensities, landmarks)
            advance(len(frames))
            if number % _CLIPS_A_COMMIT == 0:
                writer.commit()
        store = writer.finish()
    logger.info("%s: %d clips, %d subjects", out, len(store), len(store.subjects))


def _face_box(item: FramedClip, release: str, side: int) -> np.ndarray | None:
    """Where the face is in the stored frames; None where it has to be looked for."""
    if isinstance(item.framing, Alignment):
        return face_box(side)
    return None if release == "raw" else np.array([0, 0, side - 1, side - 1], np.float32)
