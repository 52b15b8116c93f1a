"""Films, clips of frames, and files as OpenFace writes them for these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mersynth.clips import Clip
from mersynth.face.au_files import FileReader
from mersynth.face.framing import FramedClip
from mersynth.face.openface import INTENSITIES, PRESENCES
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.prepare.command import prepare
from mersynth.sources.base import ClipFiles
from mersynth.sources.cut import Cut
from mersynth.sources.errors import Problem
from mersynth.store.clip_store import ClipStore
from tests.sources.test_folder import write_video

PLACE_12 = CONDITION_AUS.index(12)


def openface_file(path: Path, rows: Sequence[Mapping[str, Any]], blank: str = " ") -> Path:
    """A file as OpenFace 2.2 writes it: all 35 AU columns; a row says what is not 0, or 1."""
    aus = [f"AU{au:02d}_r" for au in INTENSITIES] + [f"AU{au:02d}_c" for au in PRESENCES]
    usual = {"frame": 0, "face_id": 0, "timestamp": 0.0, "confidence": 0.98, "success": 1}
    wider = [name for name in rows[0] if name not in usual and name not in aus] if rows else []
    names = [*usual, *wider, *aus]
    lines = [f",{blank}".join(names)]
    for i, row in enumerate(rows):
        full = {**usual, "frame": i + 1, "timestamp": i / 30, **dict.fromkeys(aus, 0), **row}
        lines.append(f",{blank}".join(str(full[name]) for name in names))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def smiles(values: Sequence[float], **more: Any) -> list[dict[str, Any]]:
    return [{"AU12_r": value, **more} for value in values]


def film(folder: Path, frames: int, name: str = "ada.avi") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_video(folder / name, list(range(40, 40 + frames)))


def stored(root: Path, intensities: str, **more: Any) -> ClipStore:
    """A store of films or photos that are not searched for faces."""
    out = root.parent / "store"
    chosen = {"image_size": 8, "geometry": "crop", "apex": "annotated", **more}
    return prepare("folder", root, out, intensities=intensities, **chosen)


def framed(folder: Path, numbers: range, onset: int, offset: int, name: str = "EP01") -> FramedClip:
    """A clip of images ``EP01/imgN.jpg``, of a recording that may have more of them."""
    place = folder / "sub01" / "EP01"
    place.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (place / f"img{number}.jpg").touch()
    clip = Clip(source="casme2", subject="sub01", name=name, onset=onset, apex=None, offset=offset,
                emotion="others")  # fmt: skip
    files = ClipFiles(clip, tuple(place / f"img{i}.jpg" for i in range(onset, offset + 1)))
    return FramedClip(clip, files, Cut.whole(8, 8, 8), None)


def read(reader: FileReader, item: FramedClip) -> tuple[list[float], list[Problem]]:
    """AU 12 of each frame, on OpenFace's scale; and what was wrong."""
    problems = reader.find([(item, None)])
    if any(problem.fatal for problem in problems):
        raise AssertionError(problems)
    values = reader.read(item, iter(()), None).intensities[:, PLACE_12]
    return (5 * values.astype(float)).round(3).tolist(), problems
