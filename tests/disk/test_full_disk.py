"""A disk without room: one line that names the output, whichever library writes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mersynth.card import write_card
from mersynth.disk.files import whole_file, whole_folder, write_json_atomically
from mersynth.disk.full_disk import NoSpaceError
from mersynth.disk.space import new_array
from mersynth.disk.state_files import save_state_file
from mersynth.export.video import write_video

resource = pytest.importorskip("resource", reason="Windows has no limits of files")

LARGE = torch.zeros(1 << 19)  # 2 MiB


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Larger files find no room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _a_state(path: Path) -> None:
    save_state_file(path, {"weights": LARGE}, {})


def _a_card(path: Path) -> None:
    write_card(path.with_suffix(".json"), path.name, {"weights": LARGE}, {})


def _json(path: Path) -> None:
    write_json_atomically(path, [1] * (1 << 19))


def _an_array(path: Path) -> None:
    new_array(path, np.float32, (1 << 19,))


def _a_picture(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    with whole_file(path) as partial:
        Image.fromarray(noise).save(partial, "png")


def _in_a_folder(path: Path) -> None:
    with whole_folder(path.with_name("folder")) as partial:
        save_state_file(partial / path.name, {"weights": LARGE}, {})


@pytest.mark.parametrize(
    "write",
    [_a_state, _a_card, _json, _an_array, _a_picture, _in_a_folder],
    ids=lambda write: write.__name__,
)
def test_a_file_without_room_is_named(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "output"
    place = tmp_path / "folder/output" if write is _in_a_folder else path
    message = f"^no space for {re.escape(str(place))}: .*--out on"
    with files_up_to(1 << 20), pytest.raises(NoSpaceError, match=message):
        write(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("codec", ["mp4v", "vp09"])
def test_a_film_without_room_is_no_film(codec: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    message = "long.mp4 as .*B free: 0 of 60 frames were written"
    with files_up_to(1 << 17):
        write_video(tmp_path / "short.mp4", frames[:2], 25.0, codec)
    with files_up_to(1 << 17), pytest.raises(OSError, match=message):
        write_video(tmp_path / "long.mp4", frames, 25.0, codec)


@pytest.mark.parametrize(
    "words",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
    ],
)
def test_words_of_libraries_in_rust(words: str, tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError), whole_file(tmp_path / "a"):
        raise ValueError(words)


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        (tmp_path / "missing").read_text()
    with pytest.raises(ValueError, match="os error 2"), whole_file(tmp_path / "a"):
        raise ValueError("I/O error: No such file (os error 2)")
