"""Tests of reading and resizing frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mersynth.sources.frames import check_frame, read_frame, to_square


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "png"])
@pytest.mark.parametrize("grey", [False, True])
def test_every_truncation_is_found(tmp_path: Path, suffix: str, grey: bool) -> None:
    path = tmp_path / f"frame.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).convert("L" if grey else "RGB").save(path)
    whole = path.read_bytes()
    assert check_frame(path) == (30, 20)
    assert read_frame(path).shape == (20, 30, 3)
    # The last bytes of a PNG are an end mark; its pixels are whole without them.
    for length in range(0, len(whole) - 20, 23):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated or damaged"):
            check_frame(path)
        with pytest.raises(ValueError, match="truncated or damaged"):
            read_frame(path)


def test_a_damaged_size_is_found(tmp_path: Path) -> None:
    path = tmp_path / "frame.bmp"
    Image.new("RGB", (30, 20)).save(path)
    whole = bytearray(path.read_bytes())
    whole[21] = whole[25] = 100  # the third byte, little-endian, of width and height
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="truncated or damaged"):
        check_frame(path)


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (250, 100, 5)).save(tmp_path / "frame.bmp")
    assert read_frame(tmp_path / "frame.bmp")[2, 2].tolist() == [250, 100, 5]


def test_shrinking_averages_areas() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    squeezed = to_square(frame, 8, crop=False)
    mean = frame.reshape(8, 4, 8, 6, 3).mean((1, 3))
    np.testing.assert_allclose(squeezed, mean, atol=0.51)
    cut = to_square(frame, 8, crop=True)
    mean = frame[:, 8:40].reshape(8, 4, 8, 4, 3).mean((1, 3))
    np.testing.assert_allclose(cut, mean, atol=0.51)
