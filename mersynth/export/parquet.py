"""The layout ``parquet``: what ``datasets.load_dataset`` reads, with a dataset card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mersynth import logs
from mersynth.export.dataset_card import dataset_card
from mersynth.export.images import encode_frame, image_facts
from mersynth.export.job import (
    ExportError,
    ImageFormat,
    Job,
    Written,
    flat_names,
    provenance_of,
)
from mersynth.marks import mark_of

if TYPE_CHECKING:
    import pyarrow as pa

FILES = "data/train-*.parquet"
"""The shards, all of one split: which clips may be tested on, their provenance says."""

_FORMATS = ("png", "jpg")
_GROUP = 16  # clips in memory at once, and in a row group, which a reader of one clip reads
_OPTIONAL = ("apex", "apex_method", "template", "generator")  # null, not an empty text


def write_parquet(job: Job, folder: Path) -> Written:
    """Shards of Parquet with one row per clip, and ``README.md``, the dataset card.

    ::

        out/
            README.md
            data/
                train-00000-of-00002.parquet
                train-00001-of-00002.parquet

    The columns::

        frames                  list of images, which `datasets` decodes with Pillow; others read
                                the bytes of each, a PNG, and its file name
        label                   int64, index in the names of the classes
        synthetic               bool, whether a generator made the clip
        intensities             (T, 20, 2) float32, AU intensities, rows as CONDITION_AUS, then
                                the subject's left and right side; NaN: not measured
        landmarks               (T, 68, 2) float32, (x, y) in pixels; NaN: not measured
        dataset, subject, clip  the store's own names; that of a clip is unique within its subject
        emotion, aus            as annotated
        onset, apex, offset     int64, frame numbers; the first of the frames is the onset; the apex
                                is null if there is none
        fps                     float64, frames per second
        strength                micro or macro
        apex_method             how the apex was spotted; null: it was not
        face                    id of the subject whose face is shown
        template                id of the clip whose AU curve is followed; null for a real clip
        generator               SHA-256 of the generator; null for a real clip
        unseen                  list of the ids of subjects that the generator never saw

    The types are in each file's schema, as ``datasets`` (2.14 or newer) reads them, and the
    export's card, as JSON under ``mersynth``.

    Raises:
        ExportError: if the frames are asked for in a format that web viewers do not show.
    """
    import pyarrow.parquet as pq

    settings = job.settings
    form: ImageFormat = settings.format or "png"
    if form not in _FORMATS:
        raise ExportError(f"parquet holds {' and '.join(_FORMATS)}, not format={form}")
    names = flat_names(job.store.clips)
    schema, size = _schema(job), settings.shard_clips
    shards = -(-len(names) // size)
    paths = []
    (folder / FILES).parent.mkdir()
    with logs.progress("writing shards", total=len(names), unit="clips") as advance:
        for shard in range(shards):
            file = FILES.replace("*", f"{shard:05d}-of-{shards:05d}")
            rows = range(shard * size, min((shard + 1) * size, len(names)))
            with pq.ParquetWriter(folder / file, schema) as writer:
                for first in rows[::_GROUP]:
                    group = range(first, min(first + _GROUP, rows.stop))
                    writer.write_table(_table(job, group, names, form, schema))
                    paths += [f"{file}:{names[i]}" for i in group]
                    advance(len(group))
    facts = {"shards": shards, "shard_clips": size, **image_facts(form, settings.quality)}
    (folder / "README.md").write_text(dataset_card(job, FILES), encoding="utf-8")
    return Written(paths, facts)


def _table(
    job: Job, group: Sequence[int], names: Sequence[str], form: ImageFormat, schema: pa.Schema
) -> pa.Table:
    """The rows of some clips."""
    import pyarrow as pa

    rows = []
    for i in group:
        item, row = job.store[i], provenance_of(job, i)
        mark = mark_of([item.clip])
        frames = [
            {
                "bytes": encode_frame(frame, form, job.settings.quality, mark),
                "path": f"{names[i]}_{item.clip.onset + number:05d}.{form}",
            }
            for number, frame in enumerate(item.frames)
        ]
        rows.append(
            {
                **row,
                **{name: row[name] if row[name] != "" else None for name in _OPTIONAL},
                "frames": frames,
                "label": job.data.labels[i],
                "synthetic": item.clip.is_synthetic,
                "intensities": item.intensities.tolist(),
                "landmarks": item.landmarks.tolist(),
                "unseen": list(item.clip.unseen),
            }
        )
    return pa.Table.from_pylist(rows, schema)


def _schema(job: Job) -> pa.Schema:
    """The columns, with the features of ``datasets`` and the export's card as metadata."""
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    label = {"_type": "ClassLabel", "names": list(job.data.classes)}
    per_frame = pa.list_(pa.list_(pa.list_(pa.float32())))
    columns: dict[str, tuple[pa.DataType, Mapping[str, Any]]] = {
        "frames": (pa.list_(image), _list_of({"_type": "Image"})),
        "label": (pa.int64(), label),
        "synthetic": (pa.bool_(), _value("bool")),
        "intensities": (per_frame, _list_of(_list_of(_list_of(_value("float32"))))),
        "landmarks": (per_frame, _list_of(_list_of(_list_of(_value("float32"))))),
        **{n: (pa.string(), _value("string")) for n in ("dataset", "subject", "clip")},
        **{n: (pa.string(), _value("string")) for n in ("emotion", "aus")},
        **{n: (pa.int64(), _value("int64")) for n in ("onset", "apex", "offset")},
        "fps": (pa.float64(), _value("float64")),
        **{n: (pa.string(), _value("string")) for n in ("strength", "apex_method", "face")},
        **{n: (pa.string(), _value("string")) for n in ("template", "generator")},
        "unseen": (pa.list_(pa.string()), _list_of(_value("string"))),
    }
    features = {name: feature for name, (_, feature) in columns.items()}
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}),
        "mersynth": json.dumps(job.card, sort_keys=True),
    }
    return pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata)


def _value(dtype: str) -> dict[str, Any]:
    return {"_type": "Value", "dtype": dtype}


def _list_of(feature: Mapping[str, Any]) -> dict[str, Any]:
    # `List` since version 4 of `datasets`, which reads the older name as well.
    return {"_type": "Sequence", "feature": feature}
