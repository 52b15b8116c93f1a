"""Reading the frames of a database."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError


def check_frame(path: Path) -> tuple[int, int]:
    """Decode a frame to its end, as cheaply as its format allows.

    Returns:
        Width and height, in pixels.

    Raises:
        ValueError: if the image is truncated, damaged or none.
    """
    with _opened(path) as image:
        size = image.size
        # A JPEG decoded at an eighth of its size still reads every coded bit.
        image.draft("RGB", (1, 1))
        image.load()
    return size


def read_frame(path: Path) -> np.ndarray:
    """A frame as (H, W, 3) uint8, RGB; a grey frame has three equal channels.

    Raises:
        ValueError: if the image is truncated, damaged or none.
    """
    with _opened(path) as image:
        return np.asarray(image.convert("RGB"))


def to_square(frame: np.ndarray, image_size: int, crop: bool) -> np.ndarray:
    """Bring a frame to the square size of a store.

    Args:
        frame: (H, W, 3) uint8.
        image_size: side of the result, in pixels.
        crop: cut out the centred square first; else the whole frame is squeezed into the square.

    Returns:
        (image_size, image_size, 3) uint8.
    """
    height, width = frame.shape[:2]
    if crop:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frame = frame[top : top + side, left : left + side]
    return cv2.resize(frame, (image_size, image_size), interpolation=cv2.INTER_AREA)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
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
