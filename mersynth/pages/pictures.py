"""Images that stand within a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

_QUALITY = 88


def data_url(image: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a JPEG that stands within a page."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
