"""The layouts ``casme2`` and ``samm``: the databases' own trees, with their annotation tables."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mersynth import logs
from mersynth.clips import Clip
from mersynth.disk.files import file_name
from mersynth.export.annotations import (
    TableRow,
    casme2_cell,
    write_casme2_table,
    write_samm_table,
)
from mersynth.export.images import encode_frame, image_facts
from mersynth.export.job import (
    ExportError,
    ExportSettings,
    Job,
    Naming,
    Written,
    check_unique,
)
from mersynth.facs.emotions import native_labels
from mersynth.marks import mark_of
from mersynth.sources.casme2 import CASME2
from mersynth.sources.samm import SAMM
from mersynth.sources.table_source import TableSource

logger = logging.getLogger(__name__)

# Subjects of other databases are numbered from here, so that nobody is confused when two trees are
# merged: CASME II has 26 subjects, SAMM's highest number is 37.
_FIRST_GUEST = 101
_OTHERS = ("other", "others")


@dataclass(frozen=True, slots=True)
class Tree:
    """How a database names and writes things.

    Attributes:
        database: the source that reads it.
        table: name of the annotation table.
        write_table: writes the table, given its path, its rows and the export's card.
        written_subject: from the subject's folder to the subject in the table.
        clip_name: from the subject's folder and the clip's name to the clip's folder.
        frame: from naming, subject's folder and number to the file, without extension.
        label: from the native label to the label in the table.
        cell: from any AU cell to the table's notation.
    """

    database: TableSource
    table: str
    write_table: Callable[[Path, Sequence[TableRow], Mapping[str, Any]], None]
    written_subject: Callable[[str], str]
    clip_name: Callable[[str, str], str]
    frame: Callable[[Naming, str, int], str]
    label: Callable[[str], str]
    cell: Callable[[str], str]

    def native_label(self, emotion: str, settings: ExportSettings) -> str:
        """The label for an emotion or class: the chosen one, the database's own, or its others."""
        labels = native_labels(self.database.name)
        name = read_emotions(settings.emotions, self.database.name).get(emotion, emotion)
        return name if name in labels else next(rest for rest in _OTHERS if rest in labels)

    def write(self, job: Job, folder: Path) -> Written:
        """Write frames in folders of subjects and clips, and the annotation table.

        Subjects and clips of the database itself keep their names; subjects of other databases are
        numbered from 101, in the order of their ids. Clips keep their frame numbers, except those
        that begin before ``first_frame``, by default 1: no database has a frame 0.

        Raises:
            ExportError: if two clips get the same name, or there are too many subjects.
            ValueError: if ``emotions`` is wrong.
        """
        self._check_emotions(job)
        unnamed = self._unnamed(job)
        if job.settings.naming == "raw":
            self._explain_raw()
        clips = job.store.clips
        subjects = self._subjects(clips)
        folders = [subjects[clip.subject_id] for clip in clips]
        names = [self.clip_name(s, file_name(c.name)) for s, c in zip(folders, clips, strict=True)]
        paths = [f"{subject}/{name}" for subject, name in zip(folders, names, strict=True)]
        check_unique(paths, clips)
        rows = [self._row(*row, job) for row in zip(clips, folders, names, strict=True)]
        form = job.settings.format or "jpg"
        with logs.progress(
            f"writing {self.database.name}", total=len(rows), unit="clips"
        ) as advance:
            for path, row, subject, item in zip(paths, rows, folders, job.store, strict=True):
                (folder / path).mkdir(parents=True)
                mark = mark_of([item.clip])
                for number, frame in enumerate(item.frames, row.onset):
                    name = self.frame(job.settings.naming, subject, number)
                    file = folder / path / f"{name}.{form}"
                    file.write_bytes(encode_frame(frame, form, job.settings.quality, mark))
                advance(1)
        facts = {"written_as_other": unnamed, **self._facts(job, rows)}
        self.write_table(folder / self.table, rows, {**job.card, **facts})
        return Written(paths, facts, self._columns(rows))

    def _row(self, clip: Clip, subject: str, name: str, job: Job) -> TableRow:
        label = self.native_label(clip.emotion, job.settings)
        onset = max(clip.onset, job.settings.first_frame)
        written = self.written_subject(subject)
        return TableRow(clip, written, name, onset, self.label(label), self.cell(clip.aus))

    def _subjects(self, clips: Sequence[Clip]) -> dict[str, str]:
        """The folder of each subject, by its id."""
        database = self.database
        ids = {clip.subject_id: clip for clip in clips}
        own = {
            subject: clip.subject
            for subject, clip in ids.items()
            if clip.source == database.name and database.subject_pattern.fullmatch(clip.subject)
        }
        taken = set(own.values())
        numbers = (database.subject_folder(str(n)) for n in range(_FIRST_GUEST, 10**6))
        free = (name for name in numbers if name not in taken)
        guests = dict(zip(sorted(ids.keys() - own.keys()), free, strict=False))
        for folder in guests.values():
            if not database.subject_pattern.fullmatch(folder):
                raise ExportError(f"{len(guests)} subjects are more than {database.name} can name")
        return own | guests

    def _check_emotions(self, job: Job) -> None:
        """Refuse a rule that no clip needs: it must be a mistake."""
        shown = {clip.emotion for clip in job.store.clips}
        for emotion in read_emotions(job.settings.emotions, self.database.name):
            if emotion not in shown:
                raise ValueError(
                    f"emotions: no exported clip shows {emotion!r}; there are "
                    f"{', '.join(sorted(shown))}"
                )

    def _unnamed(self, job: Job) -> dict[str, str]:
        """Emotions without a label in the database, and their label in the table; logged."""
        labels = native_labels(self.database.name)
        chosen = read_emotions(job.settings.emotions, self.database.name)
        counts = Counter(clip.emotion for clip in job.store.clips)
        unnamed = {
            emotion: self.label(self.native_label(emotion, job.settings))
            for emotion in sorted(counts)
            if emotion not in (*labels, *chosen, *_OTHERS)
        }
        for emotion, written in unnamed.items():
            logger.warning(
                "%s has no label for %r: %d clips are written as %s; 'emotions=[%s:LABEL]' chooses "
                "another of %s",
                *(self.database.name, emotion, counts[emotion], written, emotion),
                ", ".join(labels),
            )
        return unnamed

    def _explain_raw(self) -> None:
        if self.database.name == SAMM.name:
            logger.warning(
                "both releases of SAMM name their frames alike and are distinguished by shape; "
                "square frames are read as cropped ones"
            )
        else:
            logger.info(
                "frames with raw names are aligned by `mersynth prepare`; geometry=resize only "
                "resizes them"
            )

    def _facts(self, job: Job, rows: Sequence[TableRow]) -> dict[str, Any]:
        changed = sum(row.aus != row.clip.aus.strip() for row in rows)
        if changed:
            logger.info("%d AU cells were written in %s's notation", changed, self.database.name)
        others = sum(row.clip.fps != self.database.fps for row in rows)
        if others:
            logger.warning(
                "%d clips do not have %s's %g frames per second, which its table cannot record; "
                "provenance.csv does",
                *(others, self.database.name, self.database.fps),
            )
        return {
            "naming": job.settings.naming,
            "table": self.table,
            "emotions": {row.clip.emotion: row.emotion for row in rows},
            "au_cells_rewritten": changed,
            "clips_of_another_frame_rate": others,
            **image_facts(job.settings.format or "jpg", job.settings.quality),
        }

    def _columns(self, rows: Sequence[TableRow]) -> dict[str, list[Any]]:
        return {
            "written_subject": [row.subject for row in rows],
            "written_clip": [row.name for row in rows],
            "written_onset": [row.onset for row in rows],
            "written_emotion": [row.emotion for row in rows],
            "written_aus": [row.aus for row in rows],
        }


def read_emotions(pairs: Sequence[str], database: str) -> dict[str, str]:
    """Labels for classes without one in a database, from ``class:label`` pairs.

    Raises:
        ValueError: if a pair is malformed, or its label is not the database's.
    """
    labels = native_labels(database)
    chosen = {}
    for pair in pairs:
        emotion, colon, label = str(pair).partition(":")
        if not colon or label not in labels:
            raise ValueError(
                f"emotions takes CLASS:LABEL with a label of {database} ({', '.join(labels)}), "
                f"got {pair!r}"
            )
        chosen[emotion] = label
    return chosen


def _casme2_frame(naming: Naming, subject: str, number: int) -> str:
    return f"img{number}" if naming == "raw" else f"reg_img{number}"


def _samm_frame(naming: Naming, subject: str, number: int) -> str:
    return f"{subject}_{number:05d}"


def _samm_name(subject: str, name: str) -> str:
    """SAMM's clip names begin with the subject, and loaders rely on it."""
    return name if name.startswith(f"{subject}_") else f"{subject}_{name}"


CASME2_TREE = Tree(
    database=CASME2(),
    table="CASME2-coding-20140508.xlsx",
    write_table=write_casme2_table,
    written_subject=lambda folder: folder.removeprefix("sub"),
    clip_name=lambda subject, name: name,
    frame=_casme2_frame,
    label=lambda label: label,
    cell=casme2_cell,
)
SAMM_TREE = Tree(
    database=SAMM(),
    table="SAMM_Micro_FACS_Codes_v2.xlsx",
    write_table=write_samm_table,
    written_subject=lambda folder: folder,
    clip_name=_samm_name,
    frame=_samm_frame,
    label=str.capitalize,
    cell=str.strip,
)
