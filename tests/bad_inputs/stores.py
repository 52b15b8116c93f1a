"""Stores: damaged files, and whole files with values that no store has."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import mersynth
from mersynth.store import ClipStore
from mersynth.store.dataset import ClipDataset
from tests.bad_inputs.case import Act, Case
from tests.bad_inputs.damage import (
    ANY_FILE,
    GONE,
    HUGE,
    TEXTS,
    claim,
    edit,
    edit_array,
    edit_clips,
    seal_store,
)
from tests.bad_inputs.world import QUICK

READERS: dict[str, Act] = {
    "open": lambda: ClipStore.open("store"),
    "load_clips": lambda: mersynth.load_clips("store")[1][0],
    "doctor": ("mersynth", "doctor", "--store", "store"),
    "features": ("mersynth", "prepare", "--store", "store", "--features", "intensity_change"),
    "export": ("mersynth", "export", "--store", "store", "--layout", "imagefolder", "--out", "e"),
    "generate": (
        *("mersynth", "generate", "--store", "store", "--checkpoint", "generator"),
        *("--per-class", "2", "--dry-run"),
    ),
    "fit": (
        *("recognizers", "fit", "--model", "ststnet_tiny", "--store", "store", "--out", "f"),
        *QUICK,
    ),
    "data set": lambda: ClipDataset(ClipStore.open("store"), 4, "five")[0],
}
FILES = ("store.json", "clips.parquet", "frames.npy", "intensities.npy", "landmarks.npy")


def _case(what: str, reader: str, spoil: Callable[[], object], said: Any = "store") -> Case:
    needs = ("store", "generator") if reader == "generate" else ("store",)
    return Case(f"store, {what}: {reader}", needs, READERS[reader], said, spoil)


def store_cases() -> Iterator[Case]:
    for file, (name, damage) in itertools.product(FILES, ANY_FILE.items()):
        for reader in READERS if name == "a byte changed" else ("open", "export"):
            yield _case(f"{file} {name}", reader, partial(damage, Path("store", file)))
    for name, damage in TEXTS.items():
        for reader in ("doctor", "fit"):
            yield _case(f"store.json {name}", reader, partial(damage, Path("store/store.json")))
    readers = itertools.cycle(READERS)
    for (place, new), _ in itertools.product(HEADERS, range(2)):
        spoil = partial(edit, "store/store.json", place, new)
        yield _case(f"header {place} = {repr(new)[:40]}", next(readers), spoil)
    for (column, value, kind), _ in itertools.product(CELLS, range(2)):
        spoil = partial(edit_clips, "store", column, value, kind=kind)
        shown = repr(value)[:40]
        yield _case(f"{column} = {shown} {kind or ''}", next(readers), spoil)
    for (column, value), reader in itertools.product(HARMLESS, ("load_clips", "fit")):
        spoil = partial(edit_clips, "store", column, value)
        yield _case(f"{column} = {repr(value)[:20]}", reader, spoil, said=None)
    for (name, array, change), _ in itertools.product(ARRAYS, range(2)):
        spoil = partial(edit_array, "store", array, change)
        yield _case(f"{array} {name}", next(readers), spoil, said=array)
    for array, shape in itertools.product(FILES[2:], CLAIMS):
        spoil = partial(_claimed, array, shape)
        yield _case(f"{array} claims {shape}", next(readers), spoil, said=array)
    for name, note in VERDICTS.items():
        yield _case(f"verdict {name}", "open", partial(_noted, note), said=None)
        yield _case(f"verdict {name}, and damage", "load_clips", partial(_noted, note, True))


HEADERS: list[tuple[str, object]] = [
    *[("schema_version", value) for value in (GONE, "2", [], None, 99, 2.5, -1, True)],
    *[("header", value) for value in (GONE, [], "x", None, 5, {})],
    *[("header.source", value) for value in (GONE, 5, None, "", [], {"a": 1})],
    *[("sha256", value) for value in (GONE, [], "x", None, {})],
    ("header.framing", {"eyes": "x", "apart": 1, "aspect": 1}),
    ("header.framing", {"eyes": 0.3}),
    ("header.framing", {"eyes": -3.0, "apart": 0.0, "aspect": 1e300}),
    ("header.framing", "tight"),
    ("header.scheme", 5),
    ("header.scheme", "seventeen"),
    ("header.parts", "x"),
    ("header.parts", [5]),
    ("header.parts", [{"header": None}]),
]
CELLS: list[tuple[str, object, Any]] = [
    *[("fps", value, None) for value in (float("nan"), float("inf"), 0.0, -5.0, None, GONE)],
    ("fps", ["fast"] * 15, pa.string()),
    ("onset", ["first"] * 15, pa.string()),
    ("subject", list(range(15)), pa.int64()),
    ("aus", [4.5] * 15, pa.float64()),
    ("unseen", ["samm/000"] * 15, pa.string()),
    *[("emotion", value, None) for value in ("joyfulness", "", None, "a\nb", GONE)],
    *[("subject", value, None) for value in ("", "a/b", None, GONE)],
    *[("source", value, None) for value in ("", "a/b", None, GONE)],
    *[("name", value, None) for value in ("", None, "anger_0", GONE)],
    *[("onset", value, None) for value in (-HUGE, HUGE, None, GONE)],
    *[("offset", value, None) for value in (-1, HUGE, 2**62, None)],
    *[("apex", value, None) for value in (HUGE, -1)],
    ("aus", None, None),
    *[("strength", value, None) for value in ("huge", "", None)],
    ("template", "not an id", None),
    ("generator", "", None),
    *[("unseen", value, None) for value in ([None], [""], None)],
]
# As annotated, and as older stores have it.
HARMLESS: list[tuple[str, object]] = [("aus", "(" * 50_000), ("aus", GONE), ("unseen", GONE)]


def _first(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[0] = value
    return array


ARRAYS: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = [
    ("above 1", "intensities", lambda a: _first(a, 1.5)),
    ("below 0", "intensities", lambda a: _first(a, -0.5)),
    ("infinite", "intensities", lambda a: _first(a, np.inf)),
    ("of 0 to 5", "intensities", lambda a: a * 5),
    ("infinite", "landmarks", lambda a: _first(a, -np.inf)),
    ("at 1e30", "landmarks", lambda a: _first(a, 1e30)),
    ("as float", "frames", lambda a: a.astype(np.float32)),
    ("as float64", "intensities", lambda a: a.astype(np.float64)),
    ("grey", "frames", lambda a: a[..., 0]),
    ("not square", "frames", lambda a: a[:, :8]),
    ("one short", "frames", lambda a: a[:-1]),
    ("one more", "landmarks", lambda a: np.concatenate([a, a[:1]])),
    ("without sides", "intensities", lambda a: a[..., 0]),
    ("empty", "frames", lambda a: a[:0]),
    ("a number", "intensities", lambda a: np.array(1.0)),
    ("objects", "landmarks", lambda a: np.array([{"a": 1}] * len(a), dtype=object)),
    ("of size 0", "frames", lambda a: a[:, :0, :0]),
    ("big-endian", "intensities", lambda a: a.astype(">f4")),
]
CLAIMS = [(10**12, 32, 32, 3), (-5, 32, 32, 3), (2**63,), ()]


def _claimed(array: str, shape: tuple[int, ...]) -> None:
    claim(Path("store", array), shape)
    seal_store("store")


VERDICTS: dict[str, str | bytes] = {
    "deep": "[" * 200_000,
    "of nonsense": '{"frames.npy": 5}',
    "binary": b"\xff\xfe\x00",
    "a number": "5",
    "of strings": json.dumps({"frames.npy": {"sha256": "x", "mtime_ns": "y", "ctime_ns": []}}),
}


def _noted(note: str | bytes, damage: bool = False) -> None:
    if damage:
        ANY_FILE["a byte changed"](Path("store/frames.npy"))
    file = Path("store/.verified.json")
    file.write_bytes(note if isinstance(note, bytes) else note.encode())
