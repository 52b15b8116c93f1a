"""Which file of AU intensities is a clip's, and which of its rows is a frame's and a face's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mersynth.checks import listed, ranges
from mersynth.clips import flat_name
from mersynth.face.au_table import AUTable
from mersynth.face.boxes import best_overlap, box_around, overlap
from mersynth.sources.video import VideoFile

if TYPE_CHECKING:
    from pathlib import Path

    from mersynth.face.framing import FramedClip

_DEPTH = 6  # folders above a clip that may be repeated above its file
_SAME_PLACE = 0.4  # least overlap with the clip's face of landmarks that are kept


def own_path(item: FramedClip) -> Path:
    """A clip's folder of frames, or its film or photo without the ending."""
    first = item.files.frames[0]
    return first.parent if len(item.files.frames) > 1 else first.with_suffix("")


def names_of(item: FramedClip) -> list[str]:
    """What a clip's file may be called, without ``.csv``, the surest name first."""
    clip, own = item.clip, own_path(item)
    parts = [part for part in own.parts if part != own.anchor][-_DEPTH:]
    paths = ["/".join(parts[i:]) for i in range(len(parts))]
    subject = f"{clip.subject}/{clip.name}", f"{clip.subject}_{clip.name}", flat_name(clip)
    return list(dict.fromkeys([*paths[:-1], *subject, paths[-1], clip.name]))


def numbers_of(
    item: FramedClip, table: AUTable, first: int, images: Callable[[Path], list[str]]
) -> np.ndarray:
    """The numbers (T,) that a clip's frames have in a file; ``images`` lists those of a folder.

    The tool saw the folder or film in which the clip lies, or a copy of the clip alone, and counted
    from ``first``; or the file has the numbers of the frames' names.
    """
    clip, frames = item.clip, item.files.frames
    inside = np.arange(clip.num_frames)
    last = int(table.numbers.max(initial=first))
    if isinstance(item.files, VideoFile):
        ways, ends = [clip.onset + inside], [clip.offset]
    elif len(frames) == 1:  # each photo is read for itself
        ways, ends = [inside], [0]
    else:
        own = [path.name for path in frames]
        orders = [sorted(n, key=_key(table.by_name)) for n in (images(frames[0].parent), own)]
        orders = [order for order in orders if set(own) <= set(order)]
        ranks = [{name: rank for rank, name in enumerate(order)} for order in orders]
        ways = [np.array([rank[name] for name in own]) for rank in ranks]
        ends = [len(order) - 1 for order in orders]
    for way, end in zip(ways, ends, strict=True):
        if last == first + end:
            return first + way
    named = clip.onset + inside
    by_names = len(frames) > 1 and not table.by_name
    if by_names and table.numbers.min(initial=last) <= named[0] and named[-1] <= last:
        return named
    if not table.every_frame:
        fitting = {tuple(first + way) for way, end in zip(ways, ends, strict=True)
                   if last <= first + end}  # fmt: skip
        if len(fitting) == 1:
            return np.array(fitting.pop())
    held = ranges(np.unique(table.numbers).tolist()) if len(table.numbers) else "no frame"
    raise ValueError(
        f"holds {held}, but the clip has {clip.num_frames} frames ({clip.onset} to {clip.offset}): "
        "it was cut short, or is that of another clip"
    )


def _key(by_name: bool) -> Callable[[str], Any]:
    """Sorts names as texts, or the numbers in them as numbers."""
    if by_name:
        return str
    return lambda name: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", name)]


def joined(tables: Sequence[AUTable]) -> AUTable:
    """The tables of a clip's frames as one, in which they are counted from 0."""
    numbers = [np.full(len(table.faces), i) for i, table in enumerate(tables)]
    landmarks = [table.landmarks for table in tables if table.landmarks is not None]
    return AUTable(
        np.concatenate(numbers),
        np.concatenate([table.faces for table in tables]),
        np.concatenate([table.intensities for table in tables]),
        np.concatenate([table.failed for table in tables]),
        np.concatenate(landmarks) if len(landmarks) == len(tables) else None,
    )


def rows_of_face(
    item: FramedClip, table: AUTable, wanted: np.ndarray, box: np.ndarray | None
) -> tuple[np.ndarray, str | None]:
    """The row (T,) of the clip's face in each frame, -1 without one; what to say of the others."""
    here: dict[int, list[int]] = {number: [] for number in wanted.tolist()}
    for row, number in enumerate(table.numbers.tolist()):
        if number in here:
            here[number].append(row)
    for number, rows in here.items():
        if len({int(table.faces[row]) for row in rows}) < len(rows):
            raise ValueError(f"frame {number} occurs twice with one face; run the tool again")
    faces = sorted({int(table.faces[row]) for rows in here.values() for row in rows})
    if len(faces) < 2:
        return np.array([rows[0] if rows else -1 for rows in here.values()]), None
    if table.landmarks is not None and box is not None:
        chosen = [_in_place(item, table.landmarks, rows, box) for rows in here.values()]
        if max(chosen) < 0:
            raise ValueError(
                f"none of its {len(faces)} faces lies where the clip's face is; was the tool given "
                "these frames, at their size?"
            )
        used = sorted({int(table.faces[row]) for row in chosen if row >= 0})
        how = "lies" if len(used) == 1 else "lie"
        which = f"{_named(used)}, which {how} where the clip's face is"
    else:
        most = Counter(int(table.faces[r]) for rows in here.values() for r in rows
                       if not table.failed[r])  # fmt: skip
        face = max(faces, key=lambda each: (most[each], _size(table, each), -each))
        chosen = [next((r for r in rows if table.faces[r] == face), -1) for rows in here.values()]
        which = (
            f"{_named([face])}, which is measured most often ({most[face]} of {len(here)} frames)"
        )
    gone = sum(row < 0 for row in chosen)
    absent = f"; it is absent from {gone} of {len(here)} frames" if gone else ""
    return np.array(chosen), f"{len(faces)} faces; taken is {which}{absent}"


def _in_place(
    item: FramedClip, landmarks: np.ndarray, rows: Collection[int], box: np.ndarray
) -> int:
    """The row whose face overlaps the clip's most; -1 if none does."""
    boxes = [box_around(item.transform.apply_points(landmarks[row])) for row in rows]
    best, shared = best_overlap(boxes, box) if boxes else (-1, 0.0)
    return list(rows)[best] if shared > 0 else -1


def _size(table: AUTable, face: int) -> float:
    """Mean area of a face's landmarks, where they are known."""
    if table.landmarks is None:
        return 0.0
    sides = np.ptp(table.landmarks[(table.faces == face) & (table.failed == "")], axis=1)
    return float(sides.prod(-1).mean()) if len(sides) else 0.0


def _named(faces: Sequence[int]) -> str:
    return f"{'face' if len(faces) == 1 else 'faces'} {listed(faces, 5)}"


def placed_landmarks(
    item: FramedClip, table: AUTable, rows: np.ndarray, box: np.ndarray | None
) -> np.ndarray | None:
    """Landmarks (T, 68, 2) of the rows in the store's frames, where they lie on the clip's face."""
    if table.landmarks is None or box is None:
        return None
    found = np.full((len(rows), *table.landmarks.shape[1:]), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row >= 0:
            points = item.transform.apply_points(table.landmarks[row])
            if overlap(box_around(points), box) >= _SAME_PLACE:
                found[place] = points
    return found if np.isfinite(found).any() else None
