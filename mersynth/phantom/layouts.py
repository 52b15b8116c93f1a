"""Where the real databases keep the frames of a clip, and which clips their tables list."""

from __future__ import annotations

import fnmatch
import logging
import zlib
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

import numpy as np

from mersynth.checks import check_choice
from mersynth.clips import Clip
from mersynth.facs.emotions import native_labels, prototypes
from mersynth.sources.base import Release
from mersynth.sources.casme2 import CASME2
from mersynth.sources.errors import SourceError
from mersynth.sources.samm import SAMM
from mersynth.sources.sheets import TableRow, cell_text, is_table, read_table
from mersynth.sources.smic import SMIC, SMIC_NAME
from mersynth.sources.table_source import TableSource

logger = logging.getLogger(__name__)

# SMIC_all_cropped is listed by MEGC2019 without frame numbers. The 157 clips of SMIC's table have
# 34 frames in the mean (16 to 58).
_SMIC_FRAMES = 34

_LISTED = ("data", "subject", "clip", "label")


class Layout(ABC):
    """A database's folders and file names.

    Attributes:
        source: the database, as ``mersynth prepare --source`` takes it.
        patterns: names of the tables that it reads, as globs.
        first_subject: the phantom subject that stands for subject 0 of the database.
        with_table: whether the table belongs in the tree.
        has_aus: whether the table gives AUs; else clips show a prototype of their emotion.
        raw_shape: width and height of the raw release's frames, in pixels.
    """

    source: str
    patterns: tuple[str, ...]
    first_subject: int
    with_table: bool = True
    has_aus: bool = True
    raw_shape: tuple[int, int] = (640, 480)

    @abstractmethod
    def clips(self, table: Path) -> list[Clip | None]:
        """The clips of a table, in order; None for a clip that cannot be read, which is logged.

        Raises:
            SourceError: if the table cannot be read.
        """

    @abstractmethod
    def frame(self, clip: Clip, number: int, release: Release) -> str:
        """File of a frame of a release, relative to the tree's root."""


class _TableLayout(Layout):
    """A database with an annotation table; a subclass names its frames."""

    database: TableSource

    def __init__(self) -> None:
        self.source = self.database.name
        self.patterns = (self.database.table_pattern,)

    def clips(self, table: Path) -> list[Clip | None]:
        rows, problems = self.database.read_annotations(table)
        for problem in problems:
            logger.warning("%s", problem)
        return [row.clip for row in rows]


class _CASME2(_TableLayout):
    """CASME II."""

    database = CASME2()
    first_subject = 200

    def frame(self, clip: Clip, number: int, release: Release) -> str:
        return f"{clip.subject}/{clip.name}/{_prefix(release)}img{number}.jpg"


class _SAMM(_TableLayout):
    """SAMM."""

    database = SAMM()
    first_subject = 300
    raw_shape = (2040, 1088)

    def frame(self, clip: Clip, number: int, release: Release) -> str:
        return f"{clip.subject}/{clip.name}/{clip.subject}_{number:05d}.jpg"


class _SMIC(_TableLayout):
    """SMIC-E, HS: the clips of the table; only the frames onset..offset are rendered."""

    database = SMIC()
    first_subject = 400
    has_aus = False

    def frame(self, clip: Clip, number: int, release: Release) -> str:
        return f"HS/{clip.subject}/{_unpadded(clip.name)}/image{number}.jpg"


class _SMICAll(Layout):
    """SMIC_all_cropped or _raw, HS: the clips that MEGC2019 lists, all of one length."""

    source = "smic"
    patterns = ("*.csv",)
    first_subject = 400
    with_table = False
    has_aus = False

    def clips(self, table: Path) -> list[Clip | None]:
        rows = list(read_table(table, {what: what for what in _LISTED}))
        logger.warning(
            "%s gives no frame numbers: every clip has %d frames", table.name, _SMIC_FRAMES
        )
        return [_listed(row) for row in rows if cell_text(row.cells["data"]).lower() == "smic"]

    def frame(self, clip: Clip, number: int, release: Release) -> str:
        name = _unpadded(clip.name)
        subject = name.split("_")[0]
        return f"HS/{subject}/micro/{clip.emotion}/{name}/{_prefix(release)}image{number:05d}.bmp"


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "casme2": (_CASME2(),),
    "samm": (_SAMM(),),
    "smic": (_SMIC(), _SMICAll()),
}
"""The layouts of each database; a table's name decides which one it belongs to."""


def choose_layout(table: Path, name: str) -> Layout:
    """The layout of a database that a table belongs to.

    Raises:
        ValueError: if the database has no layout here, or the table's name is not one of its.
    """
    check_choice("layout", name, LAYOUTS)
    fitting = [
        layout
        for layout in LAYOUTS[name]
        if any(
            fnmatch.fnmatch(table.name.lower(), pattern) or is_table(table.name, pattern)
            for pattern in layout.patterns
        )
    ]
    if not fitting:
        patterns = " or ".join(p for layout in LAYOUTS[name] for p in layout.patterns)
        raise ValueError(
            f"{table.name} is not the name of a table of {name} ({patterns}), so prepare would not "
            "find it: give the table its official name"
        )
    return fitting[0]


def with_prototype(clip: Clip, seed: int) -> Clip:
    """The clip with AUs of a prototype of its emotion, for a database without AUs."""
    known = prototypes(clip.emotion)
    rng = np.random.default_rng([seed, 1, zlib.crc32(clip.id.encode())])
    return replace(clip, aus=known[rng.integers(len(known))].aus)


def _listed(row: TableRow) -> Clip:
    emotions = dict(zip("012", native_labels("smic"), strict=True))
    subject, name, label = (cell_text(row.cells[what]) for what in ("subject", "clip", "label"))
    if label not in emotions or not SMIC_NAME.fullmatch(name):
        known = ", ".join(f"{k} ({v})" for k, v in emotions.items())
        reason = f"clip {name!r} of label {label!r} is not one of SMIC's; labels are {known}"
        raise SourceError(str(row.problem(reason, "clip")))
    return Clip(
        source="smic",
        subject=subject,
        name=name,
        onset=1,
        apex=None,
        offset=_SMIC_FRAMES,
        emotion=emotions[label],
        fps=SMIC.fps,
    )


def _prefix(release: Release) -> str:
    """The prefix of the names of cropped frames."""
    return "reg_" if release == "cropped" else ""


def _unpadded(name: str) -> str:
    """``"s03_ne_02"`` to ``"s3_ne_02"``, the name of SMIC's folder."""
    subject, _, rest = name.partition("_")
    return f"s{int(subject[1:])}_{rest}"
