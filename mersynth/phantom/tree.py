"""A rendered tree in a real database's layout, to rehearse with before the real images arrive.

Every clip of the annotation table is rendered with phantom subjects instead of the real ones, in
the database's own folders and file names, with a copy of the table.
"""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from mersynth import __version__, logs
from mersynth.checks import check_choice
from mersynth.clips import Clip, Strength
from mersynth.disk.files import whole_folder
from mersynth.disk.lock import hold
from mersynth.face.template import AUTO, HEAD, TIGHT, Framing, FramingChoice
from mersynth.facs.action_units import CONDITION_AUS, parse_au_cell
from mersynth.phantom.capture import LAB, Capture
from mersynth.phantom.layouts import Layout, choose_layout, with_prototype
from mersynth.phantom.population import ClipSpec, render_clip
from mersynth.phantom.variety import WIDE, Population
from mersynth.sources.base import Release
from mersynth.sources.errors import SourceError

logger = logging.getLogger(__name__)

RECORD = "rendered.json"
"""The file of a tree that says how it was rendered."""

_JPEG_QUALITY = 95


def write_tree(
    table: Path,
    layout: Literal["casme2", "samm", "smic"],
    out: Path,
    *,
    limit: int | None = None,
    image_size: int = 128,
    seed: int = 0,
    strength: Strength = "micro",
    release: Release = "cropped",
    framing: FramingChoice = AUTO,
    population: Population = WIDE,
    capture: Capture = LAB,
) -> Path:
    """Render the clips of a real annotation table into the database's own layout.

    Frames onset..offset of each clip are written under the names of a release, by default the
    cropped one: ``reg_img46.jpg`` (CASME II), ``006_05562.jpg`` (SAMM), and for SMIC's high-speed
    camera ``image302330.jpg`` in the folders of SMIC-E for its table, or those of SMIC_all_cropped,
    ``reg_image00001.bmp``, for MEGC2019's list (.csv), which gives no frame numbers: every clip
    then has 34 frames, the mean of SMIC's table. Frames of the raw release show the whole head and
    its surroundings, in the shape of the database's.

    A clip whose AUs the coder could not name shows none. SMIC's clips, which have no AUs, show an
    AU prototype of their emotion (``facs.emotions.prototypes``), drawn with the seed. Where the
    table gives no apex, the movement peaks in the middle; AUs that the phantom lacks are left out.
    All of this is logged. ``rendered.json`` in the tree records how it was rendered.

    Args:
        table: the annotation table (.xlsx or .csv) under its official name, so that ``prepare``
            finds it, or MEGC2019's list (.csv).
        layout: the database to imitate: ``"casme2"``, ``"samm"`` or ``"smic"``.
        out: the new tree.
        limit: render only the first clips of the table; ``prepare`` then needs ``--skip-bad``,
            since the table lists more.
        image_size: side of the square frames, in pixels; height of raw frames.
        seed: determines movements and noise.
        strength: ``"micro"`` or ``"macro"``.
        release: ``"cropped"`` or ``"raw"``.
        framing: where the faces lie in the frames, or in the middle square of raw frames; by
            default ``TIGHT`` in a cropped release and ``HEAD`` in a raw one.
        population: how people look and are recorded.
        capture: what clips show besides the expression.

    Returns:
        ``out``.

    Raises:
        ValueError: if the layout or the release is unknown, the limit not positive, a number of the
            framing impossible, or the table's name is not the database's.
        FileExistsError: if ``out`` exists.
        InUseError: if another process is writing ``out``.
        SourceError: if the table cannot be read, or has no clip to render.
    """
    out = Path(out)
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit must be a whole number, 1 or more, or left out, got {limit!r}")
    check_choice("release", release, ("cropped", "raw"))
    chosen = choose_layout(table, layout)
    shot = _Shot.of(chosen, release, framing, image_size, population, capture)
    with hold(out):
        if out.exists():
            raise FileExistsError(f"{out} exists already; remove it or choose another --out")
        listed = chosen.clips(table)
        clips = [replace(clip, strength=strength) for clip in listed if clip is not None][:limit]
        if not clips:
            raise SourceError(f"{table} has no clip that can be rendered")
        if chosen.with_table and len(clips) < len(listed):
            logger.warning(
                "%d of %d clips are rendered: prepare needs --skip-bad", len(clips), len(listed)
            )
        with whole_folder(out) as partial:
            _render(clips, chosen, partial, shot, seed)
            if chosen.with_table:
                shutil.copyfile(table, partial / table.name)
            record = shot.record() | {"layout": layout, "seed": seed, "strength": strength}
            (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    logger.info(
        "%s: %d clips; next: mersynth prepare --source %s --root %s", out, len(clips), layout, out
    )
    return out


@dataclass(frozen=True, slots=True)
class _Shot:
    """How clips are rendered: as squares of which the middle rows are kept.

    Attributes:
        release: release that the frames imitate.
        size: side of the square, in pixels.
        rows: how many rows are kept.
        framing: of the square.
        population: how people look and are recorded.
        capture: what moves besides the expression.
    """

    release: Release
    size: int
    rows: int
    framing: Framing
    population: Population
    capture: Capture

    @classmethod
    def of(
        cls,
        layout: Layout,
        release: Release,
        choice: FramingChoice,
        rows: int,
        population: Population,
        capture: Capture,
    ) -> _Shot:
        framing = choice.framing(TIGHT if release == "cropped" else HEAD)
        if release == "cropped":
            return cls(release, rows, rows, framing, population, capture)
        width, height = layout.raw_shape
        size = 2 * math.ceil(rows * width / height / 2)
        share = rows / size
        eyes = (1 - share) / 2 + share * framing.eyes
        framing = Framing(eyes, share * framing.apart, framing.aspect)
        return cls(release, size, rows, framing, population, capture)

    def render(self, spec: ClipSpec) -> np.ndarray:
        """(T, rows, size, 3) uint8."""
        frames, _, _ = render_clip(
            spec,
            self.size,
            framing=self.framing,
            population=self.population,
            capture=self.capture,
        )
        top = (self.size - self.rows) // 2
        return frames[:, top : top + self.rows]

    def record(self) -> dict[str, Any]:
        """How the tree is rendered, for its ``rendered.json``."""
        return {
            "licence": "rendered, no real person: free to use",
            "mersynth": __version__,
            "release": self.release,
            "image_size": self.rows,
            "framing": self.framing.as_dict(),
            "population": self.population.as_dict(),
            "capture": self.capture.as_dict(),
        }


def _render(clips: list[Clip], layout: Layout, folder: Path, shot: _Shot, seed: int) -> None:
    if not layout.has_aus:
        logger.warning(
            "%s has no AUs and no apex: every clip shows an AU prototype of its emotion, and peaks "
            "in the middle",
            layout.source,
        )
        clips = [with_prototype(clip, seed) for clip in clips]
    total = sum(clip.num_frames for clip in clips)
    with logs.progress(f"rendering {layout.source}", total=total, unit="frames") as advance:
        # A subject's clips one after another, so that each head is built once.
        for clip in sorted(clips, key=lambda clip: clip.subject):
            _report(clip, layout)
            frames = shot.render(_spec(clip, layout, seed))
            _write_frames(folder, clip, layout, shot.release, frames)
            advance(clip.num_frames)


def _spec(clip: Clip, layout: Layout, seed: int) -> ClipSpec:
    digits = re.sub(r"\D", "", clip.subject)
    number = layout.first_subject + int(digits)
    return ClipSpec(clip, number, (seed, zlib.crc32(clip.id.encode())))


def _report(clip: Clip, layout: Layout) -> None:
    """Log what a clip's annotation leaves open, and what the phantom cannot show."""
    cell = parse_au_cell(clip.aus)
    if clip.apex is None and layout.has_aus:
        logger.warning("%s: no apex is given, the movement peaks in the middle", clip.id)
    if not cell.groups:
        logger.warning("%s: AU cell %r names no AU, so none is shown", clip.id, clip.aus)
    absent = {event.number for event in cell.events} - {*CONDITION_AUS, 45}
    if absent:
        names = ", ".join(str(number) for number in sorted(absent))
        logger.warning("%s: AU %s of %r is not among the phantom's", clip.id, names, clip.aus)


def _write_frames(
    folder: Path, clip: Clip, layout: Layout, release: Release, frames: np.ndarray
) -> None:
    for number, frame in enumerate(frames, clip.onset):
        path = folder / layout.frame(clip, number, release)
        path.parent.mkdir(parents=True, exist_ok=True)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
        if not cv2.imwrite(str(path), frame[..., ::-1].copy(), quality):
            raise OSError(f"{path} could not be written")
