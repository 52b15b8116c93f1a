"""The layout ``meb``: clips, and a data frame for the validators of MEB.

Source: Varanka et al., Data Leakage and Evaluation Issues in Micro-Expression Analysis, 2022,
https://github.com/tvaranka/meb.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mersynth import logs
from mersynth.export.arrays import computed_features
from mersynth.export.images import encode_frame, image_facts
from mersynth.export.job import ExportError, ImageFormat, Job, Written, flat_names
from mersynth.facs.action_units import parse_au_cell
from mersynth.marks import mark_of

logger = logging.getLogger(__name__)

TABLE = "data_frame.csv"
FLOW = "optical_flow.npy"

# Of MEB's default configuration, which needs a column of each.
_DEFAULT_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)


def write_meb(job: Job, folder: Path) -> Written:
    """Frames, flow, and the table that MEB calls the data frame.

    ::

        out/
            data_frame.csv        one row per clip
            optical_flow.npy      (N, 3, size, size) float32: u, v, strain; a row for each of these
            frames/samm_006_006_1_2/img05562.jpg

    To use them with MEB installed::

        df = pandas.read_csv("out/data_frame.csv", dtype={"material": str})
        core.IndividualDatasetAUValidator(Config).validate(df, numpy.load("out/optical_flow.npy"))

    The columns of the table::

        subject                 id, "samm/006": MEB's folds must not join people of two databases
        material                the clip's name
        onset, apex, offset     frame numbers, those of the files
        apexf, n_frames         the apex counted from the onset, 0; the number of frames
        emotion                 class in the label scheme
        AU                      the annotated cell
        dataset                 the database
        path                    folder of the frames
        synthetic, face,        provenance of synthetic clips, as in provenance.csv
        template, generator
        AU1, AU2, ...           1 for an AU that the cell names without alternatives, else 0; empty
                                if the clip has no annotated AUs

    Rows are sorted by database and subject, and so are those of the flow: MEB pools predictions
    fold by fold but compares them with the labels row by row, which agree only if the rows of a
    fold follow each other.

    Raises:
        ExportError: if the frames are asked for as PNG.
    """
    settings, clips = job.settings, job.store.clips
    form: ImageFormat = settings.format or "jpg"
    if form == "png":
        raise ExportError(
            "MEB reads the frames of PNG files as black; use format=jpg, or format=bmp for exact "
            "frames"
        )
    if any(clip.is_synthetic for clip in clips):
        logger.warning(
            "MEB's validators train and test on every row, whoever a synthetic clip shows or "
            "follows: their figures may include tested people in training"
        )
    paths = [f"frames/{name}" for name in flat_names(clips)]
    order = sorted(range(len(clips)), key=lambda i: (clips[i].source, clips[i].subject_id, i))
    with computed_features(job, folder) as (flow, facts):
        np.save(folder / FLOW, flow[order])
    with logs.progress("writing images", total=len(clips), unit="clips") as advance:
        for item, path in zip(job.store, paths, strict=True):
            (folder / path).mkdir(parents=True)
            mark = mark_of([item.clip])
            for number, frame in enumerate(item.frames, item.clip.onset):
                file = folder / path / f"img{number:05d}.{form}"
                file.write_bytes(encode_frame(frame, form, settings.quality, mark))
            advance(1)
    _write_table(folder / TABLE, job, order, paths)
    return Written(paths, {**facts, **image_facts(form, settings.quality)})


def _write_table(path: Path, job: Job, order: Sequence[int], paths: Sequence[str]) -> None:
    import pandas as pd

    clips, emotions = job.store.clips, job.class_names
    shown = {i: parse_au_cell(clips[i].aus).numbers for i in order}
    aus = sorted({*_DEFAULT_AUS, *(au for numbers in shown.values() for au in numbers)})
    rows: list[dict[str, Any]] = []
    for i in order:
        clip = clips[i]
        annotated = bool(clip.aus.strip())
        rows.append(
            {
                "subject": clip.subject_id,
                "material": clip.name,
                "onset": clip.onset,
                "apex": clip.apex,
                "apexf": clip.apex_index,
                "offset": clip.offset,
                "n_frames": clip.num_frames,
                "emotion": emotions[i],
                "AU": clip.aus,
                "dataset": clip.source,
                "path": paths[i],
                "synthetic": clip.is_synthetic,
                "face": clip.subject_id,
                "template": clip.template,
                "generator": clip.generator,
                **{f"AU{au}": int(au in shown[i]) if annotated else None for au in aus},
            }
        )
    pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")
