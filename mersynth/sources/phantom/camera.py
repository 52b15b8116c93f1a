"""The camera, and small image operations that the scene needs once per subject."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 20.0  # width of what the image shows at the face's depth, cm
_FACE_DEPTH = 4.0  # cm
_DISTANCE = 90.0  # of the camera, cm
CENTRE_HEIGHT = -0.5  # what the camera looks at, cm


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that looks at the head from the front, with perspective.

    Attributes:
        size: side of the image, in pixels. Pixel (0, 0) has its centre at (0.5, 0.5).
    """

    size: int

    @property
    def pixels_per_cm(self) -> float:
        """Pixels a centimetre at the face's depth."""
        return self.size / SPAN

    def scale(self, z: Tensor) -> Tensor:
        """Pixels a centimetre at depth z."""
        return self.pixels_per_cm * (_DISTANCE - _FACE_DEPTH) / (_DISTANCE - z)

    def project(self, points: Tensor) -> Tensor:
        """(..., 3) positions in cm as (..., 2) x (right), y (down) in pixels."""
        x, y, z = points.unbind(-1)
        k = self.scale(z)
        return torch.stack([self.size / 2 + x * k, self.size / 2 - (y - CENTRE_HEIGHT) * k], -1)

    def project_motion(self, points: Tensor, motion: Tensor) -> Tensor:
        """First-order image motion (..., 2), pixels, of (..., 3) small displacements in cm."""
        x, y, z = points.unbind(-1)
        dx, dy, dz = motion.unbind(-1)
        k, near = self.scale(z), dz / (_DISTANCE - z)
        return torch.stack([k * (dx + x * near), -k * (dy + (y - CENTRE_HEIGHT) * near)], -1)


def sample(maps: Tensor, points: Tensor, size: int) -> Tensor:
    """Bilinear values of maps that cover the image.

    Args:
        maps: (T or 1, C, h, w), any resolution.
        points: (T, 2, H, W) x, y in pixels of the image of side ``size``.
        size: side of the image, in pixels.

    Returns:
        (T, C, H, W).
    """
    grid = points.permute(0, 2, 3, 1) * (2 / size) - 1
    maps = maps.expand(len(grid), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def pixel_centres(size: int, device: torch.device, resolution: int | None = None) -> Tensor:
    """(2, R, R) x, y in pixels of the centres of a grid of R by R cells over the image."""
    resolution = resolution or size
    axis = (torch.arange(resolution, device=device) + 0.5) * (size / resolution)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"))


def fill_holes(maps: Tensor, known: Tensor) -> Tensor:
    """Continue maps smoothly where they are unknown (push-pull over an image pyramid).

    Args:
        maps: (C, H, W).
        known: (H, W) True where the maps hold.
    """
    weight = known.to(maps)[None]
    return _push_pull((maps * weight)[None], weight[None])[0]


def _push_pull(value: Tensor, weight: Tensor) -> Tensor:
    height, width = value.shape[-2:]
    mean = value / weight.clamp(min=1e-6)
    if min(height, width) <= 1 or bool((weight > 0).all()):
        return mean
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True)
    coarse = F.avg_pool2d(value, 2, ceil_mode=True)
    share = (coarse_weight > 0).to(value)
    coarse = coarse / coarse_weight.clamp(min=1e-6) * share
    filled = _push_pull(coarse, share)
    filled = F.interpolate(filled, (height, width), mode="bilinear", align_corners=False)
    return torch.where(weight > 0, mean, filled)


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W), edges replicated; sigma in cells of the map."""
    if sigma < 0.15:
        return maps
    reach = max(1, min(int(3 * sigma + 0.5), min(maps.shape[-2:]) - 1))
    at = torch.arange(-reach, reach + 1, device=maps.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    out = F.pad(maps[:, None], (reach, reach, reach, reach), mode="replicate")
    out = F.conv2d(out, kernel[None, None, None])
    return F.conv2d(out, kernel[None, None, :, None])[:, 0]


def slopes(height: Tensor, pixels_per_cm: float) -> Tensor:
    """Slope of (..., H, W) heights in cm: (..., 2, H, W), to the right and up."""
    padded = F.pad(height.reshape(-1, 1, *height.shape[-2:]), (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    up = (padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]) / 2
    slope = torch.cat([right, up], 1) * pixels_per_cm
    return slope.reshape(*height.shape[:-2], 2, *height.shape[-2:])
