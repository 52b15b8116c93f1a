"""Which part of a clip's frames a store keeps: one transform per clip, from its onset frame."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from mersynth import logs
from mersynth.checks import check_choice
from mersynth.clips import Clip
from mersynth.face.align import Alignment, alignment_from_landmarks, what_is_odd
from mersynth.face.clip_alignment import AlignedClip, Aligner
from mersynth.face.detect import FaceError, landmarks_of
from mersynth.face.template import (
    AUTO,
    HEAD,
    TIGHT,
    Framing,
    FramingChoice,
)
from mersynth.sources.base import ClipFiles, Scan
from mersynth.sources.cut import Cut
from mersynth.sources.errors import Problem

logger = logging.getLogger(__name__)

Geometry = Literal["auto", "align", "crop", "resize"]
GEOMETRIES: tuple[Geometry, ...] = ("auto", "align", "crop", "resize")

Who = Literal["largest", "all"]
WHO: tuple[Who, ...] = ("largest", "all")
"""Which of several faces on a photo are stored."""


class Transform(Protocol):
    """Maps a clip's frames, and points on them, to the square of a store."""

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) uint8 to (S, S, 3) uint8."""

    def apply_points(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2), (x, y) in pixels, to the square."""


@dataclass(frozen=True, slots=True)
class FramedClip:
    """A clip on disk, and how its frames become those of a store.

    Attributes:
        clip: its annotation.
        files: its frames on disk.
        transform: one for all its frames.
        landmarks: (T, 68, 2) float32 in the square, (x, y) in pixels, NaN where not known; None if
            there are none.
    """

    clip: Clip
    files: ClipFiles
    transform: Transform
    landmarks: np.ndarray | None

    def read(self) -> Iterator[np.ndarray]:
        """The frames in order, each (S, S, 3) uint8, RGB."""
        return (self.transform.apply(frame) for frame in self.files.read())

    def read_some(self, places: Collection[int]) -> np.ndarray:
        """The frames at some places of the clip, in order: (n, S, S, 3) uint8, RGB."""
        frames = islice(self.files.read(), max(places) + 1)
        chosen = (frame for place, frame in enumerate(frames) if place in places)
        return np.stack([self.transform.apply(frame) for frame in chosen])

    def moves(self) -> bool:
        """Whether a pixel changes from onset to apex; False without an apex."""
        place, frames = self.clip.apex_index, self.files.frames
        if not place:
            return False
        pair = self
        if len(frames) == self.clip.num_frames:  # one file per frame: two of them are enough
            files = replace(self.files, frames=(frames[0], frames[place]))
            pair, place = replace(self, files=files), 1
        onset, apex = pair.read_some((0, place))
        return bool((onset != apex).any())


@dataclass(frozen=True, slots=True)
class Framed:
    """The clips of a database, framed.

    Attributes:
        clips: those whose faces were found, in the order of the scan.
        problems: one for each clip whose face cannot be aligned, and warnings.
        geometry: what was done: align, crop or resize.
        text: the same in words, for the store's header.
        framing: where the faces lie in the squares; None: not known.
        detector: what found the faces; None if none were searched for.
    """

    clips: tuple[FramedClip, ...]
    problems: tuple[Problem, ...]
    geometry: Geometry
    text: str
    framing: Framing | None
    detector: str | None = None

    @property
    def alignments(self) -> dict[str, list[list[float]]] | None:
        """The 2 x 3 matrix of each clip's alignment, by clip id; None if nothing was aligned."""
        if self.geometry != "align":
            return None
        return {
            item.clip.id: np.round(item.transform.matrix, 6).tolist()
            for item in self.clips
            if isinstance(item.transform, Alignment)
        }


def frame_clips(
    scan: Scan,
    image_size: int,
    geometry: Geometry,
    detector: str,
    choice: FramingChoice = AUTO,
    face: Who = "largest",
) -> Framed:
    """Decide for each clip of a database which part of its frames a store keeps.

    Args:
        scan: the clips on disk.
        image_size: side of the store's frames, in pixels.
        geometry: ``"align"``: a similarity that brings the face to its place in the square, by the
            database's published landmarks, else by the face found in the onset frame; ``"crop"``:
            the largest centred square; ``"resize"``: the whole frame; ``"auto"``: align raw
            releases, resize cropped ones.
        detector: what finds faces (:class:`mersynth.face.detect.FaceFinder`).
        choice: which part of an aligned face is stored, by default the whole head in a raw release
            and the face in a cropped one. For frames of a cropped release that are not aligned, it
            states how they are framed.
        face: ``"all"``: each of several faces on a photo that does not name its person is a clip of
            a person of its own; ``"largest"``: that face alone is stored.

    Raises:
        ValueError: if the geometry or the detector is unknown, or a framing or all faces are asked
            for although frames of a raw release are not aligned.
        WeightsMissingError: if the detector was asked for by name and its weights are missing.
    """
    check_choice("geometry", geometry, GEOMETRIES)
    if geometry == "auto":
        geometry = "align" if scan.release == "raw" else "resize"
    framing = choice.framing(HEAD if scan.release == "raw" else TIGHT)
    if geometry != "align":
        if face == "all" and scan.clips:
            raise ValueError(
                f"face=all: no faces are searched for where geometry={geometry}; choose "
                "geometry=align, or leave face at largest"
            )
        cropped = scan.release == "cropped" and geometry == "resize"
        if not cropped and choice != AUTO and scan.clips:
            raise ValueError(
                f"framing={choice.name}: frames that are not aligned (geometry={geometry}) show "
                "faces wherever they are; leave it at auto, or choose geometry=align"
            )
        cut = Cut.centre if geometry == "crop" else Cut.whole
        clips = []
        for files in scan.clips:
            height, width = next(files.read()).shape[:2]
            clips.append(_framed(files, cut(width, height, image_size), files.landmarks))
        text = "largest centred square" if geometry == "crop" else "whole frame"
        if cropped and choice == AUTO:
            logger.info(
                "a cropped release is assumed to be framed as %s; set framing.eyes=, "
                "framing.apart= and framing.aspect= to be exact",
                framing,
            )
        kept = framing if cropped else None
        return Framed(tuple(clips), (), geometry, f"{text}, resized", kept)
    return _align(scan, image_size, detector, framing, face)


def _align(scan: Scan, image_size: int, detector: str, framing: Framing, face: Who) -> Framed:
    people = {files.clip.subject for files in scan.clips}
    clips: list[FramedClip] = []
    problems: list[Problem] = []
    aligner: Aligner | None = None
    found = 0
    with logs.progress("aligning faces", total=len(scan.clips), unit="clips") as advance:
        for files in scan.clips:
            advance(1)
            try:
                if files.landmarks is not None and np.isfinite(files.landmarks[0]).all():
                    clips.append(_by_published(files, image_size, framing, problems))
                    continue
                aligner = aligner or Aligner(detector, image_size, framing)
                if face == "all" and files.anyone:
                    each = aligner.align_each(files, problems)
                    _check_new([c.files.clip for c in each], people - {files.clip.subject})
                else:
                    each = [aligner.align(files, problems)]
                clips += map(_by_found, each)
                found += len(each)
            except (FaceError, ValueError) as error:
                problems.append(Problem(files.clip.id, str(error)))
    ways = {"the landmarks published for": len(clips) - found, "the face found in": found}
    by = " or ".join(f"{way} ({count} clips)" for way, count in ways.items() if count)
    text = f"aligned by {by} the onset frame"
    by_whom = aligner.finder.detector if aligner else None
    return Framed(tuple(clips), tuple(problems), "align", text, framing, by_whom)


def _check_new(clips: Sequence[Clip], people: Collection[str]) -> None:
    """Refuse people who were named after their photo as somebody else is."""
    taken = [clip.subject for clip in clips if clip.subject in people]
    if taken:
        raise ValueError(
            f"a face on it would be called {taken[0]}, as a person of another file is: rename one "
            "of the files"
        )


def _by_published(
    files: ClipFiles, image_size: int, framing: Framing, problems: list[Problem]
) -> FramedClip:
    """A clip aligned by its published landmarks; implausible ones are kept, and reported."""
    assert files.landmarks is not None
    alignment = alignment_from_landmarks(files.landmarks[0], image_size, framing)
    off = what_is_odd(files.landmarks[0], image_size, framing)
    if off is not None:
        reason = f"by the landmarks published for its onset frame {off}; it is stored anyway"
        problems.append(Problem(files.clip.id, reason, fatal=False))
    return _framed(files, alignment, files.landmarks)


def _by_found(clip: AlignedClip) -> FramedClip:
    files, known = clip.files, landmarks_of(clip.face)
    if files.landmarks is not None or known is None:
        return _framed(files, clip.alignment, files.landmarks)
    landmarks = np.full((files.clip.num_frames, *known.shape), np.nan, np.float32)
    landmarks[clip.frame] = clip.alignment.apply_points(known)
    return FramedClip(files.clip, files, clip.alignment, landmarks)


def _framed(files: ClipFiles, transform: Transform, landmarks: np.ndarray | None) -> FramedClip:
    moved = None if landmarks is None else transform.apply_points(landmarks).astype(np.float32)
    return FramedClip(files.clip, files, transform, moved)
