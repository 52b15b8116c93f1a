"""CAS(ME)^3 (Li et al. 2022), part A: micro- and macro-expressions in colour and in depth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from mersynth.clips import Clip, Strength
from mersynth.sources.base import ClipFiles, Release, folders
from mersynth.sources.errors import SourceError
from mersynth.sources.frames import read_frame
from mersynth.sources.sheets import cell_text
from mersynth.sources.table import Row
from mersynth.sources.table_source import TableSource

_SUBJECT = re.compile(r"spNO\.\d+")


@dataclass(frozen=True, slots=True)
class DepthFiles(ClipFiles):
    """A clip of 16-bit depth images, whose values are millimetres; 0 is not measured."""

    def read(self) -> Iterator[np.ndarray]:
        """The frames in order, each (H, W, 3) uint8, grey: nearer is brighter.

        One grey level is one millimetre: 255 is the nearest point of the face in the first frame, 1
        is 254 mm or more behind it, 0 is not measured. The whole clip has one scale, so that only
        movement changes a pixel. 8-bit images are not changed.
        """
        near: int | None = None
        for path in self.frames:
            depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if depth is None or depth.dtype != np.uint16 or depth.ndim != 2:
                yield read_frame(path)
                continue
            if near is None:
                near = _nearest(depth)
            levels = np.clip(255 - (depth.astype(np.int32) - near), 1, 255)
            grey = np.where(depth > 0, levels, 0).astype(np.uint8)
            yield np.repeat(grey[..., None], 3, axis=2)


def _nearest(depth: np.ndarray) -> int:
    """Distance of the face's nearest point: the 1st percentile within the middle third.

    A percentile, because single pixels at the edges of a depth image are often wrong.
    """
    height, width = depth.shape
    middle = depth[height // 3 : 2 * height // 3 + 1, width // 3 : 2 * width // 3 + 1]
    measured = middle[middle > 0]
    return int(np.percentile(measured, 1)) if measured.size else 0


class CASME3(TableSource):
    """The micro-expressions of CAS(ME)^3, part A, in colour, in this tree.

    ::

        casme3/
            cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx
            spNO.1/
                a/                         a recording: 30 frames per second, 1280x720 pixels
                    color/
                        1.jpg
                        2.jpg
                        ...
                    depth/
                        1.png
                        ...
                b/
                ...
            spNO.2/
            ...

    Instead of the subjects' folders there may be the folder ``Part_A_ME_clip`` of cut clips:
    ``Part_A_ME_clip/frame/spNO.1_a_355/355.jpg`` and the same under ``depth``, 355 being the onset.

    A recording shows several expressions, so clips are named after recording and onset (``a_355``).
    The table's labels happy and sad are stored as happiness and sadness. The paper counts 943
    micro-expressions in part A, published code 860 rows in the table's second version. Some rows
    are known to be wrong (an onset after the apex, a frame 0 that does not exist), some give the
    onset as the apex, and recordings lack frames; all of this is reported. The layout is taken from
    published code that reads it.
    """

    name = "casme3"
    fps = 30.0
    licence = (
        "CAS(ME)^3 licence agreement: academic research only, no redistribution; it also governs "
        "clips made from the database"
    )
    citation = (
        "Li, J., Dong, Z., Lu, S., Wang, S.-J., Yan, W.-J., Ma, Y., Liu, Y., Huang, C., Fu, X. "
        "(2022). CAS(ME)3: A third generation facial spontaneous micro-expression database with "
        "depth information and high ecological validity. IEEE Transactions on Pattern Analysis "
        "and Machine Intelligence 45(3): 2782-2800"
    )
    request = (
        "the licence agreement is on the CAS(ME)^3 page of the Institute of Psychology, "
        "Chinese Academy of Sciences (casme.psych.ac.cn/casme/e4); a member of the academic staff "
        "signs it"
    )
    table_pattern = "cas(me)3_part_A_ME_label*.xlsx"
    subject_pattern = _SUBJECT
    columns: ClassVar[dict[str, str]] = {
        "subject": "subject",
        "name": "filename",
        "onset": "onset",
        "apex": "apex",
        "offset": "offset",
        "aus": "au",
        "emotion": "emotion",
    }
    spellings: ClassVar[Mapping[str, str]] = {
        "happy": "happiness",
        "sad": "sadness",
        "other": "others",
    }
    clip_source = "casme3"
    modality: ClassVar[str] = "color"
    cut_clips: ClassVar[str] = "Part_A_ME_clip/frame"

    @property
    def home(self) -> str:
        """The folder of ``casme3``, which its subsets share."""
        return self.clip_source

    def subject_folder(self, subject: str) -> str:
        """``"1"`` or ``"spNO.1"`` to ``"spNO.1"``."""
        return subject if _SUBJECT.fullmatch(subject) else f"spNO.{subject}"

    def clip_name(self, file: str, onset: int | None) -> str:
        """``"a"`` with onset 355 to ``"a_355"``."""
        return file if onset is None else f"{file}_{onset}"

    def frame_number(self, file: str) -> int | None:
        """``"355"`` to 355."""
        return int(file) if file.isdecimal() else None

    def release(self, file: str, width: int, height: int) -> Release:
        """By the shape: a recording is 1280x720, a cropped face is nearly square."""
        return "raw" if width > 1.5 * height else "cropped"

    def clip_folders(self, root: Path) -> dict[tuple[str, str], Path]:
        """The folders of the recordings' frames, or of the cut clips, by subject and name.

        Raises:
            SourceError: if there are neither, or both.
        """
        top = root / self.cut_clips
        cut = folders(top) if top.is_dir() else []
        subjects = [path for path in folders(root) if _SUBJECT.fullmatch(path.name)]
        if cut and subjects:
            raise SourceError(f"{root} holds {self.cut_clips} and recordings; keep one of them")
        if cut:
            names = (folder.name.partition("_") for folder in cut)
            return {(s, n): folder for (s, _, n), folder in zip(names, cut, strict=True)}
        found = {
            (subject.name, recording.name): recording / self.modality
            for subject in subjects
            for recording in folders(subject)
            if (recording / self.modality).is_dir()
        }
        if not found:
            raise SourceError(
                f"{root} holds no subject's folder with frames in {self.modality}.\n\n{self.tree}"
            )
        return found

    def row_folders(self, root: Path, rows: Sequence[Row]) -> dict[tuple[str, str], Path]:
        """The folder of each row's frames; recordings without a row are not reported.

        Raises:
            SourceError: see :meth:`clip_folders`.
        """
        places = self.clip_folders(root)
        if (root / self.cut_clips).is_dir():
            return {(s, self.stored_name(n)): folder for (s, n), folder in places.items()}
        found = {}
        for row in rows:
            recording = cell_text(row.cell("name"))
            folder = places.get((row.subject, recording))
            if folder is not None:
                found[row.subject, row.name] = folder
        return found or places

    def stored_name(self, name: str) -> str:
        """From recording and onset, ``"a_355"``, to the clip's name."""
        return name


class CASME3Depth(CASME3):
    """The micro-expressions of CAS(ME)^3, part A, in depth, in this tree.

    ::

        casme3/
            cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx
            spNO.1/
                a/
                    depth/
                        1.png              16 bits, millimetres; 0 where nothing was measured
                        2.png
                        ...
                b/
                ...
            spNO.2/
            ...

    The folder is that of the source ``casme3``; this source reads its other camera. It may hold the
    cut clips instead (``Part_A_ME_clip/depth/spNO.1_a_355/355.png``). Depth is stored as grey
    images with one level per millimetre (see :class:`DepthFiles`). Face detectors do not work on
    depth images: prepare them with the geometry ``crop``. Clips are called ``depth-a_355`` and have
    the source ``casme3``, so that the people are known to be the same. The unit is that assumed by
    published code.
    """

    name = "casme3-depth"
    modality = "depth"
    cut_clips = "Part_A_ME_clip/depth"

    def clip_name(self, file: str, onset: int | None) -> str:
        """``"a"`` with onset 355 to ``"depth-a_355"``."""
        return self.stored_name(CASME3.clip_name(self, file, onset))

    def stored_name(self, name: str) -> str:
        """``"a_355"`` to ``"depth-a_355"``."""
        return f"depth-{name}"

    def clip_files(self, clip: Clip, frames: tuple[Path, ...]) -> ClipFiles:
        """The clip as depth images."""
        return DepthFiles(clip, frames)


class CASME3Macro(CASME3):
    """The macro-expressions of CAS(ME)^3, part A, in colour, in this tree.

    ::

        casme3/
            cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx
            spNO.1/
                a/
                    color/
                        1.jpg
                        ...
                ...
            ...

    The folder is that of the source ``casme3``, whose own table may be there too; it may hold the
    cut clips instead of the recordings (``Part_A_MaE_clip/frame/spNO.1_a_355/355.jpg``). Clips are
    called ``macro-a_355`` and have the source ``casme3``, so that the people are known to be the
    same. Published code reads the columns sub, seq, onset, apex, offset and emotion of this table;
    AUs are read if it has a column ``AU``.
    """

    name = "casme3-macro"
    strength: ClassVar[Strength] = "macro"
    table_pattern = "cas(me)3_part_A_MaE_label*.xlsx"
    columns: ClassVar[dict[str, str]] = {
        "subject": "sub",
        "name": "seq",
        "onset": "onset",
        "apex": "apex",
        "offset": "offset",
        "emotion": "emotion",
    }
    optional: ClassVar[Mapping[str, str]] = {"aus": "au"}
    cut_clips = "Part_A_MaE_clip/frame"

    def clip_name(self, file: str, onset: int | None) -> str:
        """``"a"`` with onset 355 to ``"macro-a_355"``."""
        return self.stored_name(CASME3.clip_name(self, file, onset))

    def stored_name(self, name: str) -> str:
        """``"a_355"`` to ``"macro-a_355"``."""
        return f"macro-{name}"
