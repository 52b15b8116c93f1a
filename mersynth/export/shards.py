"""The layout ``webdataset``: tar shards with one sample per clip."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from mersynth import logs
from mersynth.export.images import encode_frame, image_facts
from mersynth.export.job import (
    ExportError,
    ExportSettings,
    ImageFormat,
    Job,
    Written,
    flat_names,
    provenance_of,
)
from mersynth.marks import mark_of
from mersynth.store.clip_store import StoredClip

# Extensions that the library's decoder treats as images.
_FORMATS = ("png", "jpg")


def write_webdataset(job: Job, folder: Path) -> Written:
    """Shards for the ``webdataset`` library: one sample per clip, its files side by side.

    ::

        out/
            shard-000000.tar
                samm_006_synthetic_00012.000.png    frames in order
                samm_006_synthetic_00012.001.png
                ...
                samm_006_synthetic_00012.cls        index of the class
                samm_006_synthetic_00012.json       class, frame rate, provenance
            shard-000001.tar
            ...

    Clips are shuffled over the shards, because shards are read sequentially. The same store and
    seed give the same bytes: times and owners in the tar files are fixed.

    Raises:
        ExportError: if the frames are asked for in a format that the library does not decode.
    """
    settings = job.settings
    form = settings.format or "png"
    if form not in _FORMATS:
        raise ExportError(f"webdataset decodes {' and '.join(_FORMATS)}, not format={form}")
    names = flat_names(job.store.clips)
    order = np.random.default_rng(job.seed).permutation(len(names)).tolist()
    digits = max(3, len(str(max(clip.num_frames for clip in job.store.clips) - 1)))
    paths = [""] * len(names)
    size = settings.shard_clips
    with logs.progress("writing shards", total=len(names), unit="clips") as advance:
        for shard, first in enumerate(range(0, len(order), size)):
            file = f"shard-{shard:06d}.tar"
            with tarfile.open(folder / file, "w") as tar:
                for i in order[first : first + size]:
                    row = provenance_of(job, i)
                    sample = _sample(job.store[i], job.data.labels[i], row, settings, digits)
                    _add(tar, names[i], sample)
                    paths[i] = f"{file}:{names[i]}"
                    advance(1)
    shards = -(-len(order) // size)
    facts = {"shards": shards, "shard_clips": size, **image_facts(form, settings.quality)}
    return Written(paths, facts)


def _sample(
    item: StoredClip, label: int, row: dict[str, Any], settings: ExportSettings, digits: int
) -> dict[str, bytes]:
    """The files of a sample, by their extensions."""
    form: ImageFormat = settings.format or "png"
    mark = mark_of([item.clip])
    files = {
        f"{i:0{digits}d}.{form}": encode_frame(frame, form, settings.quality, mark)
        for i, frame in enumerate(item.frames)
    }
    files["cls"] = str(label).encode()
    files["json"] = json.dumps({**row, "label": label}, sort_keys=True).encode()
    return files


def _add(tar: tarfile.TarFile, name: str, files: dict[str, bytes]) -> None:
    for ending, content in files.items():
        info = tarfile.TarInfo(f"{name}.{ending}")  # of time 0 and owner 0
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
