"""Default places of data, stores, models and runs; they are defined only here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mersynth.disk.partial import short_name

DATA_VARIABLE = "MERSYNTH_DATA"


def data_root(source: str, root: str | Path | None = None) -> Path:
    """Folder of a database: ``root``, else ``$MERSYNTH_DATA/<source>``, else ``./data/<source>``.

    Args:
        source: name of the database, for instance ``"samm"``.
        root: the folder itself, as the user gave it; None for the default.

    Example:
        >>> data_root("samm", "elsewhere/SAMM")
        PosixPath('elsewhere/SAMM')
    """
    if root is not None:
        return Path(root)
    return Path(os.environ.get(DATA_VARIABLE) or "data") / source


def store_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a store: ``out``, else ``./stores/<name>``."""
    return Path(out) if out is not None else Path("stores") / short_name(name)


def checkpoint_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a generator checkpoint: ``out``, else ``./checkpoints/<name>``."""
    return Path(out) if out is not None else Path("checkpoints") / short_name(name)


def run_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a recognizer's run: ``out``, else ``./runs/<name>``."""
    return Path(out) if out is not None else Path("runs") / short_name(name)


def model_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a trained recognizer: ``out``, else ``./models/<name>``."""
    return Path(out) if out is not None else Path("models") / short_name(name)


def predictions_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a recognizer's predictions: ``out``, else ``./predictions/<name>``."""
    return Path(out) if out is not None else Path("predictions") / short_name(name)


def quality_path(name: str, out: str | Path | None = None) -> Path:
    """Folder of a store's quality figures: ``out``, else ``./quality/<name>``."""
    return Path(out) if out is not None else Path("quality") / short_name(name)


def cache_path() -> Path:
    """Cache folder: ``$XDG_CACHE_HOME/mersynth``, else ``~/.cache/mersynth``.

    Without a home directory, it is in the folder of temporary files.
    """
    home = os.path.expanduser("~")
    usual = os.path.join(home, ".cache") if os.path.isabs(home) else tempfile.gettempdir()
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "mersynth"
