"""Feature files: arrays, headers and archives."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_inputs.case import Act, Case
from tests.bad_inputs.damage import ANY_FILE, claim
from tests.bad_inputs.world import QUICK

READERS: dict[str, Act] = {
    "fit": (
        *("recognizers", "fit", "--model", "ststnet_tiny", "--data", "data.npz", "--out", "f"),
        *QUICK,
    ),
    "loso": (
        *("recognizers", "loso", "--model", "ststnet_tiny", "--data", "data.npz", "--out", "l"),
        *("--groups", "2", *QUICK),
    ),
}


def feature_cases() -> Iterator[Case]:
    turns = itertools.cycle(READERS)
    for name, damage in (ANY_FILE | ARCHIVES).items():
        for reader, act in READERS.items():
            spoil = partial(damage, Path("data.npz"))
            yield Case(f"data.npz {name}: {reader}", ("data.npz",), act, "data.npz", spoil)
    for (key, value), good in [(one, False) for one in BAD] + [(one, True) for one in GOOD]:
        reader = next(turns)
        shown = f"{key} = {_shown(value)}"
        said = None if good else "data.npz"
        spoil = partial(_with, key, value)
        yield Case(f"data.npz, {shown}: {reader}", ("data.npz",), READERS[reader], said, spoil)


def _shown(value: Any) -> str:
    return value.__name__ if callable(value) else repr(value)[:60].replace("\n", "")


def _with(key: str, value: Any) -> None:
    with np.load("data.npz") as file:
        arrays = dict(file)
    if value is None:
        del arrays[key]
    else:
        arrays[key] = value(arrays[key]) if callable(value) else np.asarray(value)
    np.savez("data.npz", **arrays)


def _bomb(file: Path, size: int = 1 << 34) -> None:
    """An array of zeros that packs a thousand to one; only its start is written."""
    head = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (size // 4,)}
    np.lib.format.write_array_header_1_0(head, shape)
    block = bytes(1 << 24)
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as out,
    ):
        out.write(head.getvalue())
        for _ in range(16):
            out.write(block)


def _claims(file: Path, shape: tuple[int, ...], kind: str = "<f4") -> None:
    claim(Path("x.npy"), shape, kind)
    with zipfile.ZipFile(file, "w") as archive:
        archive.write("x.npy")
    Path("x.npy").unlink()


def _objects(file: Path) -> None:
    np.savez(file, x=np.array([{"a": 1}], dtype=object), y=np.zeros(1, int))


def _members(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.npy", b"")


ARCHIVES: dict[str, Callable[[Path], object]] = {
    "a bomb": _bomb,
    "claims terabytes": partial(_claims, shape=(10**12, 3, 28, 28)),
    "claims more than 64 bits": partial(_claims, shape=(2**62, 2**62)),
    "claims a negative size": partial(_claims, shape=(-4, 3)),
    "of an unknown type": partial(_claims, shape=(4,), kind="<q9"),
    "of objects": _objects,
    "of 20,000 members": _members,
    "one array": lambda file: np.save(file.open("wb"), np.zeros(3)),
    "no arrays": lambda file: np.savez(file),
    "other files in a zip": lambda file: zipfile.ZipFile(file, "w").writestr("a.txt", "b"),
}


def _nan(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[2, 0, 0, 0] = np.nan
    return x


def _inf(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[2, 0, 0, 0] = -np.inf
    return x


def _huge(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) * 1e300


def _short(x: np.ndarray) -> np.ndarray:
    return x[:-1]


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _complex(x: np.ndarray) -> np.ndarray:
    return x.astype(complex)


def _swapped(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def _no_pixels(x: np.ndarray) -> np.ndarray:
    return x[..., :0]


def _floats(y: np.ndarray) -> np.ndarray:
    return y + 0.5


def _many(y: np.ndarray) -> np.ndarray:
    return np.where(y == 2, 10**6, y)


def _int64(y: np.ndarray) -> np.ndarray:
    return np.where(y == 2, 2**63 - 1, y)


def _uint64(y: np.ndarray) -> np.ndarray:
    return np.where(y == 2, 2**64 - 1, y.astype(np.uint64))


def _negative(y: np.ndarray) -> np.ndarray:
    return y - 1


def _blank(texts: np.ndarray) -> np.ndarray:
    return np.array(["", *texts[1:]])


def _slash(texts: np.ndarray) -> np.ndarray:
    return np.array(["a/b", *texts[1:]])


def _twice(texts: np.ndarray) -> np.ndarray:
    return np.array([texts[1], *texts[1:]])


def _half(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16)


def _double(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


BAD: list[tuple[str, Any]] = [
    *[("x", value) for value in (_nan, _inf, _huge, _short, _flat, _complex, _swapped, None)],
    *[("x", value) for value in (_no_pixels, 5.0, "text", np.zeros((0, 3, 8, 8)))],
    *[("y", value) for value in (_floats, _int64, _uint64, _negative, _many, _short, None, 1)],
    *[("y", value) for value in (np.zeros((30, 1), int), [float("nan")] * 30)],
    *[("y", value) for value in (["nobody"] * 30, [True] * 30, [b"x"] * 30)],
    *[("subject", value) for value in (_short, _blank, _slash, None, 5, [float("nan")] * 30)],
    *[("subject", value) for value in (np.zeros((30, 2), int),)],
    *[("dataset", value) for value in (_short, _blank, _slash, "samm")],
    *[("clip", value) for value in (_short, _blank, _twice, 5)],
    *[("classes", value) for value in (["one"], ["a", "a", "b"], [], ["a", "", "b"], 5, "abc")],
    *[("classes", value) for value in ([["a", "b", "c"]], ["a", "b"])],
    *[("channels", value) for value in (["u", "v"], ["v", "u", "strain"], [], 5, [[["u"]]])],
    *[("aus", value) for value in (["4"] * 5, "4")],
    *[("scale", value) for value in ("large", 5, [1, 2])],
    *[("framing", value) for value in ([0.3], "tight", [float("nan")] * 3, [-1, 0, 1])],
    *[("unseen", value) for value in (["a"] * 5, 5)],
    *[("generator", value) for value in (["a"] * 5,)],
    *[("template", value) for value in (["a"] * 5,)],
]
GOOD: list[tuple[str, Any]] = [
    ("x", _half),
    ("x", _double),
    ("classes", None),
    ("channels", None),
    ("clip", None),
    ("dataset", None),
    ("subject", [i // 5 for i in range(30)]),
    ("subject", [f"\u8868\u60c5 {i // 5}" for i in range(30)]),
    ("note", "read by nobody"),
]
