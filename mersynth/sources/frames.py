"""Reading the frames of a database."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mersynth.disk.files import check_regular
from mersynth.sources.media import RAW_SUFFIXES

_ORIENTATION = 0x0112  # the EXIF tag: how the camera was held
_BITS = 0x0102  # the TIFF tag: bits per sample
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_CONVERTIBLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
# Formats whose further images are an animation or pages, not previews or layers.
_SEVERAL = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class _UnfitError(ValueError):
    """An undamaged image that cannot be used as one frame."""


def check_frame(path: Path) -> tuple[int, int]:
    """Decode a frame to its end, as cheaply as its format allows.

    Returns:
        Width and height in pixels, as :func:`read_frame` gives the frame.

    Raises:
        ValueError: see :func:`read_frame`; the message gives no path.
    """
    with _opened(path) as image:
        size = image.size
        # A JPEG decoded at an eighth of its size still reads every coded bit.
        reduced = image.draft("RGB", (1, 1)) is not None
        image.load()
        _check_mode(image)
        width, height = size if reduced else image.size  # Pillow rotates a TIFF on loading
        return (height, width) if _orientation(image) >= 5 else (width, height)


def read_frame(path: Path) -> np.ndarray:
    """A frame as (H, W, 3) uint8, RGB, turned as its EXIF orientation says.

    A grey frame gets three equal channels; 16 bits are scaled to 8 (65535 becomes 255); transparent
    pixels are put on white; CMYK is converted.

    Raises:
        ValueError: if the file cannot be read, is not an image, or holds several; or if the image
            is truncated, damaged, too large, or has pixels without a known scale.
    """
    with _opened(path) as image:
        image.load()
        _check_mode(image)
        orientation = _orientation(image)
        if _has_16_bits(path):
            pixels = _read_16_bits(path)
        elif image.mode in _DEEP:
            pixels = _to_8_bits(np.stack([np.asarray(image)] * 3, axis=2))
        else:
            pixels = _rgb(image)
    return _oriented(pixels, orientation)


def _rgb(image: Image.Image) -> np.ndarray:
    """The pixels as a viewer shows them: on white where they are transparent."""
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def _check_mode(image: Image.Image) -> None:
    # In these formats 16 bits are the full scale; other deep pixels may have any scale.
    sixteen = image.mode in _DEEP and (
        image.format in ("PNG", "PPM")
        or (image.format == "TIFF" and image.mode != "I" and _tiff_bits(image) == 16)
    )
    if image.mode not in _CONVERTIBLE and not sixteen:
        raise _UnfitError(
            f"pixels of mode {image.mode} ({image.format}) have no known scale; save the frame as "
            "a PNG of 8 or 16 bits"
        )


def _tiff_bits(image: Image.Image) -> int:
    bits = image.getexif().get(_BITS, 0)
    return bits[0] if isinstance(bits, tuple) else bits


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, 3) upright: 5 to 8 are rotated by 90 degrees, and every second is mirrored."""
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
    # The byte after width and height in a PNG's first chunk is its bit depth.
    return head.startswith(b"\x89PNG") and head[24] == 16


def _read_16_bits(path: Path) -> np.ndarray:
    """A PNG of 16 bits per channel as (H, W, 3) uint8, RGB: Pillow would clip values."""
    deep = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16:
        raise ValueError("the image is truncated or damaged (16 bits cannot be read)")
    if deep.ndim == 2:
        return _to_8_bits(np.stack([deep] * 3, axis=2))
    colours = deep[..., 2::-1].astype(np.float64)
    if deep.shape[2] == 4:
        opacity = deep[..., 3:] / 65535
        colours = np.rint(colours * opacity + 65535 * (1 - opacity))
    return _to_8_bits(colours)


def _to_8_bits(deep: np.ndarray) -> np.ndarray:
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if path.suffix.lower() in RAW_SUFFIXES:
        raise ValueError("raw files of cameras cannot be read; save it as .jpg or .png")
    _learn_heif()
    try:
        check_regular(path)
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1) if image.format in _SEVERAL else 1
            if count > 1:
                raise _UnfitError(
                    f"the file holds {count} images where one is expected; save one of them, or "
                    "all as a video"
                )
            yield image
    except _UnfitError:
        raise
    # Pillow raises any of these on damaged files, depending on format and damage. The path is left
    # out of the reason, which is kept in stores that may be passed on.
    except UnidentifiedImageError as error:
        raise ValueError(_why_unknown(path)) from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"the image is truncated or damaged, or too large ({error})") from error
    except (OSError, SyntaxError, EOFError, ValueError, struct.error) as error:
        if strerror := getattr(error, "strerror", None):
            raise ValueError(f"the file cannot be read ({strerror})") from error
        raise ValueError(f"the image is truncated or damaged ({error})") from error


@cache
def _learn_heif() -> bool:
    """Let Pillow read HEIC if the package for it is installed; whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _why_unknown(path: Path) -> str:
    """Why Pillow does not recognise a file's format."""
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp" and head[8:] in _HEIF and not _learn_heif():
        return (
            "a HEIC image, which needs another package (pip install 'mersynth[heic]'); or save it "
            "as .jpg"
        )
    return "the image is truncated or damaged (no known format)"
