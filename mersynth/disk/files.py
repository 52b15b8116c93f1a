"""Files and folders written all or nothing, their checksums, and tensors read from files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mersynth.disk.full_disk import full_disk_named
from mersynth.disk.partial import partial_of, remove_abandoned

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 1 << 20  # bytes hashed at once


@contextmanager
def whole_file(path: Path, replace: bool = True) -> Iterator[Path]:
    """A file to write, which is moved to ``path`` when the block ends and vanishes if it fails.

    Args:
        path: the file's place.
        replace: whether it may replace an existing file.

    Raises:
        FileExistsError: if it may not, and ``path`` exists.
        NoSpaceError: if the disk is full.

    Example:
        >>> with whole_file(Path("table.csv")) as partial:      # doctest: +SKIP
        ...     table.to_csv(partial)
    """
    remove_abandoned(path)
    partial = partial_of(path)
    try:
        # Usual permissions for new files: some libraries write files for the owner alone.
        partial.touch()
        mode = partial.stat().st_mode
        partial.unlink()
        with full_disk_named(path):
            yield partial
        partial.chmod(mode)
        if replace:
            partial.replace(path)
        else:
            move_whole(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which is moved to ``path`` when the block ends and vanishes if it fails.

    Raises:
        FileExistsError: if something has appeared at ``path`` meanwhile.
        NoSpaceError: if the disk is full.
    """
    remove_abandoned(path)
    partial = partial_of(path)
    partial.mkdir(parents=True)
    try:
        with full_disk_named(path):
            yield partial
        move_whole(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def real_path(path: str | Path) -> Path:
    """An absolute path without symbolic links; of links that lead to themselves, as far as it goes.

    ``Path.resolve`` raises RuntimeError of these until Python 3.12.
    """
    return Path(os.path.realpath(path))


def check_regular(path: Path) -> None:
    """Refuse what is no file, such as a folder, or a FIFO, whose reading may never end.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if it is no file; the message gives no path.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError("a folder, not a file" if stat.S_ISDIR(mode) else "not a regular file")


def file_name(text: str) -> str:
    """A text as a safe file name on any system.

    Example:
        >>> file_name("../a b:c.d")
        '_a b_c.d'
    """
    return re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", text).lstrip(". ").rstrip(". ") or "_"


def move_whole(partial: Path, path: Path) -> None:
    """Move a complete output to its place.

    Raises:
        FileExistsError: if something exists there.
    """
    if path.exists():
        raise FileExistsError(f"{path} appeared while it was being written; nothing was replaced")
    partial.rename(path)


def write_json_atomically(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def sha256_of_file(path: Path, advance: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Args:
        path: the file.
        advance: called with the number of bytes read since the last call.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            if advance is not None:
                advance(count)
    return digest.hexdigest()


def checksum_of(value: object) -> str:
    """SHA-256 of a JSON-able value, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Where two JSON-able mappings differ, for instance ``"gan.steps was 10, is 20"``."""
    before, after = flat(json.loads(json.dumps(old))), flat(json.loads(json.dumps(new)))
    return [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, their keys joined by dots."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = inner
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of what ``torch.save`` wrote, on the CPU.

    No code in the file is run. :func:`tensors_by_name` says where in it the tensors may be; numbers
    and numpy arrays, such as a training loss, may accompany them.

    Raises:
        ValueError: if the file is missing, needs code to be run, or holds no named tensors, or one
            that is not finite.
    """
    import torch

    if not path.is_file():
        raise ValueError(f"no weights at {path}")
    tensors = _named_tensors(path)
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{path} holds NaN or infinite weights, in {name}")
    return tensors


def _named_tensors(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return tensors_by_name(load_file(path))
        with torch.serialization.safe_globals(_numpy_values()):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever the file's bytes lead it to
        raise ValueError(_unreadable(path, str(error))) from error
    return tensors_by_name(values, f" in {path}")


def tensors_by_name(values: object, where: str = "") -> dict[str, Tensor]:
    """The tensors of a state dict, or of a training checkpoint that contains one.

    ``DataParallel``'s prefix ``module.`` is removed.

    Args:
        values: a mapping from names to tensors, or one that has such a mapping as ``state_dict``,
            ``model_state_dict``, ``model`` or ``net``.
        where: added to error messages, for instance ``" in FILE"``.

    Raises:
        ValueError: if there are no named tensors.
    """
    import torch

    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping):
        raise ValueError(f"expected named tensors{where}, got {type(values).__name__}")
    wrong = [name for name, value in values.items() if not torch.is_tensor(value)]
    if wrong or not values:
        found = f"{wrong[0]!r} is not a tensor" if wrong else "nothing"
        raise ValueError(f"expected named tensors{where}, found: {found}")
    wrapped = all(str(name).startswith("module.") for name in values)
    return {str(n).removeprefix("module.") if wrapped else str(n): v for n, v in values.items()}


def _numpy_values() -> list[Any]:
    """The functions that restore numpy numbers, strings and arrays: data without code."""
    import numpy as np

    scalar: Any = np.float64(0).__reduce__()[0]
    array: Any = np.zeros(1).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "efdgFDG?SU"}
    # numpy 2 moved these; files name their old place.
    moved = [
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in (scalar, array)
        for core in ("core", "_core")
    ]
    return [np.dtype, np.ndarray, *kinds, *moved]


def _unreadable(path: Path, message: str) -> str:
    needed = re.search(r"[Uu]nsupported (?:global: GLOBAL|GLOBAL|class) ([\w.]+)", message)
    if needed is not None:
        return (
            f"{path} holds {needed[1]}; reading that would run code, which is refused. If you "
            "trust the file, save only its tensors: "
            f"torch.save(torch.load('{path}', weights_only=False)['state_dict'], NEW_FILE)"
        )
    reason = (message.partition("WeightsUnpickler error:")[2] or message).strip().partition("\n")[0]
    return f"{path} cannot be read as weights ({reason or 'it is empty'})"
