"""The layout ``mp4``, and clips as films to look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mersynth import logs
from mersynth.checks import check_choice
from mersynth.disk.files import file_name, whole_file
from mersynth.disk.full_disk import free_space
from mersynth.disk.scratch import scratch_folder
from mersynth.export.job import ExportError, Job, Written, flat_names
from mersynth.marks import Mark, mark_mp4, mark_of
from mersynth.synthesis.pictures import save_gif

FILMS = (".mp4", ".gif")
"""What a clip is written to, to be looked at."""

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
            mark_mp4(folder / paths[-1], mark_of([item.clip]))
            advance(1)
    return Written(paths, {"codec": codec, "lossless": False})


def _rate(fps: float) -> float:
    return float(round(fps)) if fps > _MOST_FPS else max(round(fps, 2), 0.01)


def write_video(path: Path, frames: np.ndarray, fps: float, codec: str) -> None:
    """Write frames (T, H, W, 3) uint8 RGB of even sides, ``fps`` a second, as OpenCV can.

    Raises:
        OSError: if it cannot, or the disk is full.
    """
    fps = _rate(fps)
    height, width = frames.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    for frame in frames if writer.isOpened() else ():
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    # OpenCV does not tell that a disk is full.
    written = max(0.0, cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
    if written != len(frames):
        raise OSError(
            f"OpenCV cannot write {path.name} as {codec} at {fps} frames per second to a disk with "
            f"{free_space(path)} free: {written:.0f} of {len(frames)} frames were written"
        )


def check_film(path: Path, side: int) -> None:
    """Check, before any work is done, that :func:`save_film` can write frames to a path.

    Args:
        path: of the file.
        side: of the frames, in pixels.

    Raises:
        ValueError: if it ends in neither ``.mp4`` nor ``.gif``, or exists, or an ``.mp4`` would
            have odd sides.
        FileNotFoundError: if its folder does not exist.
    """
    check_choice(f"the ending of {path}", path.suffix, FILMS)
    if path.exists():
        raise ValueError(f"{path} exists already; remove it or choose another name")
    if path.suffix == ".mp4" and side % 2:
        raise ValueError(
            f"{path}: an .mp4 needs frames with an even side, these have {side} pixels"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")


def save_film(path: Path, frames: np.ndarray, fps: float, mark: Mark | None) -> None:
    """Write frames to an ``.mp4`` at their own speed, or to a ``.gif``, slowed down.

    Args:
        path: of the file.
        frames: (T, H, W, 3) uint8, RGB, of even sides.
        fps: frames per second.
        mark: of the clips shown; None if none of them is synthetic.

    Raises:
        OSError: if OpenCV cannot write such a video.
    """
    # OpenCV knows the format by the name, which a file in the making does not have.
    with scratch_folder() as folder, whole_file(path) as partial:
        made = folder / path.name
        if path.suffix == ".gif":
            save_gif([Image.fromarray(frame) for frame in frames], made, mark)
        else:
            write_video(made, frames, fps, "mp4v")
            mark_mp4(made, mark)
        shutil.copyfile(made, partial)
