"""Aligns a clip by the face found in it, checks the result, and reports problems.

All frames of a clip share the transform of the first frame that shows a face, which in a database
is the onset. Videos that begin without a face are cut to begin with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mersynth.checks import ranges
from mersynth.face.align import Alignment, alignment_of, what_is_odd
from mersynth.face.detect import DETECTORS, FaceError, FaceFinder, choice_message, places_of
from mersynth.face.face import Face
from mersynth.face.template import HEAD, Framing, five_points
from mersynth.sources.base import ClipFiles
from mersynth.sources.errors import Problem
from mersynth.sources.video import VideoFile

_WIDER = 25  # pixels around the square in which a video's frames are searched for its face
_NARROW = 64  # pixels of that square itself


@dataclass(frozen=True, slots=True)
class AlignedClip:
    """A clip whose face was found.

    Attributes:
        files: the clip; a video without the frames before its face appears.
        alignment: its transform.
        face: the face that gave it, in pixels of the original frame.
        frame: index of that frame in the clip.
    """

    files: ClipFiles
    alignment: Alignment
    face: Face
    frame: int


class Aligner:
    """Aligns clips by the faces found in them.

    Args:
        detector: as for :class:`mersynth.face.detect.FaceFinder`.
        image_size: side of the store's frames, in pixels.
        framing: of the store's frames.
    """

    def __init__(self, detector: str, image_size: int, framing: Framing = HEAD) -> None:
        self.finder = FaceFinder(detector)
        self.image_size = image_size
        self.framing = framing

    def align(self, files: ClipFiles, problems: list[Problem]) -> AlignedClip:
        """Align one clip.

        Args:
            files: the clip.
            problems: list to which warnings about a stored clip are added: several faces, and
                frames without a face.

        Raises:
            FaceError: if no frame shows a face, or the face cannot be brought to its place.
        """
        frame, face, shape = self._first_face(files, problems)
        alignment = self._alignment(face, shape, _place(files, frame))
        if frame:
            files, frame = self._without_beginning(files, frame, problems)
        if isinstance(files, VideoFile) and self.finder.detector != "lbp":
            self._report_faceless(files, face, problems)
        return AlignedClip(files, alignment, face, frame)

    def align_each(self, files: ClipFiles, problems: list[Problem]) -> list[AlignedClip]:
        """Align each face of a photo; of several, each is another person's clip.

        Args:
            files: the photo.
            problems: list to which it is added who was found, and which faces were left out because
                they cannot be aligned.

        Raises:
            FaceError: if there is no face, or none that can be brought to its place.
        """
        (image,) = files.read()
        faces, place = self.finder.find_all(image, exact=None), files.frames[0].name
        if not faces:
            raise FaceError(f"{place}: {self.finder.not_found(image)}")
        people = [files] if len(faces) == 1 else [_person(files, i + 1) for i in range(len(faces))]
        clips, refused = [], []
        for face, own in zip(faces, people, strict=True):
            try:
                alignment = self._alignment(face, image.shape[:2], place)
                clips.append(AlignedClip(own, alignment, face, 0))
            except FaceError as error:
                refused.append((own.clip.id, error))
        if not clips:
            raise refused[0][1]
        if len(faces) > 1:
            names = f"{people[0].clip.subject} to {people[-1].clip.subject}"
            reason = (
                f"{place}: {len(faces)} faces found, each is a person of its own, {names} (in this "
                f"order, left, top, right, bottom: {places_of(faces)})"
            )
            problems.append(Problem(files.clip.id, reason, fatal=False))
        problems += [Problem(who, f"left out: {error}", fatal=False) for who, error in refused]
        return clips

    def _first_face(
        self, files: ClipFiles, problems: list[Problem]
    ) -> tuple[int, Face, tuple[int, int]]:
        """Index of the first frame with a face, the face, and the frame's height and width."""
        said = ""
        for number, image in enumerate(files.read()):
            faces = self.finder.find_all(image)
            if faces:
                if len(faces) > 1:
                    reason = f"{_place(files, number)}: {choice_message(faces)}"
                    if files.anyone:
                        reason += ", or let `mersynth prepare ... face=all` make each a person"
                    problems.append(Problem(files.clip.id, reason, fatal=False))
                return number, faces[0], (image.shape[0], image.shape[1])
            said = said or self.finder.not_found(image)
        many = files.clip.num_frames
        none = "" if many == 1 else f"none of {many} frames shows a face: "
        raise FaceError(f"{files.frames[0].name}: {none}{said}")

    def _alignment(self, face: Face, shape: Sequence[int], place: str) -> Alignment:
        """A face's; one whose aligned eyes and mouth are not in the template's places is refused.

        Raises:
            FaceError: if so.
        """
        alignment = alignment_of(face, self.image_size, self.framing)
        known = face.landmarks if face.landmarks is not None else face.points
        if known is None:
            return alignment
        points = known if face.landmarks is None else five_points(face.landmarks)
        off = what_is_odd(known, self.image_size, self.framing)
        outside = (points < -0.5).any() or (points > np.array(shape[::-1]) - 0.5).any()
        if off is None and outside:
            off = "eyes, nose or mouth lie outside the picture"
        if off is not None:
            raise FaceError(
                f"{place}: the face that {DETECTORS[face.detector]} found cannot be aligned: "
                f"{off}; it may not be a face, or be cut off or turned away. Use another picture, "
                "or prepare without alignment: geometry=crop or geometry=resize"
            )
        return alignment

    def _without_beginning(
        self, files: ClipFiles, frame: int, problems: list[Problem]
    ) -> tuple[ClipFiles, int]:
        """A video without its first frames; a database's clip keeps the frames of its table."""
        first = files.clip.onset
        reason = f"no face in {ranges(range(first, first + frame))}: "
        if isinstance(files, VideoFile):
            reason += f"the clip begins with frame {first + frame}, where a face is found"
            files, frame = replace(files, clip=replace(files.clip, onset=first + frame)), 0
        else:
            reason += f"stored as they are, aligned by the face in frame {first + frame}"
        problems.append(Problem(files.clip.id, reason, fatal=False))
        return files, frame

    def _report_faceless(self, files: VideoFile, face: Face, problems: list[Problem]) -> None:
        """Report which frames of a video show no face in the aligned place."""
        narrow = alignment_of(face, _NARROW)
        matrix = narrow.matrix + np.array([[0, 0, _WIDER], [0, 0, _WIDER]])
        wide = Alignment(matrix, _NARROW + 2 * _WIDER)
        without = [
            files.clip.onset + number
            for number, image in enumerate(files.read())
            if number and not self.finder.sees_face(wide.apply(image))
        ]
        if without:
            many = files.clip.num_frames
            reason = (
                f"no face in the aligned place in {ranges(without)} ({len(without)} of {many} "
                "frames): stored as they are; cut the video to leave them out"
            )
            problems.append(Problem(files.clip.id, reason, fatal=False))


def _person(files: ClipFiles, number: int) -> ClipFiles:
    """The clip of one of several people on a photo."""
    return replace(files, clip=replace(files.clip, subject=f"{files.clip.subject}_face{number}"))


def _place(files: ClipFiles, frame: int) -> str:
    """The file of a clip's frame, and the frame's number if the file holds several."""
    if isinstance(files, VideoFile):
        return f"{files.frames[0].name}, frame {files.clip.onset + frame}"
    return files.frames[frame].name
