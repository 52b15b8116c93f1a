"""SMIC (Li et al. 2013): spontaneous micro-expressions under three cameras, HS, VIS and NIR."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from mersynth.clips import Clip
from mersynth.facs.emotions import native_labels
from mersynth.sources.base import Release, folders
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.media import files_of
from mersynth.sources.sheets import cell_integer, find_tables
from mersynth.sources.table import Row
from mersynth.sources.table_source import TableSource

SMIC_NAME = re.compile(r"s0*(\d+)_(ne|po|sur)_0*(\d+)")
"""A clip's name: subject, emotion and number."""

_EMOTIONS = {"ne": "negative", "po": "positive", "sur": "surprise"}


class SMIC(TableSource):
    """SMIC, the high-speed camera (HS), in one of these trees.

    ::

        smic/
            SMIC-HS-E_annotation.xlsx        SMIC-E: long clips and their annotation table
            HS/
                s03/
                    s3_ne_02/
                        image301900.jpg      a long clip; only onset..offset is stored
                        ...
                s20/
                ...

        smic/
            HS/                              SMIC_all_raw or SMIC_all_cropped: no table
                s3/
                    micro/
                        negative/            likewise positive/ and surprise/
                            s3_ne_02/
                                reg_image302330.bmp
                                ...
                    non_micro/               ignored
                ...

    The table lists 157 micro-expressions; in the second tree the folders are the clips, 164 of
    them, and hold only the frames onset..offset. Further micro-expressions of a long clip (Onset2F,
    Onset3F in the table) are stored by ``smic-further``. The subsets VIS and NIR (``smic-vis``,
    ``smic-nir``: the same moments at 25 frames per second) are folders beside ``HS``.

    SMIC gives neither apex nor AUs. Clips have the names of the challenge MEGC2019, with numbers of
    two digits (``s03/s03_ne_02``), however the release writes them; those of VIS and NIR end in
    ``_vis`` and ``_nir``, and a subject is the same in all subsets. Where the emotion in the table
    or folder differs from that in the clip's name (the table calls s18_sur_03 negative), the name
    counts, as in the challenge, and the difference is reported.
    """

    name = "smic"
    fps = 100.0
    clip_source = "smic"
    subset: ClassVar[Literal["HS", "VIS", "NIR"]] = "HS"
    licence = (
        "SMIC licence agreement of the University of Oulu: academic research only, no "
        "redistribution; it also governs clips made from the database"
    )
    citation = (
        "Li, X., Pfister, T., Huang, X., Zhao, G., Pietikäinen, M. (2013). A spontaneous "
        "micro-expression database: Inducement, collection and baseline. IEEE International "
        "Conference on Automatic Face and Gesture Recognition: 1-6"
    )
    request = (
        "the licence agreement is on the SMIC page of the Center for Machine Vision and Signal "
        "Analysis, University of Oulu; a member of the academic staff signs it"
    )
    table_pattern = "SMIC*HS*annotation*.xlsx"
    subject_pattern = re.compile(r"s\d+")
    sheet = "HS"
    columns: ClassVar[dict[str, str]] = {
        "subject": "subject",
        "name": "filename",
        "onset": "onsetf",
        "offset": "offsetf",
        "emotion": "emotion",
    }
    optional: ClassVar[Mapping[str, str]] = {
        "first": "firstf",
        "last": "lastf",
        **{f"onset{k}": f"onset{k}f" for k in (2, 3)},
        **{f"offset{k}": f"offset{k}f" for k in (2, 3)},
    }

    @property
    def home(self) -> str:
        """The subsets share the folder ``smic``."""
        return "smic"

    @property
    def tree(self) -> str:
        """The expected trees, with the subset's folder."""
        text = (inspect.getdoc(SMIC) or "").replace("::\n\n", "")
        return text.replace("HS/", f"{self.subset}/").replace("-HS-", f"-{self.subset}-")

    def subject_folder(self, subject: str) -> str:
        """``"3"``, ``"s3"`` or ``"s03"`` to ``"s03"``."""
        return f"s{subject.removeprefix('s').zfill(2)}"

    def clip_name(self, file: str, onset: int | None) -> str:
        """``"s3_ne_02"`` to ``"s03_ne_02"``."""
        match = SMIC_NAME.fullmatch(file)
        if match is None:
            return file
        name = f"s{match[1].zfill(2)}_{match[2]}_{match[3].zfill(2)}"
        return name if self.subset == "HS" else f"{name}_{self.subset.lower()}"

    def frame_number(self, file: str) -> int | None:
        """``"image7750"``, ``"reg_image7750"``, ``"NIR 7750"`` or ``"07750"`` to 7750."""
        match = re.fullmatch(r"(?:reg_)?(?:image|[A-Za-z]+ )?(\d+)", file)
        return int(match[1]) if match else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the shape: a raw frame is 640x480, a cropped face about 140x170."""
        return "raw" if width > height else "cropped"

    def tables(self, root: Path) -> list[Path]:
        """The tables in the root and in the subset's folder."""
        places = (root, self._home(root))
        return sorted(path for folder in places for path in find_tables(folder, self.table_pattern))

    def find_annotations(self, root: Path) -> Path:
        """The annotation table, or the subset's folder if folders are the annotation.

        Raises:
            SourceError: if there is neither, or more than one table.
        """
        home = self._home(root)
        return home if self._layout(home) == "micro" else super().find_annotations(root)

    def read_annotations(self, table: Path) -> tuple[list[Row], list[Problem]]:
        """The rows of an annotation table; see ``table.read_annotations``."""
        rows, problems = super().read_annotations(table)
        checked: list[Row] = []
        for row in rows:
            clip = row.clip
            if clip is not None and row.written is not None:
                clip, reason = _named_emotion(clip)
                reasons = {"emotion": reason, "last": _outside(row)}
                problems += [
                    row.written.problem(r, what, False) for what, r in reasons.items() if r
                ]
            checked.append(replace(row, clip=clip))
        return checked, problems

    def rows(self, root: Path) -> tuple[list[Row], list[Problem]]:
        """The clips of the table, or of the folders."""
        annotations = self.find_annotations(root)
        if annotations.is_file():
            return self.read_annotations(annotations)
        rows: list[Row] = []
        problems: list[Problem] = []
        for (subject, name), folder in self.clip_folders(root).items():
            clip, found = self._clip_of_folder(subject, name, folder, root)
            rows.append(Row(subject, name, clip))
            problems += found
        return rows, problems

    def clip_folders(self, root: Path) -> dict[tuple[str, str], Path]:
        """The clips' folders, by the names of subject and clip.

        Raises:
            SourceError: if there is no subject's folder, a clip occurs twice, or both trees exist.
        """
        home = self._home(root)
        subjects = list(self._subjects(home))
        if not subjects:
            raise SourceError(f"{home} holds no subject's folder.\n\n{self.tree}")
        micro = self._layout(home) == "micro"
        places: dict[tuple[str, str], Path] = {}
        for subject in subjects:
            parts = folders(subject / "micro") if micro else [subject]
            for folder in (clip for part in parts for clip in folders(part)):
                key = (self.subject_folder(subject.name), self.clip_name(folder.name, None))
                if key in places:
                    raise SourceError(
                        f"{places[key].relative_to(root)} and {folder.relative_to(root)} are the "
                        "same clip; keep one of them"
                    )
                places[key] = folder
        return places

    def _home(self, root: Path) -> Path:
        home = root / self.subset
        if not home.is_dir():
            raise SourceError(f"{root} holds no folder {self.subset}.\n\n{self.tree}")
        return home

    def _subjects(self, home: Path) -> Iterator[Path]:
        return (path for path in folders(home) if self.subject_pattern.fullmatch(path.name))

    def _layout(self, home: Path) -> Literal["long", "micro"]:
        subjects = list(self._subjects(home))
        micro = [path for path in subjects if (path / "micro").is_dir()]
        long = [clip for path in subjects for clip in folders(path) if SMIC_NAME.match(clip.name)]
        if micro and long:
            raise SourceError(
                f"{home} mixes two releases ({micro[0].name}/micro and "
                f"{long[0].parent.name}/{long[0].name}); keep each in its own root"
            )
        return "micro" if micro else "long"

    def _clip_of_folder(
        self, subject: str, name: str, folder: Path, root: Path
    ) -> tuple[Clip | None, list[Problem]]:
        """A clip whose folder holds the frames onset..offset and is in that of its emotion."""
        place, emotion = folder.relative_to(root).as_posix(), folder.parent.name.lower()
        found = (self.frame_number(path.stem) for path in files_of(folder).images)
        numbers = [number for number in found if number is not None]
        if not numbers:
            return None, [Problem(place, "the folder holds no frame")]
        labels = native_labels(self.clip_source)
        if emotion not in labels:
            reason = f"emotion {emotion!r} is not one of {', '.join(labels)}"
            return None, [Problem(place, reason)]
        clip = Clip(
            source=self.clip_source,
            subject=subject,
            name=name,
            onset=min(numbers),
            apex=None,
            offset=max(numbers),
            emotion=emotion,
            fps=self.fps,
        )
        clip, reason = _named_emotion(clip)
        return clip, [Problem(place, reason, fatal=False)] if reason else []


class SMICVIS(SMIC):
    """SMIC, the camera for visible light (VIS): 71 clips of 8 subjects in the table.

    The table is ``SMIC-VIS-E_annotation.xlsx``, or the sheet VIS in the table of HS.
    """

    name = "smic-vis"
    fps = 25.0
    subset = "VIS"
    sheet = "VIS"
    table_pattern = "SMIC*VIS*annotation*.xlsx"

    def tables(self, root: Path) -> list[Path]:
        """The tables of VIS, else those of HS."""
        return super().tables(root) or find_tables(root, SMIC.table_pattern)


class SMICNIR(SMIC):
    """SMIC, the near-infrared camera (NIR).

    No table of NIR was available. A published script reads ``SMIC-NIR-E_annotation.xlsx`` with a
    column "OnsetF NIR"; the offset's column is assumed to have a corresponding name, and any other
    name is an error.
    """

    name = "smic-nir"
    fps = 25.0
    subset = "NIR"
    sheet = "NIR"
    table_pattern = "SMIC*NIR*annotation*.xlsx"
    columns: ClassVar[dict[str, str]] = {
        **SMIC.columns,
        "onset": "onsetfnir",
        "offset": "offsetfnir",
    }


def _named_emotion(clip: Clip) -> tuple[Clip, str]:
    """The clip with the emotion in its name, and a message if the annotation has another."""
    match = SMIC_NAME.match(clip.name)
    named = _EMOTIONS[match[2]] if match else clip.emotion
    if named == clip.emotion:
        return clip, ""
    reason = f"{clip.name} is labelled {clip.emotion}, its name says {named}: stored as {named}"
    return replace(clip, emotion=named), reason


def _outside(row: Row) -> str:
    """A message if a row's micro-expression lies outside its long clip; else empty."""
    first, last = cell_integer(row.cell("first")), cell_integer(row.cell("last"))
    if row.clip is None or first is None or last is None:
        return ""
    if first <= row.clip.onset and row.clip.offset <= last:
        return ""
    return f"{row.clip.onset}..{row.clip.offset} lies outside of FirstF..LastF {first}..{last}"
