"""From light to bytes: white balance, blur, noise, grey, gamma and compression.

The noise follows EMVA standard 1288: the number of electrons has a variance equal to its mean (shot
noise), and reading adds a constant variance. Image values are the square root of the light, so that
shot noise has the same size in dark and bright areas.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from mersynth.phantom.optics.camera import blur
from mersynth.phantom.subject import PhantomSubject

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear light, ITU-R BT.709


@dataclass(frozen=True)
class Sensor:
    """The camera that records a subject.

    Attributes:
        subject: the subject recorded.
        pixels_per_cm: pixels of the picture per centimetre on the face.
    """

    subject: PhantomSubject
    pixels_per_cm: float

    def expose(self, light: Tensor, gain: Tensor, noise: torch.Generator | None) -> Tensor:
        """Image values (T, 3, H, W) in [0, 1] of linear light (T, 3, H, W), which may be changed.

        Args:
            light: what reaches the camera.
            gain: (T,) exposure of each frame.
            noise: a generator on the same device; None: no noise.
        """
        look = self.subject.look
        balance = torch.tensor(look.balance, device=light.device)
        picture = light * (gain[:, None] * balance)[:, :, None, None]
        if look.grey:
            weights = torch.tensor(_LUMINANCE, device=light.device)
            picture = torch.einsum("tchw,c->thw", picture, weights)[:, None]
        if look.blur:
            frames, channels = picture.shape[:2]
            flat = blur(picture.flatten(0, 1), look.blur * self.pixels_per_cm)
            picture = flat.unflatten(0, (frames, channels))
        picture = picture.clamp_(0, 1).sqrt_()
        if noise is not None:
            grain = torch.randn(picture.shape, generator=noise, device=light.device)
            picture += grain.mul_(self._deviation(picture))
            picture.clamp_(0, 1)
        return picture.expand(-1, 3, -1, -1)

    def _deviation(self, picture: Tensor) -> Tensor | float:
        """Standard deviation of the noise, in image values."""
        shot, read = self.subject.noise, self.subject.look.read_noise
        if not read:
            return shot
        # A small d of light moves its square root by d / (2 value); in the dark at most by
        # about the root of d.
        return (shot**2 + (read / 2) ** 2 / (picture.square() + read)).sqrt_()


def to_bytes(frames: Tensor, quality: int | None = None) -> np.ndarray:
    """Frames (T, 3, H, W) in [0, 1] as (T, H, W, 3) uint8, after JPEG compression if asked for."""
    pixels = (frames * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    if quality is None:
        return pixels
    return np.stack([_compressed(frame, quality) for frame in pixels])


def _compressed(frame: np.ndarray, quality: int) -> np.ndarray:
    _, code = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None  # what was just encoded
    return decoded[..., ::-1]
