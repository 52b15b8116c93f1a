"""Frames as image files, and the layout ``imagefolder``."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from mersynth import logs
from mersynth.clips import Clip
from mersynth.disk.files import file_name
from mersynth.export.job import (
    ExportSettings,
    ImageFormat,
    Job,
    Written,
    flat_names,
)
from mersynth.marks import Mark, mark_of, picture_options


def encode_frame(
    frame: np.ndarray, form: ImageFormat, quality: int, mark: Mark | None = None
) -> bytes:
    """A frame as the bytes of an image file.

    Args:
        frame: (H, W, 3) uint8, RGB.
        form: ``"png"`` and ``"bmp"`` are exact; ``"jpg"`` keeps the full resolution of colour.
        quality: of JPEG, 1 to 100.
        mark: of the clip, if it is synthetic; BMP has no place for one.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(frame)
    marked = picture_options(f".{form}", mark)
    if form == "jpg":
        # Chroma subsampling would halve the resolution of changes in skin colour.
        image.save(buffer, "JPEG", quality=quality, subsampling=0, **marked)
    elif form == "png":
        # zlib's usual search for repeats takes twice to five times as long, the more the smoother
        # an image is, and finds next to none: files are as large without it.
        image.save(buffer, "PNG", compress_type=zlib.Z_RLE, **marked)
    else:
        image.save(buffer, "BMP")
    return buffer.getvalue()


def image_facts(form: ImageFormat, quality: int) -> dict[str, object]:
    """Facts about the frames' files for the card."""
    return {"format": form, "lossless": form != "jpg"} | (
        {"quality": quality} if form == "jpg" else {}
    )


def apex_fault(clip: Clip, settings: ExportSettings) -> str | None:
    """Why a clip's apex cannot be exported; None if it exists or is not needed."""
    return None if settings.frames == "all" else lacks_apex(clip)


def lacks_apex(clip: Clip) -> str | None:
    """The message about a clip without apex."""
    if clip.apex is not None:
        return None
    return "it has no apex; `mersynth prepare ... apex=strain` spots apexes"


def write_imagefolder(job: Job, folder: Path) -> Written:
    """One folder per class, for ``torchvision.datasets.ImageFolder``; one image per frame.

    ::

        out/
            anger/samm_006_synthetic_00012_00000.png    source, subject, clip, frame
            ...

    ``ImageFolder`` numbers the classes alphabetically, whatever their order in the scheme.
    """
    settings = job.settings
    form = settings.format or "png"
    paths = []
    total = len(job.store)
    with logs.progress("writing images", total=total, unit="clips") as advance:
        named = zip(job.store, flat_names(job.store.clips), job.class_names, strict=True)
        for item, name, label in named:
            place = file_name(label)
            (folder / place).mkdir(exist_ok=True)
            clip = item.clip
            index = clip.apex_index if settings.frames == "apex" else None
            shown = range(clip.num_frames) if index is None else [index]
            mark = mark_of([clip])
            for i in shown:
                file = folder / place / f"{name}_{clip.onset + i:05d}.{form}"
                file.write_bytes(encode_frame(item.frames[i], form, settings.quality, mark))
            paths.append(f"{place}/{name}_*.{form}")
            advance(1)
    order = sorted(file_name(name) for name in set(job.class_names))
    facts = {"class_to_idx": {name: i for i, name in enumerate(order)}, "frames": settings.frames}
    return Written(paths, {**image_facts(form, settings.quality), **facts})
