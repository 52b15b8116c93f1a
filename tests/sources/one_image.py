"""Trees of a real database's size, whose frames are hard links to one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mersynth.sources import base


@contextmanager
def decoded_once() -> Iterator[None]:
    """Decode an image once, however many of a tree's 18,000 frames are links to it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("check_frame", "read_frame"):
            patch.setattr(base, name, _once_each_image(getattr(base, name)))
        yield


def _once_each_image(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    known: dict[int, Any] = {}

    def look_up(path: Path) -> Any:
        image = path.stat().st_ino
        if image not in known:
            known[image] = read(path)
        return known[image]

    return look_up
