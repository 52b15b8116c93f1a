"""The layout ``mp4``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mersynth import logs
from mersynth.export.job import ExportError, Job, Written, flat_names
from mersynth.files import file_name

# The mp4v standard stores the frame rate as a fraction of 16-bit numbers.
_MOST_FPS = 655


def write_mp4(job: Job, folder: Path) -> Written:
    """One folder per class, one video per clip: ``out/anger/samm_006_synthetic_00012.mp4``.

    MPEG-4 Part 2 (``mp4v``) or VP9 (``vp09``) at the clip's frame rate, rounded to hundredths. The
    videos are lossy; at the least, colour has half the resolution. To measure motion, use a layout
    with exact frames.

    Raises:
        ExportError: if the frames have an odd side.
        OSError: if OpenCV cannot write such a video.
    """
    side = job.store.image_size
    if side % 2:
        raise ExportError(
            f"mp4 needs frames with an even side, {job.store.path} has {side} pixels; prepare it "
            f"with --image-size {side + 1}, or use another layout"
        )
    codec = job.settings.codec
    paths = []
    with logs.progress("writing videos", total=len(job.store), unit="clips") as advance:
        named = zip(job.store, flat_names(job.store.clips), job.class_names, strict=True)
        for item, name, label in named:
            place = file_name(label)
            (folder / place).mkdir(exist_ok=True)
            paths.append(f"{place}/{name}.mp4")
            write_video(folder / paths[-1], item.frames, item.clip.fps, codec)
            advance(1)
    return Written(paths, {"codec": codec, "lossless": False})


def _rate(fps: float) -> float:
    return float(round(fps)) if fps > _MOST_FPS else max(round(fps, 2), 0.01)


def write_video(path: Path, frames: np.ndarray, fps: float, codec: str) -> None:
    """Write frames (T, H, W, 3) uint8 RGB of even sides, ``fps`` a second, as OpenCV can.

    Raises:
        OSError: if it cannot.
    """
    fps = _rate(fps)
    height, width = frames.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    try:
        if not writer.isOpened():
            raise OSError(f"OpenCV cannot write {path.name} as {codec} at {fps} frames per second")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()
