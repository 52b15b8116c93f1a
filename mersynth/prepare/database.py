"""Making a store from a database: framing, apex spotting, measurement of AU intensities."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mersynth import __version__, logs, paths
from mersynth.checks import check_choice
from mersynth.clips import Strength
from mersynth.face.align import Alignment
from mersynth.face.framing import GEOMETRIES, FramedClip, Geometry, frame_clips
from mersynth.face.intensity import IntensityMeter, choose_backend
from mersynth.face.template import AUTO, Framing, FramingChoice, face_box, framing_in
from mersynth.face.weights import RETINAFACE, Backend, locate, require
from mersynth.motion.spotting import DOUBTFUL, SPOTTING, spot_apexes
from mersynth.sources import PrepareError, Source
from mersynth.sources.errors import Problem
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.names import Named, find_alike
from mersynth.store.writer import StoreWriter

logger = logging.getLogger(__name__)

_CLIPS_A_COMMIT = 25  # clips that a kill may lose


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """How a store is made; the defaults are those in ``configs/prepare.yaml``.

    Args:
        image_size: side of the stored frames, in pixels.
        geometry: which part of a frame is stored (:func:`mersynth.face.framing.frame_clips`).
        framing: which part of an aligned face is stored, and how a cropped release is framed; by
            default the whole head for raw releases and the phantom.
        detector: what finds faces, if they are searched for: ``"auto"``, or one of
            ``face.detect.DETECTORS``: ``"mtcnn"``, ``"feat"`` or ``"lbp"``.
        intensities: the backend of py-feat that measures AU intensities, ``"v2"`` or ``"v1"``, or
            ``"none"``; ``"auto"``: whichever has its weights on this machine. The feature
            ``intensity_change``, their difference from the onset frame, is then stored too.
        apex: whether and how missing apexes are spotted: one of ``motion.spotting``'s
            ``SPOTTING``.
        doubtful_apex: what to do with clips whose apex is in doubt
            (:func:`mersynth.motion.spotting.spot_apexes`): ``"keep"``, ``"spot"`` or
            ``"leave_out"``.
        strength: ``"micro"`` or ``"macro"``; None: the database's. The phantom can render either;
            for a rendered tree, this states what was rendered.

    Raises:
        ValueError: if the size is not positive, a name is unknown, or the settings of apexes
            contradict each other.
    """

    image_size: int = 128
    geometry: Geometry = "auto"
    framing: FramingChoice = AUTO
    detector: str = "auto"
    intensities: str = "auto"
    apex: str = "auto"
    doubtful_apex: str = "keep"
    strength: Strength | None = None

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"image_size must be positive, got {self.image_size}")
        allowed = {
            "geometry": GEOMETRIES,
            "apex": SPOTTING,
            "doubtful_apex": DOUBTFUL,
            "strength": (None, "micro", "macro"),
        }
        for name, values in allowed.items():
            check_choice(name, getattr(self, name), values)
        if self.doubtful_apex == "spot" and self.apex == "annotated":
            raise ValueError(
                "doubtful_apex=spot spots apexes again, but apex=annotated never spots any: choose "
                f"one of them (apex may be {', '.join(SPOTTING)})"
            )


def prepare_database(
    database: Source,
    root: Path | None,
    out: Path,
    chosen: PrepareSettings,
    skip_bad: bool,
    seed: int,
    resume: bool,
) -> ClipStore:
    """Write a database's clips into a store; for arguments and errors see ``prepare.prepare``."""
    backend = choose_backend(chosen.intensities)
    scan = database.scan(paths.data_root(database.home, root))
    framed = frame_clips(scan, chosen.image_size, chosen.geometry, chosen.detector, chosen.framing)
    problems = [*scan.problems, *framed.problems, *_alike(database.name, framed.clips)]
    _report(database.name, problems, skip_bad)
    if not framed.clips:
        raise StoreError(f"{database.name}: no clip is left to store")
    if backend is not None and scan.release == "raw" and framed.geometry != "align":
        backend = _if_faces_can_be_found(backend, chosen.intensities)
    spotted = spot_apexes(framed.clips, chosen.apex, chosen.doubtful_apex)
    clips, problems = spotted.clips, [*problems, *spotted.problems]
    if not clips:
        raise StoreError(
            f"{database.name}: the apex of every clip is in doubt, and doubtful_apex=leave_out "
            "leaves none to store; doubtful_apex=spot spots them again"
        )
    if chosen.strength is not None:
        clips = [replace(c, clip=replace(c.clip, strength=chosen.strength)) for c in clips]
    header = {
        "source": database.name,
        "licence": database.licence,
        "citation": database.citation,
        "release": scan.release,
        "image_size": chosen.image_size,
        "geometry": framed.text,
        "framing": framed.framing.as_dict() if framed.framing is not None else None,
        "detector": framed.detector,
        "alignments": framed.alignments,
        "intensities": backend,
        "apex_spotting": spotted.method,
        "respotted": spotted.respotted,
        "options": asdict(chosen),
        "skipped": [problem.as_dict() for problem in problems if problem.fatal],
        "warnings": [problem.as_dict() for problem in problems if not problem.fatal],
        "mersynth": __version__,
        "seed": seed,
    }
    logger.info("%s, %s release: frames are %s", database.name, scan.release, framed.text)
    if framed.geometry == "align":
        logger.info("framed as %s", framed.framing)
    if backend is None and chosen.intensities != "none":
        logger.info("AU intensities are not measured; `mersynth doctor` says what that needs")
    meter = IntensityMeter(backend) if backend is not None else None
    return _write(out, clips, header, meter, resume)


def _if_faces_can_be_found(backend: Backend, asked: str) -> Backend | None:
    """The backend, if RetinaFace's weights, which must find the faces first, are available."""
    if asked == "auto" and locate(RETINAFACE) is None:
        return None
    require([RETINAFACE], "faces in frames that are not aligned")
    return backend


def _alike(source: str, clips: Sequence[FramedClip]) -> list[Problem]:
    """Warnings about names that look alike, which must be settled when the store is used."""
    advice = "commands that read the store will ask whether they are one"
    return [
        Problem(each.of or source, f"look alike: {each}; {advice}", fatal=False)
        for each in find_alike([Named(source, [item.clip for item in clips])])
    ]


def _report(source: str, problems: Sequence[Problem], skip_bad: bool) -> None:
    """Log every problem; raise if one is fatal to a clip and that was not allowed."""
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
) -> ClipStore:
    side, framing = header["image_size"], framing_in(header)
    total = sum(item.clip.num_frames for item in clips)
    with (
        StoreWriter(out, [item.clip for item in clips], side, header, resume=resume) as writer,
        logs.progress(f"writing {out.name}", total=total, unit="frames") as advance,
    ):
        advance(sum(item.clip.num_frames for item in clips[: writer.done]))
        for number, item in enumerate(clips[writer.done :], writer.done + 1):
            frames, intensities, landmarks = _stored(item, writer, advance), None, item.landmarks
            if meter is None:
                deque(frames, maxlen=0)  # to their end
            else:
                read = meter.measure(frames, _face_box(item, header["release"], side, framing))
                intensities = read.intensities
                landmarks = read.landmarks if item.files.landmarks is None else landmarks
            writer.end_clip(intensities, landmarks)
            if number % _CLIPS_A_COMMIT == 0:
                writer.commit()
        return writer.finish()


def _stored(
    item: FramedClip, writer: StoreWriter, advance: Callable[[int], None]
) -> Iterator[np.ndarray]:
    """A clip's frames, each written when it is read: those of an hour do not fit into memory."""
    for frame in item.read():
        writer.add_frames(frame[None])
        advance(1)
        yield frame


def _face_box(
    item: FramedClip, release: str, side: int, framing: Framing | None
) -> np.ndarray | None:
    """Where the face is in the stored frames; None if it has to be searched for."""
    if isinstance(item.transform, Alignment) and framing is not None:
        return face_box(side, framing)
    return None if release == "raw" else np.array([0, 0, side - 1, side - 1], np.float32)
