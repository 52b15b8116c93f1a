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
from mersynth.dataset import to_float
from mersynth.devices import choose_device
from mersynth.face.align import Alignment
from mersynth.face.framing import FramedClip, Geometry, frame_clips
from mersynth.face.intensity import IntensityMeter, choose_backend
from mersynth.face.template import face_box
from mersynth.features import FEATURES, compute_features
from mersynth.motion.apex import APEX_METHODS, spot_apex
from mersynth.sources import PHANTOM, SOURCES, PrepareError, get_source
from mersynth.sources.composite import COMPOSITE, make_composite
from mersynth.sources.errors import Problem
from mersynth.sources.folder import Folder
from mersynth.store import ClipStore, StoreError
from mersynth.store_writer import StoreWriter

logger = logging.getLogger(__name__)

_DEFAULT_SPOTTING = "strain"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """How a database becomes a store; the defaults are those of ``configs/prepare.yaml``.

    Args:
        image_size: side of the stored frames, in pixels.
        geometry: which part of a frame is stored (:func:`mersynth.face.framing.frame_clips`).
        detector: what finds faces, where they are looked for: ``"auto"``, ``"feat"`` or ``"lbp"``.
        intensities: the backend of py-feat that measures AU intensities, ``"v2"`` or ``"v1"``, or
            ``"none"``; ``"auto"``: whichever has its weights on this machine.
        apex: how the apex is spotted (``motion.apex``) in clips without one: ``"auto"``, by
            ``"strain"``, where the database gives none to any clip; ``"annotated"``, never; or a
            method, wherever one is missing.
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
        allowed = {"apex": ("auto", "annotated", *APEX_METHODS), "strength": (None, *_STRENGTHS)}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                names = ", ".join(str(value) for value in values)
                raise ValueError(f"{name} must be one of {names}, got {getattr(self, name)!r}")


_STRENGTHS: tuple[Strength, ...] = ("micro", "macro")


def prepare(
    source: str,
    root: Path | None = None,
    out: Path | None = None,
    *,
    images: Sequence[Path] = (),
    videos: Sequence[Path] = (),
    features: Mapping[str, Mapping[str, Any]] | None = None,
    skip_bad: bool = False,
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
        features: names of ``features.FEATURES``, each with its options.
        skip_bad: leave out the clips that cannot be stored, instead of stopping.
        seed: seed of the phantom's rendering; recorded in the store in any case.
        settings: of :class:`PrepareSettings`.

    Returns:
        The store, opened.

    Raises:
        ValueError: if the source or a setting is unknown, or the phantom is given what only a
            database has.
        SourceError: if the database is not there.
        PrepareError: if clips cannot be stored and ``skip_bad`` is false; nothing was written.
        StoreError: if ``out`` exists, or no clip is left to store.
        WeightsMissingError: if py-feat was asked for by name and its weights are not there.
    """
    chosen = PrepareSettings(**settings)
    known = (*SOURCES, COMPOSITE, PHANTOM)
    if source not in known:
        raise ValueError(f"no source {source!r}; known: {', '.join(known)}")
    out = paths.store_path(source, out)
    options = {"source": source, "seed": seed, "skip_bad": skip_bad, **asdict(chosen)}
    if out.exists():
        store = _open_same(out, options, bool(features))
    elif source == PHANTOM:
        store = _render_phantom(root, out, chosen, seed)
    elif source == COMPOSITE:
        store = _compose(root, out, chosen, skip_bad)
    else:
        store = _prepare_database(source, root, out, (images, videos), chosen, options)
    if features:
        add_features(out, features)
    return store


def add_features(path: Path, features: Mapping[str, Mapping[str, Any]]) -> None:
    """Compute those features that a store, real or synthetic, has not yet.

    Args:
        path: the store's folder.
        features: names of ``features.FEATURES``, each with its options.

    Raises:
        ValueError: if no feature is named, or an option is wrong.
        StoreError: if the store cannot be read.
        FeatureError: if a feature is unknown, or no clip has what it needs.
    """
    if not features:
        raise ValueError(f"name what to compute with --features: {', '.join(FEATURES)}")
    compute_features(ClipStore.open(path), features, choose_device("auto"))


def _open_same(out: Path, options: Mapping[str, Any], wanted: bool) -> ClipStore:
    """The store that is there already, to add features to it."""
    if not wanted:
        raise StoreError(f"{out} exists already; remove it or choose another --out")
    store = ClipStore.open(out)
    header = store.meta["header"]
    recorded = header.get("options") or {k: header[k] for k in options if k in header}
    if header["source"] == COMPOSITE:  # its parts were prepared, not it
        recorded = {"source": COMPOSITE}
    others = [
        f"{name} {value!r}, not {options[name]!r}"
        for name, value in recorded.items()
        if options[name] not in (value, None)
    ]
    if others:
        raise StoreError(
            f"{out} exists already and was prepared with {'; '.join(others)}: choose another --out "
            f"to prepare it anew, or add features to it as it is with --store {out}"
        )
    return store


def _prepare_database(
    source: str,
    root: Path | None,
    out: Path,
    files: tuple[Sequence[Path], Sequence[Path]],
    chosen: PrepareSettings,
    options: Mapping[str, Any],
) -> ClipStore:
    database = get_source(source)
    if any(files):
        if not isinstance(database, Folder) or root is not None:
            raise ValueError("--image and --video go with --source folder, and without --root")
        database = Folder(*files)
    backend = choose_backend(chosen.intensities)
    scan = database.scan(paths.data_root(database.home, root))
    framed = frame_clips(scan, chosen.image_size, chosen.geometry, chosen.detector)
    problems = [*scan.problems, *framed.problems]
    _report(source, problems, options["skip_bad"])
    if not framed.clips:
        raise StoreError(f"{source}: no clip is left to store")
    clips, spotting, still = _spot_apexes(framed.clips, chosen.apex)
    if chosen.strength is not None:
        clips = [replace(c, clip=replace(c.clip, strength=chosen.strength)) for c in clips]
    header = {
        "source": database.name,
        "licence": database.licence,
        "citation": database.citation,
        "release": scan.release,
        "image_size": chosen.image_size,
        "geometry": framed.geometry,
        "detector": framed.detector,
        "intensities": backend,
        "apex_spotting": spotting,
        "options": dict(options),
        "skipped": [problem.as_dict() for problem in problems if problem.fatal],
        "warnings": [p.as_dict() for p in (*problems, *still) if not p.fatal],
        "mersynth": __version__,
        "seed": options["seed"],
    }
    logger.info("%s, %s release: frames are %s", source, scan.release, framed.geometry)
    if backend is None:
        logger.info("AU intensities are not measured; `mersynth doctor` says what that needs")
    return _write(out, clips, header, IntensityMeter(backend) if backend is not None else None)


def _compose(root: Path | None, out: Path, chosen: PrepareSettings, skip_bad: bool) -> ClipStore:
    changed = [n for n, v in asdict(chosen).items() if v != getattr(PrepareSettings(), n)]
    if changed:
        raise ValueError(
            f"the composite is made of stores as they are: prepare casme2, smic and samm with "
            f"{', '.join(changed)}, and the composite without"
        )
    return make_composite(root, out, skip_bad=skip_bad)


def _render_phantom(root: Path | None, out: Path, chosen: PrepareSettings, seed: int) -> ClipStore:
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
    return write_store(out, image_size=chosen.image_size, seed=seed, strength=strength)


def _report(source: str, problems: Sequence[Problem], skip_bad: bool) -> None:
    """Tell every problem; stop where one of them costs a clip and that was not allowed."""
    fatal = [problem for problem in problems if problem.fatal]
    for problem in problems:
        if not problem.fatal or skip_bad:
            logger.warning("%s%s", "left out: " if problem.fatal else "", problem)
    if fatal and not skip_bad:
        raise PrepareError(source, problems)


def _spot_apexes(
    clips: Sequence[FramedClip], apex: str
) -> tuple[list[FramedClip], str | None, list[Problem]]:
    """The clips with an apex wherever it was to be spotted, by what, and where none shows."""
    lacking = [i for i, item in enumerate(clips) if item.clip.apex is None]
    if apex == "auto":
        apex = _DEFAULT_SPOTTING if len(lacking) == len(clips) else "annotated"
    if apex == "annotated" or not lacking:
        return list(clips), None, []
    spotted = list(clips)
    problems = []
    with logs.progress("spotting apexes", total=len(lacking), unit="clips") as advance:
        for i in lacking:
            advance(1)
            clip = clips[i].clip
            try:
                index = spot_apex(to_float(clips[i].read()), apex)
            except ValueError as error:
                problems.append(Problem(clip.id, f"no apex spotted: {error}", fatal=False))
                continue
            found = replace(clip, apex=clip.onset + index, apex_method=apex)
            spotted[i] = replace(clips[i], clip=found)
    for problem in problems:
        logger.warning("%s", problem)
    return spotted, apex, problems


def _write(
    out: Path, clips: Sequence[FramedClip], header: dict[str, Any], meter: IntensityMeter | None
) -> ClipStore:
    side = header["image_size"]
    total = sum(item.clip.num_frames for item in clips)
    with (
        StoreWriter(out, [item.clip for item in clips], side, header) as writer,
        logs.progress(f"writing {out.name}", total=total, unit="frames") as advance,
    ):
        for item in clips:
            frames, intensities, landmarks = item.read(), None, item.landmarks
            if meter is not None:
                read = meter.measure(frames, _face_box(item, side))
                intensities = read.intensities
                landmarks = read.landmarks if item.files.landmarks is None else landmarks
            writer.add(frames, intensities, landmarks)
            advance(len(frames))
        store = writer.finish()
    logger.info("%s: %d clips, %d subjects", out, len(store), len(store.subjects))
    return store


def _face_box(item: FramedClip, side: int) -> np.ndarray:
    """Where the face is in the stored frames, so that nobody has to look for it again."""
    if isinstance(item.framing, Alignment):
        return face_box(side)
    return np.array([0, 0, side - 1, side - 1], np.float32)
