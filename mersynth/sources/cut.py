"""The part of a database's frames that a store keeps when faces are not searched for."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class Cut:
    """A rectangle of a frame, resized to the square of a store.

    Attributes:
        left, top, width, height: the rectangle, in pixels.
        image_size: side of the result, in pixels.
    """

    left: int
    top: int
    width: int
    height: int
    image_size: int

    @classmethod
    def whole(cls, width: int, height: int, image_size: int) -> Cut:
        """The whole frame, squeezed into the square."""
        return cls(0, 0, width, height, image_size)

    @classmethod
    def centre(cls, width: int, height: int, image_size: int) -> Cut:
        """The largest square in a frame's middle."""
        side = min(width, height)
        return cls((width - side) // 2, (height - side) // 2, side, side, image_size)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) uint8 to (image_size, image_size, 3) uint8, by averaging areas."""
        part = frame[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (self.image_size, self.image_size)
        return cv2.resize(part, size, interpolation=cv2.INTER_AREA)

    def apply_points(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of a frame, (x, y) in pixels, to the square; NaN stays NaN.

        The first pixel's centre is at 0; its outer corner, at -0.5, does not move.
        """
        corner = np.array([self.left, self.top])
        scale = self.image_size / np.array([self.width, self.height])
        return ((points - corner + 0.5) * scale - 0.5).astype(np.float32)
