"""Pictures of clips, and images embedded in a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

QUALITY = 88
"""Of JPEG pictures, in 0..100."""

DIFFERENCE_GAIN = 5
"""Factor by which :func:`difference` exaggerates."""


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The magnified change between two frames (H, W, 3) uint8, on grey; also uint8."""
    change = after.astype(float) - before
    return np.clip(127.5 + DIFFERENCE_GAIN * change, 0, 255).astype(np.uint8)


def data_url(image: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a JPEG data URL to embed in a page."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
