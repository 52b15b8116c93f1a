"""CK+ (Lucey et al. 2010): 593 sequences of posed expressions from neutral to the peak."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mersynth import logs
from mersynth.clips import Clip
from mersynth.facs.action_units import parse_au_cell, why_unread
from mersynth.facs.landmarks import NUM_LANDMARKS
from mersynth.sources.base import (
    ClipFiles,
    Scan,
    Source,
    check_frames,
    folders,
    frames_by_number,
)
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.sheets import encoding_of

EMOTIONS = {
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happiness",
    6: "sadness",
    7: "surprise",
}
"""The database's codes. Code 0, neutral, is defined, but no sequence has it."""

# FACS intensities A to E are 1 to 5; 0 is "present, without an intensity".
_LETTERS = ("", "A", "B", "C", "D", "E")
_FRAME = re.compile(r"S\d+_\d+_(\d+)")
# How many sequences lack something, by the folder where it is expected and a description.
_Lacking = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Sequence:
    """One sequence: the folder of its frames, and the same place in the other folders."""

    root: Path
    subject: str
    name: str

    @property
    def frames(self) -> Path:
        return self.root / "cohn-kanade-images" / self.subject / self.name

    def annotations(self, kind: str, ending: str) -> list[Path]:
        """The sequence's files in ``Emotion``, ``FACS`` or ``Landmarks``."""
        folder = self.root / kind / self.subject / self.name
        return sorted(folder.glob(f"[!.]*_{ending}.txt")) if folder.is_dir() else []

    def place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


class CKPlus(Source):
    """CK+, in this tree.

    ::

        ckplus/
            cohn-kanade-images/
                S005/
                    001/
                        S005_001_00000001.png              grey or colour, 640x490 or 640x480
                        ...
                        S005_001_00000011.png
                    ...
                ...
            Emotion/S005/001/S005_001_00000011_emotion.txt         a code of 1 to 7
            FACS/S005/001/S005_001_00000011_facs.txt               a line an AU: its number, 0 to 5
            Landmarks/S005/001/S005_001_00000001_landmarks.txt     68 lines of x and y, in pixels
            ...

    A sequence runs from the neutral face to the peak: its first frame is the onset, its last one
    apex and offset. 327 of the 593 sequences have an emotion; the others are left out and counted
    in one warning. An AU's intensity is stored as its letter (1 is A, 5 is E, 0 none given). The
    landmarks were tracked by an active appearance model; published code reads them in the order of
    iBUG's 68 points. The frame rate is that of the NTSC video that the sequences were digitised
    from; no file states it. The peak frame given in the name of the emotion's file must be the
    last.
    """

    name = "ckplus"
    fps = 30.0
    licence = (
        "CK+ agreement: non-commercial research only, no redistribution; only the subjects that "
        "the agreement lists may be shown in publications; it also governs clips made from the "
        "database"
    )
    citation = (
        "Lucey, P., Cohn, J. F., Kanade, T., Saragih, J., Ambadar, Z., Matthews, I. (2010). The "
        "extended Cohn-Kanade dataset (CK+): A complete dataset for action unit and "
        "emotion-specified expression. CVPR Workshops: 94-101"
    )
    request = (
        "the agreement is on the page of the Affect Analysis Group, University of Pittsburgh "
        "(Jeffrey Cohn, jeffcohn.net/resources); it is signed and sent from an institution's "
        "address"
    )

    def find_annotations(self, root: Path) -> Path:
        """The folder of the emotion files.

        Raises:
            SourceError: if it is missing.
        """
        if not (root / "Emotion").is_dir():
            raise SourceError(f"{root} holds no folder Emotion; it comes with CK+.\n\n{self.tree}")
        return root / "Emotion"

    def scan(self, root: Path) -> Scan:
        """Find the sequences; see :meth:`Source.scan`.

        Raises:
            SourceError: if the root, its frames or the folder of the emotions are missing.
        """
        self.check_root(root)
        self.find_annotations(root)
        images = root / "cohn-kanade-images"
        sequences = [
            _Sequence(root, subject.name, folder.name)
            for subject in (folders(images) if images.is_dir() else [])
            for folder in folders(subject)
        ]
        if not sequences:
            raise SourceError(f"{root} holds no sequence in cohn-kanade-images.\n\n{self.tree}")
        problems = self._without_frames(root, sequences)
        clips: list[ClipFiles] = []
        lacking: _Lacking = Counter()
        with logs.progress(f"checking {self.name}", len(sequences), "sequences") as advance:
            for sequence in sequences:
                files = self._scan_sequence(sequence, problems, lacking)
                if files is not None:
                    clips.append(files)
                advance(1)
        for (place, what), count in lacking.items():
            problems.append(Problem(place, f"{count} sequences {what}", fatal=False))
        return Scan(tuple(clips), tuple(problems), "raw" if clips else None)

    def _without_frames(self, root: Path, sequences: list[_Sequence]) -> list[Problem]:
        """Emotions of sequences that have no folder of frames."""
        known = {(sequence.subject, sequence.name) for sequence in sequences}
        return [
            Problem(folder.relative_to(root).as_posix(), "this sequence has no folder of frames")
            for subject in folders(root / "Emotion")
            for folder in folders(subject)
            if (subject.name, folder.name) not in known and list(folder.glob("[!.]*_emotion.txt"))
        ]

    def _scan_sequence(
        self, sequence: _Sequence, problems: list[Problem], lacking: _Lacking
    ) -> ClipFiles | None:
        """The clip, or None; adds to the problems and to the counts of what sequences lack."""
        labels = sequence.annotations("Emotion", "emotion")
        if not labels:
            lacking["Emotion", "have no emotion and were left out"] += 1
            return None
        place = sequence.place(sequence.frames)
        files, found = frames_by_number(sequence.frames, _frame_number, sequence.root)
        try:
            emotion = _read_emotion(labels)
        except ValueError as error:
            found.append(Problem(sequence.place(labels[0]), str(error)))
        peak, last = (
            _frame_number(labels[0].stem.removesuffix("_emotion")),
            max(files, default=None),
        )
        if peak is None or peak != last:
            reason = f"the emotion's file names {peak} as the peak frame, the last one is {last}"
            found.append(Problem(place, reason))
        problems += found
        if any(problem.fatal for problem in found):
            return None
        onset, offset = min(files), max(files)
        if onset != 1:
            reason = f"the first frame is {onset}, not 1: it was taken as the onset"
            problems.append(Problem(place, reason, fatal=False))
        clip = Clip(
            source=self.name,
            subject=sequence.subject,
            name=sequence.name,
            onset=onset,
            apex=offset,
            offset=offset,
            emotion=emotion,
            aus=_read_aus(sequence, problems, lacking),
            fps=self.fps,
            strength="macro",
        )
        checked = check_frames(clip, files, sequence.frames, sequence.root)
        problems += checked.problems
        if checked.size is None:
            return None
        landmarks = _read_landmarks(sequence, clip, problems, lacking)
        return ClipFiles(clip, checked.frames, landmarks)


def _frame_number(name: str) -> int | None:
    match = _FRAME.fullmatch(name)
    return int(match[1]) if match else None


def _read_numbers(file: Path, columns: int) -> np.ndarray:
    """A file of numbers, (rows, columns) float64.

    Raises:
        ValueError: if it holds anything else; the message gives no path.
    """
    try:
        rows = [
            line.split() for line in file.read_text(encoding_of(file)).splitlines() if line.strip()
        ]
        numbers = np.array([[float(cell) for cell in row] for row in rows]).reshape(-1, columns)
    except (ValueError, OSError) as error:
        raise ValueError(f"not a file with {columns} numbers per line") from error
    if any(len(row) != columns for row in rows) or not np.isfinite(numbers).all():
        raise ValueError(f"not a file with {columns} numbers per line")
    return numbers


def _read_emotion(files: list[Path]) -> str:
    if len(files) > 1:
        raise ValueError(f"the sequence has {len(files)} labels, also {files[1].name}")
    codes = _read_numbers(files[0], 1)[:, 0]
    known = ", ".join(f"{code} {emotion}" for code, emotion in EMOTIONS.items())
    if len(codes) != 1 or codes[0] not in EMOTIONS:
        shown = " ".join(f"{code:g}" for code in codes)
        raise ValueError(f"emotion code {shown!r} is not one of {known}")
    return EMOTIONS[int(codes[0])]


def _read_aus(sequence: _Sequence, problems: list[Problem], lacking: _Lacking) -> str:
    """The AUs as a cell, for instance ``"1C+2D+25"``; empty where none can be read."""
    files = sequence.annotations("FACS", "facs")
    if not files:
        lacking["FACS", "have no AUs and were stored without"] += 1
        return ""
    try:
        if len(files) > 1:
            raise ValueError(f"the sequence has {len(files)} AU files, also {files[1].name}")
        numbers = _read_numbers(files[0], 2)
        if not (np.isin(numbers[:, 1], range(len(_LETTERS))) & (numbers[:, 0] % 1 == 0)).all():
            raise ValueError("an AU's intensity is not 0 to 5, or its number is not whole")
        cell = "+".join(f"{int(au)}{_LETTERS[int(level)]}" for au, level in numbers)
    except ValueError as error:
        reason = f"{error}: stored without AUs"
        problems.append(Problem(sequence.place(files[0]), reason, fatal=False))
        return ""
    for fragment in parse_au_cell(cell).unread:
        reason = f"AU cell {cell!r}: {why_unread(fragment)}"
        problems.append(Problem(sequence.place(files[0]), reason, fatal=False))
    return cell


def _read_landmarks(
    sequence: _Sequence, clip: Clip, problems: list[Problem], lacking: _Lacking
) -> np.ndarray | None:
    """(T, 68, 2) float32, NaN for frames without readable landmarks; None if no frame has any."""
    files = {
        _frame_number(file.stem.removesuffix("_landmarks")): file
        for file in sequence.annotations("Landmarks", "landmarks")
    }
    if not files:
        lacking["Landmarks", "have no landmarks and were stored without"] += 1
        return None
    points = np.full((clip.num_frames, NUM_LANDMARKS, 2), np.nan, np.float32)
    missing = []
    for i, number in enumerate(range(clip.onset, clip.offset + 1)):
        if number not in files:
            missing.append(str(number))
            continue
        try:
            read = _read_numbers(files[number], 2)
            if len(read) != NUM_LANDMARKS:
                raise ValueError(f"{len(read)} landmarks where {NUM_LANDMARKS} are expected")
            points[i] = read
        except ValueError as error:
            reason = f"{error}: stored without them"
            problems.append(Problem(sequence.place(files[number]), reason, fatal=False))
    if missing:
        place = sequence.place(next(iter(files.values())).parent)
        reason = f"no landmarks of {', '.join(missing)}: stored without them"
        problems.append(Problem(place, reason, fatal=False))
    return points
