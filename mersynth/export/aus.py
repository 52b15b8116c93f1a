"""AU intensities as OpenFace writes them: ``mersynth export --aus csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mersynth import logs
from mersynth.export.job import Job, Written, flat_names
from mersynth.face.openface import CONDITION_AU, INTENSITIES, PRESENCES, SCALE
from mersynth.facs.action_units import CONDITION_AUS, stronger_side
from mersynth.store.clip_store import StoredClip

AUS_FOLDER = "aus"
"""Where the files are beside another layout."""

_PRESENT = 1.0  # on the scale of 0 to 5: the least intensity of an AU that is there
_HEADER = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"AU{au:02d}_r" for au in INTENSITIES),
    *(f"AU{au:02d}_c" for au in PRESENCES),
)


def write_openface(job: Job, folder: Path) -> Written:
    """The layout ``openface``: the files of :func:`write_aus` alone."""
    return Written(write_aus(job, folder), {"images": False})


def write_aus(job: Job, folder: Path) -> list[str]:
    """Write one CSV file per clip, ``source_subject_name.csv``, with the columns of OpenFace 2.

    ``mersynth prepare --intensities openface=DIR`` reads them back.

    ``frame`` counts the clip's frames from 1, ``timestamp`` is in seconds. ``AU01_r`` ... are
    intensities of 0 to 5, of the stronger side, with nine digits, which give back the store's
    values; ``AU45_r`` is AU 43. ``AU01_c`` ... are 1 where the intensity is 1 or more, OpenFace's
    least intensity of an AU that is present. Cells of AUs that were not measured are empty. A frame
    of which nothing was measured has ``success`` and ``confidence`` 0, all others 1. AUs 11 and 24,
    and the intensity of 28, have no column.

    Returns:
        The files' names, in the order of the clips.
    """
    names = [f"{name}.csv" for name in flat_names(job.store.clips)]
    with logs.progress("writing AUs", total=len(names), unit="clips") as advance:
        for item, name in zip(job.store, names, strict=True):
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([_HEADER, *_rows(item)])
            advance(1)
    return names


def _rows(item: StoredClip) -> Iterator[list[str]]:
    scaled = SCALE * stronger_side(np.asarray(item.intensities, np.float64))
    for number, values in enumerate(scaled):
        known = int(np.isfinite(values).any())
        yield [
            *(str(number + 1), "0", f"{number / item.clip.fps:.3f}", str(known), str(known)),
            *(_cell(value) for value in _of(values, INTENSITIES)),
            *(_presence(value) for value in _of(values, PRESENCES)),
        ]


def _of(values: np.ndarray, aus: tuple[int, ...]) -> list[float]:
    return [values[CONDITION_AUS.index(CONDITION_AU[au])] for au in aus]


def _presence(value: float) -> str:
    return "" if np.isnan(value) else str(int(value >= _PRESENT))


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.9g}"
