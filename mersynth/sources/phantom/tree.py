"""A rendered tree in a real database's layout: a dress rehearsal for a lab that has the labels.

Every clip of the annotation table is rendered, by phantom subjects in the place of the real ones,
into the folders and file names that the database publishes, beside a copy of the table.
"""

from __future__ import annotations

import fnmatch
import logging
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from mersynth import logs
from mersynth.clips import Clip, Strength
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.sources.casme2 import CASME2
from mersynth.sources.errors import SourceError
from mersynth.sources.phantom.population import ClipSpec, render_clip
from mersynth.sources.samm import SAMM
from mersynth.sources.table_source import TableSource

logger = logging.getLogger(__name__)

_DATABASES: dict[str, TableSource] = {"casme2": CASME2(), "samm": SAMM()}
# The phantom subject that stands for subject 1 of a database.
_FIRST_SUBJECT = {"casme2": 200, "samm": 300}
_JPEG_QUALITY = 95


def write_tree(
    table: Path,
    layout: Literal["casme2", "samm"],
    out: Path,
    *,
    limit: int | None = None,
    image_size: int = 128,
    seed: int = 0,
    strength: Strength = "micro",
) -> Path:
    """Render the clips of a real annotation table into the database's own layout.

    Frames onset..offset of each clip are written as JPEG, called ``img46.jpg`` (CASME II) or
    ``006_05562.jpg`` (SAMM). A clip whose AUs its coder could not name shows none; where the table
    gives no apex the movement peaks in the middle; AUs that the phantom has not are left out. All
    of that is logged.

    Args:
        table: the annotation table (.xlsx), of a name that ``prepare`` will find.
        layout: whose folders: ``"casme2"`` or ``"samm"``.
        out: the new tree.
        limit: only this many clips, the table's first; ``prepare`` then needs ``--skip-bad``, since
            the table lists more.
        image_size: side of the square frames, in pixels.
        seed: determines movements and noise.
        strength: ``"micro"`` or ``"macro"``.

    Returns:
        ``out``, once it is whole.

    Raises:
        ValueError: if the layout is unknown, the limit not positive, or the table's name is not the
            database's.
        FileExistsError: if ``out`` exists.
        SourceError: if the table cannot be read, or has no clip to render.
    """
    out = Path(out)
    _check(table, layout, out, limit)
    rows, problems = _DATABASES[layout].read_annotations(table)
    for problem in problems:
        logger.warning("%s", problem)
    clips = [replace(row.clip, strength=strength) for row in rows if row.clip is not None][:limit]
    if not clips:
        raise SourceError(f"{table} has no clip that can be rendered")
    if len(clips) < len(rows):
        logger.warning(
            "%d of %d clips are rendered: prepare needs --skip-bad", len(clips), len(rows)
        )
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _render(clips, layout, partial, image_size, seed)
        shutil.copyfile(table, partial / table.name)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info(
        "%s: %d clips; next: mersynth prepare --source %s --root %s", out, len(clips), layout, out
    )
    return out


def _render(clips: list[Clip], layout: str, folder: Path, image_size: int, seed: int) -> None:
    total = sum(clip.num_frames for clip in clips)
    with logs.progress(f"rendering {layout}", total=total, unit="frames") as advance:
        # A subject's clips one after another, so that each head is built once.
        for clip in sorted(clips, key=lambda clip: clip.subject):
            _report(clip)
            frames, _, _ = render_clip(_spec(clip, layout, seed), image_size)
            _write_frames(folder / clip.subject / clip.name, clip, layout, frames)
            advance(clip.num_frames)


def _check(table: Path, layout: str, out: Path, limit: int | None) -> None:
    if layout not in _FIRST_SUBJECT:
        raise ValueError(f"layout must be one of {', '.join(_FIRST_SUBJECT)}, got {layout!r}")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit must be a whole number, 1 or more, or left out, got {limit!r}")
    pattern = _DATABASES[layout].table_pattern
    if not fnmatch.fnmatch(table.name, pattern):
        raise ValueError(
            f"{table.name} is not what {layout} calls its table ({pattern}); prepare would not "
            "find it: give the table its official name"
        )
    if out.exists():
        raise FileExistsError(f"{out} exists already; remove it or choose another --out")


def _spec(clip: Clip, layout: str, seed: int) -> ClipSpec:
    digits = re.sub(r"\D", "", clip.subject)
    number = _FIRST_SUBJECT[layout] + int(digits)
    return ClipSpec(clip, number, (seed, zlib.crc32(clip.id.encode())))


def _report(clip: Clip) -> None:
    """Tell what a clip's annotation leaves open, and what the phantom cannot show of it."""
    cell = parse_au_cell(clip.aus)
    if clip.apex is None:
        logger.warning("%s: no apex is given, the movement peaks in the middle", clip.id)
    if not cell.groups:
        logger.warning("%s: AU cell %r names no AU, so none is shown", clip.id, clip.aus)
    absent = {event.number for event in cell.events} - {*CONDITION_AUS, 45}
    if absent:
        names = ", ".join(str(number) for number in sorted(absent))
        logger.warning("%s: AU %s of %r is not among the phantom's", clip.id, names, clip.aus)


def _write_frames(folder: Path, clip: Clip, layout: str, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, clip.onset):
        name = f"img{number}" if layout == "casme2" else f"{clip.subject}_{number:05d}"
        path = folder / f"{name}.jpg"
        if not cv2.imwrite(
            str(path), frame[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        ):
            raise OSError(f"{path} could not be written")
