"""The worst clips of every measure, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mersynth.facs.action_units import CONDITION_AUS, SIDES
from mersynth.pages.pictures import data_url, difference
from mersynth.quality.sample import Sample

_TILE = 96  # pixels of a picture on the page
_GAP = 3
_SHOWN = 0.03  # an AU asked for less is not shown


@dataclass(frozen=True, slots=True)
class Kind:
    """A measure by clip, and which end of it is bad.

    Attributes:
        measure, key: where its values are in the result.
        title: its title on the page.
        highest: whether high values are bad.
        unit: text after the value.
    """

    measure: str
    key: str
    title: str
    highest: bool
    unit: str


KINDS = (
    Kind("au_control", "error", "Read differs most from asked", True, "mean error"),
    Kind("au_control", "other", "An AU shows that nobody asked for", True, "strongest other AU"),
    Kind("identity", "apex", "Least like the source face", False, "cosine"),
    Kind("outside", "difference", "Most change outside the moved region", True, "mean difference"),
    Kind("motion", "magnitude", "Moves least", False, "% of the side"),
    Kind("motion", "roughness", "Moves least smoothly", True, "roughness"),
    Kind("motion", "offset_return", "Returns least at the offset", True, "of the apex's motion"),
    Kind("distribution", "nearest", "Nearest to a real frame", False, "distance"),
)


def find_worst(
    measures: Mapping[str, Mapping[str, Any]], sample: Sample, count: int
) -> list[dict[str, Any]]:
    """The worst clips of every measure taken.

    Returns:
        ``kind``, index in :data:`KINDS`, ``title``, and ``clips``: each ``row`` (in the sample),
        ``clip`` (id) and ``value``, the worst first.
    """
    found = []
    for number, kind in enumerate(KINDS):
        values = measures.get(kind.measure, {}).get("per_clip", {}).get(kind.key)
        if values is None or not np.isfinite(values).any():
            continue
        badness = np.where(np.isfinite(values), values if kind.highest else -values, -np.inf)
        rows = np.argsort(-badness, kind="stable")[:count]
        clips = [
            {"row": int(i), "clip": sample.clips[i].id, "value": float(values[i])}
            for i in rows
            if np.isfinite(values[i])
        ]
        found.append({"kind": number, "title": kind.title, "clips": clips})
    return found


def strip(sample: Sample, row: int) -> str:
    """A clip's onset, apex, offset and frames in between, and its magnified change at the apex.

    Returns:
        A picture as a data URL to embed in a page.
    """
    apex, last = int(sample.apex[row]), sample.frames.shape[1] - 1
    moments = [0, apex // 2, apex, (apex + last) // 2, last]
    frames = sample.frames[row]
    tiles = [_enlarged(frames[i]) for i in moments]
    tiles.append(_enlarged(difference(frames[0], frames[apex])))
    gap = np.full((_TILE, _GAP, 3), 255, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    return data_url(np.concatenate(parts, axis=1))


def describe(sample: Sample, row: int, read: np.ndarray | None, readable: list[int]) -> str:
    """For instance ``asked AU L14 0.31 (read 0.12); also read AU 7 0.10``."""
    asked = np.nan_to_num(sample.apex_moved[row])  # (20, 2)
    got = None if read is None else read[row, int(sample.apex[row])]  # (20, 1 or 2)
    strongest = asked.max(1)
    parts = []
    for column in np.argsort(-strongest)[:4]:
        if strongest[column] >= _SHOWN:
            au = CONDITION_AUS[column]
            side = _side(asked[column])
            of_sides = slice(None) if side is None else side
            seen = ""
            if got is not None and au in readable:
                value = got[column][of_sides if len(got[column]) > 1 else 0].mean()
                seen = f" (read {max(float(value), 0.0):.2f})"
            letter = "" if side is None else SIDES[side][0].upper()
            parts.append(f"AU {letter}{au} {asked[column][of_sides].mean():.2f}{seen}")
    text = "asked " + ", ".join(parts) if parts else f"annotated {sample.clips[row].aus or '–'}"  # noqa: RUF001
    if got is not None:
        others = [
            (float(got[c].max()), CONDITION_AUS[c])
            for c in range(len(CONDITION_AUS))
            if strongest[c] < _SHOWN and CONDITION_AUS[c] in readable
        ]
        if others and max(others)[0] > 0.05:
            value, au = max(others)
            text += f"; also read AU {au} {value:.2f}"
    return text


def _side(asked: np.ndarray) -> int | None:
    """Which of the sides (2,) is the only one asked for; None: both."""
    return int(asked.argmax()) if asked.min() < _SHOWN else None


def _enlarged(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
