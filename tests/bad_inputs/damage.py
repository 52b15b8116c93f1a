"""What happens to files: damage of any file, and wrong values in whole ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mersynth.disk.files import checksum_of, sha256_of_file


class _Gone:
    def __repr__(self) -> str:
        return "gone"


GONE = _Gone()
"""Stands for: remove the key."""
DEEP = "[" * 200_000
HUGE = 10**9

Damage = Callable[[Path], object]


def _replaced(file: Path, make: Callable[[Path], object]) -> None:
    file.unlink()
    make(file)


def _changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)


def _cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


ANY_FILE: dict[str, Damage] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut in half": _cut,
    "a byte changed": _changed,
    "a folder": partial(_replaced, make=Path.mkdir),
    "a FIFO": partial(_replaced, make=os.mkfifo),
    "other text": lambda file: file.write_text("hello\n"),
    "zeros": lambda file: file.write_bytes(bytes(len(file.read_bytes()))),
    "a link to itself": partial(_replaced, make=lambda file: file.symlink_to(file.name)),
}

TEXTS: dict[str, Damage] = {
    "nested deeply": lambda file: file.write_text(DEEP),
    "nested deeply within": lambda file: file.write_text('{"a": ' * 100_000),
    "a list": lambda file: file.write_text("[]"),
    "null": lambda file: file.write_text("null"),
    "a number": lambda file: file.write_text("1e999"),
    "a text": lambda file: file.write_text('"text"'),
    "an empty object": lambda file: file.write_text("{}"),
    "Latin-1": lambda file: file.write_bytes('{"a": "\xe4"}'.encode("latin-1")),
    "a long number": lambda file: file.write_text('{"schema_version": ' + "9" * 5000 + "}"),
}
"""Of JSON files."""


def put(value: Any, place: str, new: object) -> Any:
    """Change a value within JSON-able ones, or remove its key."""
    *path, last = place.split(".")
    node = value
    for part in path:
        node = node[int(part) if isinstance(node, list) else part]
    key = int(last) if isinstance(node, list) else last
    if new is GONE:
        del node[key]
    else:
        node[key] = new
    return value


def edit(file: str | Path, place: str, new: object) -> None:
    """Change a value of a JSON file."""
    file = Path(file)
    file.write_text(json.dumps(put(json.loads(file.read_text()), place, new)))


def edit_sealed(file: str | Path, place: str, new: object, without: tuple[str, ...] = ()) -> None:
    """Change a value of a JSON file that holds a checksum of its content, and that too."""
    file = Path(file)
    content = put(json.loads(file.read_text()), place, new)
    facts = {k: v for k, v in content.items() if k not in ("checksum", *without)}
    file.write_text(json.dumps({**content, "checksum": checksum_of(facts)}))


def seal_store(store: str) -> None:
    """Give a changed store the checksums of its files."""
    meta = json.loads(Path(store, "store.json").read_text())
    meta["sha256"] = {name: sha256_of_file(Path(store, name)) for name in meta["sha256"]}
    Path(store, "store.json").write_text(json.dumps(meta))


def edit_clips(store: str, column: str, value: object, row: int = 1, kind: Any = None) -> None:
    """Set a cell of a store's table; its checksums are right afterwards."""
    file = Path(store, "clips.parquet")
    table = pq.read_table(file)
    place = table.column_names.index(column)
    if value is GONE:
        table = table.remove_column(place)
    else:
        cells = table.column(column).to_pylist()
        cells[row] = value
        if isinstance(value, list) and kind is not None:  # of another type as a whole
            cells = value
        kind = kind or table.schema.field(column).type
        table = table.set_column(place, column, pa.array(cells, kind))
    pq.write_table(table, file)
    seal_store(store)


def edit_array(store: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change an array of a store; its checksums are right afterwards."""
    file = Path(store, f"{name}.npy")
    np.save(file, change(np.load(file)))
    seal_store(store)


def claim(file: Path, shape: tuple[int, ...], kind: str = "|u1") -> None:
    """An .npy file whose header claims more than follows it."""
    with file.open("wb") as out:
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        out.write(bytes(64))


def edit_weights(card: str, change: Callable[[dict[str, Any]], object], sealed: bool) -> None:
    """Change the tensors that a card names, and the checksum on the card."""
    from safetensors.numpy import load_file, save_file

    file = Path(card)
    facts = json.loads(file.read_text())
    weights = file.with_name(facts["weights"])
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights)
    if sealed:
        edit(card, "sha256", sha256_of_file(weights))
