"""Making a store from a database: framing, apex spotting, measurement of AU intensities."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mersynth import __version__, logs, paths
from mersynth.checks import check_choice, ranges
from mersynth.clips import Strength
from mersynth.face.align import Alignment
from mersynth.face.au_reader import AUReader, FeatReader, choose_reader, without_place
from mersynth.face.framing import GEOMETRIES, WHO, FramedClip, Geometry, Who, frame_clips
from mersynth.face.template import AUTO, Framing, FramingChoice, face_box
from mersynth.face.weights import RETINAFACE, locate, require
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.spotting import DOUBTFUL, SPOTTING, spot_apexes
from mersynth.sources import PrepareError, Source
from mersynth.sources.base import Release
from mersynth.sources.errors import Problem
from mersynth.sources.folder import Folder
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.names import Named, find_alike
from mersynth.store.writer import CLIPS_A_COMMIT, StoreWriter

logger = logging.getLogger(__name__)


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
        face: of several faces on a photo of the source ``"folder"``, the ``"largest"``, or
            ``"all"``, each as a person.
        intensities: what gives AU intensities, one of ``face.au_reader.CHOICES``: a backend of
            py-feat, ``"v2"`` or ``"v1"``; another tool's files, ``"openface=DIR"`` or
            ``"libreface=DIR"``; MediaPipe's blendshapes, ``"blendshapes=FILE.task"``; or
            ``"none"``. ``"auto"``: the backend whose weights are on this machine. The feature
            ``intensity_change``, their difference from the onset frame, is then stored too.
        min_confidence: OpenFace's frames of less confidence count as not measured, in [0, 1].
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
    face: Who = "largest"
    intensities: str = "auto"
    min_confidence: float = 0.8
    apex: str = "auto"
    doubtful_apex: str = "keep"
    strength: Strength | None = None

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"image_size must be positive, got {self.image_size}")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must lie in [0, 1], got {self.min_confidence}")
        allowed = {
            "geometry": GEOMETRIES,
            "face": WHO,
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

    def as_recorded(self) -> dict[str, Any]:
        """As in a store's header, without the folders that lead to a file or folder named here."""
        return asdict(self) | {"intensities": without_place(self.intensities)}


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
    if chosen.face == "all" and database.name != Folder.name:
        raise ValueError(
            f"face=all is for photos, --source {Folder.name}: {database.name} shows one person in "
            "each clip; leave it at largest"
        )
    reader = choose_reader(chosen.intensities, chosen.min_confidence)
    scan = database.scan(paths.data_root(database.home, root))
    framed = frame_clips(
        scan, chosen.image_size, chosen.geometry, chosen.detector, chosen.framing, chosen.face
    )
    problems = [*scan.problems, *framed.problems, *_alike(database.name, framed.clips)]
    boxes = {
        item.clip.id: _face_box(item, scan.release, chosen.image_size, framed.framing)
        for item in framed.clips
    }
    unread = reader.find([(c, boxes[c.clip.id]) for c in framed.clips]) if reader else []
    problems += unread
    _report(database.name, problems, skip_bad)
    lost = {problem.file for problem in unread if problem.fatal}
    kept = [item for item in framed.clips if item.clip.id not in lost]
    if not kept:
        raise StoreError(f"{database.name}: no clip is left to store")
    if isinstance(reader, FeatReader) and scan.release == "raw" and framed.geometry != "align":
        reader = _if_faces_can_be_found(reader, chosen.intensities)
    spotted = spot_apexes(kept, chosen.apex, chosen.doubtful_apex)
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
        "opencv": cv2.__version__,  # what the detector finds depends on it
        "alignments": framed.alignments,
        "intensities": reader.name if reader else None,
        "au_reader": dict(reader.facts) if reader else None,
        "apex_spotting": spotted.method,
        "respotted": spotted.respotted,
        "options": chosen.as_recorded(),
        "skipped": [problem.as_dict() for problem in problems if problem.fatal],
        "warnings": [problem.as_dict() for problem in problems if not problem.fatal],
        "mersynth": __version__,
        "seed": seed,
    }
    logger.info("%s, %s release: frames are %s", database.name, scan.release, framed.text)
    if framed.geometry == "align":
        logger.info("framed as %s", framed.framing)
    if reader is None and chosen.intensities != "none":
        logger.info("AU intensities are not measured; `mersynth doctor` says what that needs")
    store = _write(out, clips, header, reader, boxes, resume)
    if reader is not None:
        _summarise(store)
    return store


def _if_faces_can_be_found(reader: FeatReader, asked: str) -> FeatReader | None:
    """The reader, if RetinaFace's weights, which must find the faces first, are available."""
    if asked == "auto" and locate(RETINAFACE) is None:
        return None
    require([RETINAFACE], "faces in frames that are not aligned")
    return reader


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
    reader: AUReader | None,
    boxes: Mapping[str, np.ndarray | None],
    resume: bool,
) -> ClipStore:
    side = header["image_size"]
    total = sum(item.clip.num_frames for item in clips)
    with (
        StoreWriter(out, [item.clip for item in clips], side, header, resume=resume) as writer,
        logs.progress(f"writing {out.name}", total=total, unit="frames") as advance,
    ):
        if writer.whole:
            return writer.finish()
        advance(sum(item.clip.num_frames for item in clips[: writer.done]))
        for number, item in enumerate(clips[writer.done :], writer.done + 1):
            frames, intensities, landmarks = _stored(item, writer, advance), None, item.landmarks
            if reader is None:
                deque(frames, maxlen=0)  # to their end
            else:
                read = reader.read(item, frames, boxes[item.clip.id])
                intensities = read.intensities
                if item.files.landmarks is None and read.landmarks is not None:
                    landmarks = read.landmarks
            writer.end_clip(intensities, landmarks)
            if number % CLIPS_A_COMMIT == 0:
                writer.commit()
        return writer.finish(facts=None if reader is None else _not_measured(writer))


def _not_measured(writer: StoreWriter) -> dict[str, Any]:
    """Header entry: by clip, the frames (of the store, from 0) for which no AU is known."""
    writer.commit()
    known = np.load(writer.partial / "intensities.npy", mmap_mode="r")
    without, first = {}, 0
    for clip in writer.clips:
        rows = known[first : first + clip.num_frames]
        lost = np.flatnonzero(np.isnan(rows).all((1, 2))).tolist()
        if lost:
            without[clip.id] = {"frames": len(lost), "of": clip.num_frames, "which": ranges(lost)}
        first += clip.num_frames
    return {"without_intensities": without}


def _summarise(store: ClipStore) -> None:
    """Log what gave the AU intensities of a new store, on which scale, and where none are."""
    header = store.meta["header"]
    facts, without = header["au_reader"], header["without_intensities"]
    lacking = ", ".join(map(str, facts["without"]))
    logger.info(
        "AU intensities by %s (%s): %d of %d AUs%s, sides %s",
        *(facts["tool"], facts["scale"], len(facts["aus"]), len(CONDITION_AUS)),
        f" (not {lacking})" if lacking else "",
        "told apart" if facts["sides"] else "not told apart",
    )
    if without:
        lost = sum(each["frames"] for each in without.values())
        counts = {why: n for why, n in facts.get("frames", {}).items() if why != "measured"}
        logger.warning(
            "%d of %d frames have no AU intensities, in %d of %d clips%s",
            *(lost, len(store.frames), len(without), len(store)),
            f" ({', '.join(f'{why}: {n}' for why, n in counts.items())})" if counts else "",
        )


def _stored(
    item: FramedClip, writer: StoreWriter, advance: Callable[[int], None]
) -> Iterator[np.ndarray]:
    """A clip's frames, each written when it is read: those of an hour do not fit into memory."""
    for frame in item.read():
        writer.add_frames(frame[None])
        advance(1)
        yield frame


def _face_box(
    item: FramedClip, release: Release | None, side: int, framing: Framing | None
) -> np.ndarray | None:
    """Where the face is in the stored frames; None if it has to be searched for."""
    if isinstance(item.transform, Alignment) and framing is not None:
        return face_box(side, framing)
    return None if release == "raw" else np.array([0, 0, side - 1, side - 1], np.float32)
