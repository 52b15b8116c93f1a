"""Reading the frames of a video file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mersynth.disk.files import check_regular
from mersynth.sources.base import ClipFiles


@dataclass(frozen=True, slots=True)
class VideoFile(ClipFiles):
    """A clip in one video file, the only one in ``frames``; its frames are counted from 0."""

    def read(self) -> Iterator[np.ndarray]:
        """The frames in order, each (H, W, 3) uint8, RGB."""
        return islice(video_frames(self.frames[0]), self.clip.onset, self.clip.offset + 1)


def video_frames(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video, each (H, W, 3) uint8, RGB, as far as they can be read."""
    capture = _opened(path)
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield frame[..., ::-1].copy()
    finally:
        capture.release()


def _opened(path: Path) -> cv2.VideoCapture:
    # Absolute: a colon in a relative name would make what precedes it a protocol.
    return cv2.VideoCapture(str(path.absolute()))


def check_video(path: Path) -> tuple[int, int, float]:
    """Decode a video to its end.

    Returns:
        The number of frames that can be read; the number declared, which for some containers is a
        guess from their duration; and the frames per second.

    Raises:
        ValueError: if no frame can be read, or there is no frame rate; the message gives no path.
    """
    check_regular(path)
    if not path.stat().st_size:
        raise ValueError("the file is empty")
    capture = _opened(path)
    fps, promised = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    if not count:
        raise ValueError("no frame can be read; the file is damaged or not a video")
    if not 0 < fps < float("inf"):
        raise ValueError(f"the video has no valid frame rate (got {fps}); convert it to .mp4 again")
    return count, promised, fps
