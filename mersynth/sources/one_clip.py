"""A single clip outside any database: a folder of frames, or a video."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mersynth.checks import check_whole
from mersynth.clips import Clip
from mersynth.disk.files import real_path
from mersynth.sources.base import ClipFiles, Release, Scan, Source, check_frames, frames_by_number
from mersynth.sources.errors import SourceError
from mersynth.sources.folder import UNLABELLED
from mersynth.sources.video import VideoFile, check_video


class OneClip(Source):
    """One clip of one person.

    ::

        clip/                      either a folder of its frames
            img001.png             the last number in a name is the frame number
            img002.png
            ...
        clip.mp4                   or a video, whose frames are counted from 0

    Args:
        place: the folder, or the video.
        onset, apex, offset: frame numbers; None: the first, unknown, the last.
        release: ``"raw"`` if the frames show more than the face, else ``"cropped"``.
    """

    name = "clip"
    licence = "that of the clip itself: ask the person it shows"
    citation = "none: a clip of your own"
    request = "film it"

    def __init__(
        self,
        place: Path,
        onset: int | None = None,
        apex: int | None = None,
        offset: int | None = None,
        release: Release = "raw",
    ) -> None:
        self.place, self.release = place, release
        self.onset, self.apex, self.offset = onset, apex, offset

    def find_annotations(self, root: Path) -> Path:
        """The clip itself, since there is no annotation."""
        return self.place

    def scan(self, root: Path) -> Scan:
        """Check the clip's frames; see :meth:`Source.scan`. The root is ignored.

        Raises:
            SourceError: if the place does not exist, or holds no frame.
            ValueError: if onset, apex and offset do not fit the frames.
        """
        if self.place.is_dir():
            return self._scan_frames()
        if not self.place.is_file():
            raise SourceError(f"no clip at {self.place}: give a folder of frames, or a video")
        try:
            count, _, fps = check_video(self.place)
        except ValueError as error:
            raise SourceError(f"{self.place}: {error}") from error
        clip = replace(self._clip(range(count)), fps=fps)
        return Scan((VideoFile(clip, (self.place,)),), (), self.release)

    def _scan_frames(self) -> Scan:
        files, problems = frames_by_number(self.place, _number_of, self.place)
        if not files:
            raise SourceError(
                f"{self.place} holds no frames: images with the frame number in their names, such "
                "as img001.png"
            )
        clip = self._clip(sorted(files))
        checked = check_frames(clip, files, self.place, self.place)
        problems += checked.problems
        fatal = any(problem.fatal for problem in problems)
        clips = () if fatal else (ClipFiles(clip, checked.frames),)
        return Scan(clips, tuple(problems), self.release)

    def _clip(self, numbers: Sequence[int]) -> Clip:
        given: Mapping[str, int | None] = {"onset": self.onset, "offset": self.offset}
        for moment, number in given.items():
            if number is not None:
                where = f"{self.place}: {moment}"
                check_whole(where, number, numbers[0], numbers[-1], SourceError)
        name = real_path(self.place).stem
        return Clip(
            source=self.name,
            subject=name,
            name=name,
            onset=numbers[0] if self.onset is None else self.onset,
            apex=self.apex,
            offset=numbers[-1] if self.offset is None else self.offset,
            emotion=UNLABELLED,
        )


def _number_of(stem: str) -> int | None:
    numbers = re.findall(r"\d+", stem)
    return int(numbers[-1]) if numbers else None
