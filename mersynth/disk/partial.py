"""Names of outputs in the making, and what killed processes left of them.

An output in the making lies beside its final place, under a name that no other process uses:
``.samm.<host>-<process>-<random>.partial``. Its writer removes it on failure; if the writer was
killed, the next writer of the same output does.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
from pathlib import Path

_MARK = r"[\w-]+-\d+-[0-9a-f]{8}"
_PARTIAL = re.compile(rf"\.(.+)\.{_MARK}\.partial")


def partial_of(path: Path) -> Path:
    """A name beside ``path`` for an output in the making, which no other process uses."""
    mark = f"{_here()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{short_name(path.name)}.{mark}.partial")


def short_name(name: str, limit: int = 150) -> str:
    """A name of at most ``limit`` bytes: a longer one is cut, and a checksum makes it unique.

    File systems take 255 bytes, and names are made of names.
    """
    whole = os.fsencode(name)
    if len(whole) <= limit:
        return name
    mark = f"~{hashlib.sha256(whole).hexdigest()[:12]}"
    return whole[: limit - len(mark)].decode("utf-8", "ignore") + mark


def partials_of(path: Path) -> list[Path]:
    """Partial outputs of ``path``: being written, or left by a process that was killed."""
    name = re.escape(short_name(path.name))
    pattern = re.compile(rf"\.{name}\.{_MARK}\.partial")
    if not path.parent.is_dir():
        return []
    return sorted(found for found in path.parent.iterdir() if pattern.fullmatch(found.name))


def place_of(partial: Path) -> Path:
    """Where an output in the making, or a file within it, will lie."""
    return Path(*(_PARTIAL.sub(r"\1", part) for part in partial.parts))


def remove_abandoned(path: Path) -> None:
    """Remove partial outputs of ``path`` left by killed processes of this machine.

    Those of other machines stay: their processes may be running.
    """
    for found in partials_of(path):
        host, pid, _ = found.name.removesuffix(".partial").rpartition(".")[2].rsplit("-", 2)
        if host == _here()[:60] and not _is_alive(int(pid)):
            remove(found)


def _here() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 would end the process: leave the file alone
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
