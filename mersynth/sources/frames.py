"""Reading the frames of a database."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

_ORIENTATION = 0x0112  # the EXIF tag: how the camera was held
_DEEP = ("I", "I;16", "I;16B", "I;16L")


class _UnknownScaleError(ValueError):
    """A whole image, whose pixels cannot be told as brightness."""


def check_frame(path: Path) -> tuple[int, int]:
    """Decode a frame to its end, as cheaply as its format allows.

    Returns:
        Width and height in pixels, as :func:`read_frame` gives the frame.

    Raises:
        ValueError: if the image is truncated, damaged, none, or of pixels that have no known scale.
    """
    with _opened(path) as image:
        width, height = image.size
        # A JPEG decoded at an eighth of its size still reads every coded bit.
        image.draft("RGB", (1, 1))
        image.load()
        _check_mode(image)
        return (height, width) if _orientation(image) >= 5 else (width, height)


def read_frame(path: Path) -> np.ndarray:
    """A frame as (H, W, 3) uint8, RGB, turned as its EXIF orientation says.

    A grey frame has three equal channels; 16 bits are scaled to 8 (65535 becomes 255); an alpha
    channel is dropped, CMYK converted.

    Raises:
        ValueError: if the image is truncated, damaged, none, or of pixels that have no known scale.
    """
    with _opened(path) as image:
        image.load()
        _check_mode(image)
        orientation = _orientation(image)
        pixels = _read_16_bits(path) if _has_16_bits(path) else np.asarray(image.convert("RGB"))
    return _oriented(pixels, orientation)


def _check_mode(image: Image.Image) -> None:
    # A PNG's 16 bits have a scale; other deep or floating-point pixels may have any.
    if image.mode == "F" or (image.mode in _DEEP and image.format != "PNG"):
        raise _UnknownScaleError(
            f"pixels of mode {image.mode} ({image.format}) have no known scale; save the frame as "
            "a PNG of 8 or 16 bits"
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, 3) upright: 5 to 8 are lying images, and every second one is mirrored."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _has_16_bits(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(25)
    # The byte behind width and height of a PNG's first chunk is its bit depth.
    return head.startswith(b"\x89PNG") and head[24] == 16


def _read_16_bits(path: Path) -> np.ndarray:
    """A PNG of 16 bits a channel as (H, W, 3) uint8, RGB: Pillow would cut values off."""
    deep = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16:
        raise ValueError("the image is truncated or damaged (16 bits cannot be read)")
    pixels = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.ndim == 2:
        return np.stack([pixels] * 3, axis=2)
    return pixels[..., 2::-1]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except _UnknownScaleError:
        raise
    # Pillow raises each of these on damaged files, by format and place of the damage. What an error
    # says of the path is left out: the reason is kept in stores, which may travel.
    except UnidentifiedImageError as error:
        raise ValueError("the image is truncated or damaged (no known format)") from error
    except (
        *(OSError, SyntaxError, EOFError, ValueError, struct.error),
        Image.DecompressionBombError,
    ) as error:
        detail = getattr(error, "strerror", None) or error
        raise ValueError(f"the image is truncated or damaged ({detail})") from error
