"""Spotting movements in a film as cameras record it: faces found, aligned, and followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from mersynth import logs
from mersynth.face.align import Alignment, alignment_of
from mersynth.face.detect import FaceFinder
from mersynth.face.face import Face
from mersynth.motion.movements import REACHES, SIDE, Movement, spot_movements
from mersynth.sources.video import check_video, video_frames

_LOOK = 1.0  # seconds between two looks at where the face is
_SEEK = 0.2  # the same while there is none
_MOVED = 0.06  # of the square's side: a face that has gone so far is aligned anew
_LONGEST = 60.0  # seconds of a stretch, whose frames are kept in memory


class RecordingError(Exception):
    """A film cannot be read, or shows no face for long enough."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames of a film in which a face keeps its place.

    Attributes:
        first, last: frames, from 0.
        box: left, top, right, bottom of the face's surroundings, in pixels.
    """

    first: int
    last: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Recording:
    """What was spotted in a film.

    Attributes:
        path: the film.
        frames: their number.
        fps: frames a second.
        stretches: with a face, by time.
        movements: by time.
    """

    path: Path
    frames: int
    fps: float
    stretches: tuple[Stretch, ...]
    movements: tuple[Movement, ...]

    def stretch_of(self, movement: Movement) -> Stretch:
        """The stretch that a movement lies in."""
        return next(s for s in self.stretches if s.first <= movement.onset <= s.last)


def spot_recording(path: Path, detector: str = "auto", threshold: float = 5.0) -> Recording:
    """Spot the movements of the largest face in a film.

    The face is looked for once a second. While it keeps its place, all frames are aligned alike;
    when it has moved on, or disappears and comes back, a new stretch begins. A movement across two
    stretches is not seen.

    Args:
        path: a video.
        detector: as for :class:`mersynth.face.detect.FaceFinder`.
        threshold: as for :func:`mersynth.motion.movements.spot_movements`.

    Raises:
        RecordingError: if there is no such film, it cannot be read, or shows no face for long
            enough.
    """
    if not path.is_file():
        raise RecordingError(f"there is no video {path}")
    try:
        count, _, fps = check_video(path)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from error
    follower = _Follower(FaceFinder(detector), fps)
    with logs.progress("spotting movements", total=count, unit="frames") as advance:
        for number, image in enumerate(video_frames(path)):
            if done := follower.take(number, image):
                done.spot(threshold)
            advance(1)
        if done := follower.end():
            done.spot(threshold)
    followed = follower.followed
    if not followed:
        raise RecordingError(
            f"{path}: no face can be followed for {2 * REACHES[0]:g} s or more: in which frames "
            "does it look into the camera, at 64 pixels or more?"
        )
    movements = tuple(movement for each in followed for movement in each.movements)
    return Recording(path, count, fps, tuple(each.stretch for each in followed), movements)


class _Followed:
    """A stretch with its frames, until movements are spotted in it."""

    def __init__(self, first: int, face: Face, image: np.ndarray, fps: float) -> None:
        self.first, self.fps = first, fps
        self.alignment = alignment_of(face, SIDE)
        self.points = self.place_of(face)
        self.box = _surroundings(self.alignment, image.shape)
        self.pictures: list[np.ndarray] = []
        self.count = 0
        self.movements: list[Movement] = []

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.first, self.first + self.count - 1, self.box)

    def place_of(self, face: Face) -> np.ndarray:
        """Known points of a face in the square of this stretch."""
        box = np.reshape(np.asarray(face.box, float), (2, 2))
        return self.alignment.apply_points(box if face.points is None else face.points)

    def add(self, image: np.ndarray) -> None:
        self.pictures.append(cv2.cvtColor(self.alignment.apply(image), cv2.COLOR_RGB2GRAY))
        self.count += 1

    def left_by(self, face: Face) -> bool:
        """Whether a face has another place, or size."""
        moved = np.linalg.norm(self.place_of(face) - self.points, axis=-1).mean()
        return bool(moved > _MOVED * SIDE)

    def spot(self, threshold: float) -> None:
        frames = torch.from_numpy(np.stack(self.pictures))[:, None].float() / 255
        self.pictures.clear()
        self.movements = [
            replace(
                each,
                onset=self.first + each.onset,
                apex=self.first + each.apex,
                offset=self.first + each.offset,
            )
            for each in spot_movements(frames, self.fps, threshold)
        ]


class _Follower:
    """Divides a film into stretches, frame by frame."""

    def __init__(self, finder: FaceFinder, fps: float) -> None:
        self.finder, self.fps = finder, fps
        self.followed: list[_Followed] = []
        self.now: _Followed | None = None

    def take(self, number: int, image: np.ndarray) -> _Followed | None:
        """Take the next frame; a stretch that is over is given back."""
        over = None
        if self.now is None:
            if number % max(1, round(_SEEK * self.fps)) == 0:
                self._begin(number, self._face(image), image)
        elif self.now.count % max(1, round(_LOOK * self.fps)) == 0:
            face = self._face(image)
            long = self.now.count >= _LONGEST * self.fps
            if face is None or long or self.now.left_by(face):
                over = self.end()
                self._begin(number, face, image)
        if self.now is not None:
            self.now.add(image)
        return over

    def end(self) -> _Followed | None:
        """End the stretch; None if it is too short."""
        over, self.now = self.now, None
        if over is None or over.count <= 2 * max(1, round(REACHES[0] * self.fps)):
            return None
        self.followed.append(over)
        return over

    def _face(self, image: np.ndarray) -> Face | None:
        faces = self.finder.find_all(image)
        return faces[0] if faces else None

    def _begin(self, number: int, face: Face | None, image: np.ndarray) -> None:
        if face is not None:
            self.now = _Followed(number, face, image, self.fps)


def _surroundings(alignment: Alignment, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The aligned square and half of its side around it, within an image."""
    back = cv2.invertAffineTransform(alignment.matrix)
    ends = np.array([-0.5, 1.5]) * alignment.image_size
    corners = np.array([(x, y, 1.0) for x in ends for y in ends]) @ back.T
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    height, width = shape[:2]
    return (
        max(0, int(left)),
        max(0, int(top)),
        min(width, int(right) + 1),
        min(height, int(bottom) + 1),
    )
