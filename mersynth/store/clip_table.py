"""The table of a store's clips, ``clips.parquet``: written and read column by column."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

import numpy as np

from mersynth.clips import Clip, Strength
from mersynth.disk.files import check_regular

if TYPE_CHECKING:
    import pyarrow as pa

CLIP_FIELDS = tuple(field.name for field in dataclasses.fields(Clip))
_NUMBERS = ("onset", "apex", "offset", "fps")
_OPTIONAL = ("apex", "template", "generator", "apex_method")

# What the columns of texts must not hold; Clip says why.
_WRONG: dict[str, Callable[[Any], bool]] = {
    "source": lambda name: not name or "/" in name,
    "subject": lambda name: not name or "/" in name,
    "name": lambda name: not name,
    "strength": lambda name: name not in get_args(Strength),
    "template": lambda clip: clip is not None and clip.count("/") < 2,
    "generator": lambda sha256: sha256 == "",
    "unseen": lambda people: not all(person and "/" in person for person in people),
}


class ClipTable(Sequence[Clip]):
    """The rows of the table, each of which becomes a :class:`Clip` when it is asked for.

    Args:
        columns: the values of every row, by the field of :class:`Clip`.

    Raises:
        KeyError, TypeError: if a column is missing, unknown or of another type.
        ValueError: if a row is not a clip.
    """

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns
        onset, offset = np.array(columns["onset"], int), np.array(columns["offset"], int)
        self.lengths: np.ndarray = offset - onset + 1
        # All rows are checked at once; of those that are wrong, the clip itself says why.
        apex = np.array(columns["apex"], float)
        fits = ~((apex < onset) | (apex > offset)) & (self.lengths > 0)
        fps = np.array(columns["fps"], float)
        fits &= (fps > 0) & np.isfinite(fps)
        for part, wrong in _WRONG.items():
            values = columns.get(part, ())
            if found := {value for value in set(values) if wrong(value)}:
                fits &= np.array([value not in found for value in values], bool)
        for row in [0, *np.flatnonzero(~fits)] if len(onset) else []:
            self[row]

    @classmethod
    def read(cls, path: Path) -> ClipTable:
        """Read the table.

        Raises:
            OSError, pyarrow.ArrowException: if the file cannot be read.
            KeyError, TypeError, ValueError: see :class:`ClipTable`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = [name for name in CLIP_FIELDS if name not in (*_NUMBERS, "unseen")]
        check_regular(path)
        table = pq.read_table(path, read_dictionary=texts).unify_dictionaries()
        for name in set(table.column_names) - set(_OPTIONAL):
            if table.column(name).null_count:
                raise ValueError(f"a clip has no {name}")
        for name in ("onset", "apex", "offset"):
            if not pa.types.is_integer(kind := table.schema.field(name).type):
                raise ValueError(f"{name} holds {kind}, not whole numbers")
        return cls({name: _values(table.column(name)) for name in table.column_names})

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...
    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        return Clip(**{name: values[index] for name, values in self._columns.items()})

    def __iter__(self) -> Iterator[Clip]:
        names = list(self._columns)
        rows = zip(*self._columns.values(), strict=True)
        return (Clip(**dict(zip(names, row, strict=True))) for row in rows)

    def pairs(self, one: str, other: str) -> Iterable[tuple[Any, Any]]:
        """The values of two columns, row by row."""
        return zip(self._columns[one], self._columns[other], strict=True)

    def part(self, rows: Sequence[int]) -> ClipTable:
        """The table of these rows alone."""
        part = copy.copy(self)
        part._columns = {n: [values[i] for i in rows] for n, values in self._columns.items()}
        part.lengths = self.lengths[rows]
        return part


def write_clips(path: Path, clips: Sequence[Clip]) -> None:
    """Write the table of these clips."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"onset": pa.int64(), "apex": pa.int64(), "offset": pa.int64(), "fps": pa.float64()}
    kinds["unseen"] = pa.list_(pa.string())
    columns = {
        name: pa.array([getattr(clip, name) for clip in clips], kinds.get(name, pa.string()))
        for name in CLIP_FIELDS
    }
    pq.write_table(pa.table(columns), path)


def clip_row(clip: Clip) -> dict[str, Any]:
    """The fields of a clip as JSON-able values."""
    return {name: getattr(clip, name) for name in CLIP_FIELDS} | {"unseen": list(clip.unseen)}


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values; equal texts, and equal lists of them, are one object."""
    import pyarrow as pa

    if pa.types.is_list(column.type):
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        return [known.setdefault(row, row) for row in map(tuple, column.to_pylist())]
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()
    values: list[Any] = []
    for chunk in column.chunks:
        texts = [*chunk.dictionary.to_pylist(), None]  # the last for what is missing
        values += [texts[i] for i in chunk.indices.fill_null(len(texts) - 1).to_pylist()]
    return values
