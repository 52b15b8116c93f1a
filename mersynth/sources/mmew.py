"""MMEW (Ben et al. 2021): 300 micro-expressions, and 900 macro-expressions of the same people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from mersynth import logs
from mersynth.facs.emotions import native_labels
from mersynth.sources.base import ClipFiles, Release, Scan, Source, folders
from mersynth.sources.errors import Problem, SourceError
from mersynth.sources.media import files_of, left_out
from mersynth.sources.stills import check_still, still_clip
from mersynth.sources.table_source import TableSource

_LICENCE = (
    "MMEW licence agreement: academic research only, no redistribution; it also governs clips "
    "made from the database"
)
_CITATION = (
    "Ben, X., Ren, Y., Zhang, J., Wang, S.-J., Kpalma, K., Meng, W., Liu, Y.-J. (2021). "
    "Video-based facial micro-expression analysis: A survey of datasets, features and algorithms. "
    "IEEE Transactions on Pattern Analysis and Machine Intelligence 44(9): 5826-5846"
)
_REQUEST = (
    "the licence agreement is on the MMEW page of Shandong University's DPAI laboratory "
    "(Xianye Ben, dpailab.com/database.html); a signed scan of it is sent by e-mail"
)
# "S03-01-002": subject 3, emotion 1, sample 2, according to the database's page.
_CLIP = re.compile(r"(S\d+)-\d+-\d+")


def _release(width: int, height: int) -> Release:
    """By the shape: a recording is 1920x1080, a cropped face is nearly square."""
    return "raw" if width > 1.5 * height else "cropped"


class MMEW(TableSource):
    """The micro-expressions of MMEW, in this tree.

    ::

        mmew/
            MMEW_Micro_Exp.xlsx
            Micro_Expression/
                happiness/
                    S03-01-002/
                        1.jpg          raw frames 1920x1080 pixels, cropped ones nearly square
                        2.jpg
                        ...
                ...

    There may be a subject's folder above the emotion's (``S03/happiness/S03-01-002``), as on the
    database's page. Only the clip's folder counts: the emotion is the table's, which says
    ``others`` where the page's folders say ``repression``. Frame numbers in the table are those of
    the files. The layout is taken from the page and published code; according to that code, 16 rows
    have a wrong apex and offset, which are reported where impossible.
    """

    name = "mmew"
    fps = 90.0
    licence = _LICENCE
    citation = _CITATION
    request = _REQUEST
    table_pattern = "MMEW_Micro_Exp*.xlsx"
    subject_pattern = re.compile(r"S\d+")
    spellings: ClassVar[Mapping[str, str]] = {"repression": "others", "other": "others"}

    def subject_folder(self, subject: str) -> str:
        """``"3"``, ``"03"`` or ``"S03"`` to ``"S03"``."""
        return f"S{subject.upper().removeprefix('S').zfill(2)}"

    def frame_number(self, file: str) -> int | None:
        """``"12"`` to 12."""
        return int(file) if file.isdecimal() else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the shape: a recording is 1920x1080, a cropped face is nearly square."""
        return _release(width, height)

    def clip_folders(self, root: Path) -> dict[tuple[str, str], Path]:
        """The clips' folders, at any depth, by the names of subject and clip.

        Raises:
            SourceError: if there is none, or a clip exists twice.
        """
        top = root / "Micro_Expression"
        found: dict[tuple[str, str], Path] = {}
        for folder in _below(top, depth=3) if top.is_dir() else []:
            match = _CLIP.fullmatch(folder.name)
            if match is None:
                continue
            key = (self.subject_folder(match[1]), folder.name)
            if key in found:
                raise SourceError(f"{folder.name} exists twice: {found[key]} and {folder}")
            found[key] = folder
        if not found:
            raise SourceError(f"{root} holds no clip's folder S..-..-...\n\n{self.tree}")
        return found


class MMEWMacro(Source):
    """The macro-expressions of MMEW, single images, in this tree.

    ::

        mmew/
            Macro_Expression/
                S03/
                    happiness/
                        S03-01-001.jpg
                        S03-01-002.jpg
                        ...
                    ...
                ...

    The folder is that of the source ``mmew``, whose table and micro-expressions may be there too.
    Each image is one sample; the emotion is the folder's. Clips are called ``macro-S03-01-001`` and
    have the source ``mmew``, so that the people of both parts are known to be the same. The layout
    is taken from the database's page and published code.
    """

    name = "mmew-macro"
    fps = MMEW.fps
    licence = _LICENCE
    citation = _CITATION
    request = _REQUEST

    @property
    def home(self) -> str:
        """The folder of ``mmew``."""
        return MMEW.name

    def find_annotations(self, root: Path) -> Path:
        """The folder whose subfolders' names are the annotation.

        Raises:
            SourceError: if it is missing.
        """
        top = root / "Macro_Expression"
        if not top.is_dir() or not folders(top):
            raise SourceError(f"{root} holds no Macro_Expression with subjects.\n\n{self.tree}")
        return top

    def scan(self, root: Path) -> Scan:
        """Find the images; see :meth:`Source.scan`.

        Raises:
            SourceError: if the root or Macro_Expression is missing, or raw and cropped images are
                mixed.
        """
        self.check_root(root)
        clips: dict[str, ClipFiles] = {}
        problems: list[Problem] = []
        releases: dict[Release, Path] = {}
        places = [e for subject in folders(self.find_annotations(root)) for e in folders(subject)]
        with logs.progress(f"checking {self.name}", total=len(places), unit="folders") as advance:
            for place in places:
                for files, release in self._scan_emotion(place, root, problems):
                    if files.clip.id in clips:
                        first = clips[files.clip.id].frames[0].relative_to(root).as_posix()
                        reason = f"the image exists twice, also as {first}"
                        file = files.frames[0].relative_to(root).as_posix()
                        problems.append(Problem(file, reason))
                        continue
                    clips[files.clip.id] = files
                    releases.setdefault(release, files.frames[0])
                advance(1)
        if len(releases) > 1:
            examples = ", ".join(f"{file} is {release}" for release, file in releases.items())
            raise SourceError(f"{root} mixes two releases ({examples}); keep each in its own root")
        return Scan(tuple(clips.values()), tuple(problems), next(iter(releases), None))

    def _scan_emotion(
        self, folder: Path, root: Path, problems: list[Problem]
    ) -> Iterator[tuple[ClipFiles, Release]]:
        """The good images of a folder, with their release; problems are added to the list."""
        place, emotion = folder.relative_to(root).as_posix(), folder.name.lower()
        labels = native_labels(MMEW.name)
        if emotion not in labels:
            problems.append(
                Problem(place, f"emotion {emotion!r} is not one of {', '.join(labels)}")
            )
            return
        for inner in folders(folder):
            reason = "a folder where single images are expected"
            problems.append(Problem(inner.relative_to(root).as_posix(), reason))
        files = files_of(folder)
        problems += left_out((*files.videos, *files.others), place)
        for file in files.images:
            clip = still_clip(
                source=MMEW.name,
                subject=folder.parent.name,
                name=f"macro-{file.stem}",
                emotion=emotion,
                fps=self.fps,
            )
            checked = check_still(clip, file, root)
            problems += checked.problems
            if checked.size is not None:
                yield ClipFiles(clip, checked.frames), _release(*checked.size)


def _below(path: Path, depth: int) -> list[Path]:
    """The folders below a folder, down to a depth."""
    inner = folders(path)
    return inner + [f for folder in inner for f in (_below(folder, depth - 1) if depth > 1 else [])]
