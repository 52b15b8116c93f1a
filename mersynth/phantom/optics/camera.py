"""The camera, the part of its image that is shown, and small image operations for scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.face.template import HEAD, Framing

SPAN = 20.0  # width of what an image framed as HEAD shows at the face's depth, cm
_FACE_DEPTH = 4.0  # cm
_DISTANCE = 90.0  # of the camera, cm
_AXIS_HEIGHT = -0.5  # what the camera looks at, cm
_MARGIN = 1.0  # cm around a cropped face that a drifting head brings into the picture


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that looks at the head from the front, with perspective.

    Attributes:
        size: side of the image, in pixels. Pixel (0, 0) has its centre at (0.5, 0.5).
        span: width of what the image shows at the face's depth, cm.
        centre: (x, y) of the image's middle at the face's depth, cm. The camera itself does not
            move: another centre shows another part of the same picture.
    """

    size: int
    span: float = SPAN
    centre: tuple[float, float] = (0.0, _AXIS_HEIGHT)

    @property
    def pixels_per_cm(self) -> float:
        """Pixels per centimetre at the face's depth."""
        return self.size / self.span

    @property
    def axis(self) -> tuple[float, float]:
        """(x, y) in pixels of the point that the camera looks at."""
        k, (x, y) = self.pixels_per_cm, self.centre
        return self.size / 2 - x * k, self.size / 2 + (y - _AXIS_HEIGHT) * k

    def plane(self, x: Tensor, y: Tensor, *, depth: float = _FACE_DEPTH) -> tuple[Tensor, Tensor]:
        """Positions x, y in pixels as centimetres x, y (up) at a depth in cm, the face's."""
        k, (right, down) = float(self.scale(torch.tensor(depth))), self.axis
        return (x - right) / k, (down - y) / k + _AXIS_HEIGHT

    def scale(self, z: Tensor) -> Tensor:
        """Pixels per centimetre at depth z."""
        return self.pixels_per_cm * (_DISTANCE - _FACE_DEPTH) / (_DISTANCE - z)

    def project(self, points: Tensor) -> Tensor:
        """(..., 3) positions in cm as (..., 2) x (right), y (down) in pixels."""
        x, y, z = points.unbind(-1)
        k, (right, down) = self.scale(z), self.axis
        return torch.stack([right + x * k, down - (y - _AXIS_HEIGHT) * k], -1)

    def project_motion(self, points: Tensor, motion: Tensor) -> Tensor:
        """First-order image motion (..., 2), pixels, of (..., 3) small displacements in cm."""
        x, y, z = points.unbind(-1)
        dx, dy, dz = motion.unbind(-1)
        k, near = self.scale(z), dz / (_DISTANCE - z)
        return torch.stack([k * (dx + x * near), -k * (dy + (y - _AXIS_HEIGHT) * near)], -1)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a camera's image that a picture shows: a rectangle, squeezed into a square.

    Attributes:
        size: side of the picture, in its own pixels.
        left, top, width, height: the rectangle, in pixels of the camera's image.
    """

    size: int
    left: float
    top: float
    width: float
    height: float

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture for one of the image, across and down."""
        return self.size / self.width, self.size / self.height

    def centres(self, device: torch.device) -> Tensor:
        """(2, S, S) x, y in the image of the picture's pixels."""
        across, down = self.scale
        x, y = pixel_centres(self.size, device)
        return torch.stack([x / across + self.left, y / down + self.top])

    def place(self, points: Tensor) -> Tensor:
        """Points (..., 2) of the image in the picture, whose first pixel's centre is at 0.5."""
        corner = torch.tensor([self.left, self.top], device=points.device)
        return (points - corner) * torch.tensor(self.scale, device=points.device)

    def rows_and_columns(self, box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
        """Top, bottom, left, right in the picture of a box of the image, as far as it is seen."""
        (across, down), (top, bottom, left, right) = self.scale, box

        def shown(value: float) -> int:
            return int(min(max(value, 0), self.size))

        return (
            shown(math.floor((top - self.top) * down)),
            shown(math.ceil((bottom - self.top) * down)),
            shown(math.floor((left - self.left) * across)),
            shown(math.ceil((right - self.left) * across)),
        )


def frame_face(size: int, framing: Framing, eyes: Tensor) -> tuple[Camera, Window]:
    """The camera and window that show a face in a framing.

    With ``HEAD`` the head stays where it is, as in a recording; other framings are those of cropped
    pictures, which are cut out by the positions of the eyes.

    Args:
        size: side of the picture, in pixels.
        framing: where the eyes should lie in it.
        eyes: (2, 3) centres of the subject's right and left eye, cm.
    """
    if framing == HEAD:
        return Camera(size), Window(size, 0, 0, size, size)
    (left, top), (right, bottom) = (
        (float(x), float(y)) for x, y in torch.stack(Camera(1).plane(*_seen(eyes).unbind(-1)), -1)
    )
    across = framing.apart * size / (right - left)  # pixels of the picture per centimetre
    down = across * framing.aspect
    k = min(across, down)
    width, height = size * k / across, size * k / down
    margin = math.ceil(_MARGIN * k)
    side = 2 * (math.ceil(max(width, height) / 2) + margin)
    below = (0.5 - framing.eyes) * size / down
    camera = Camera(side, side / k, ((left + right) / 2, (top + bottom) / 2 - below))
    return camera, Window(size, (side - width) / 2, (side - height) / 2, width, height)


def _seen(points: Tensor) -> Tensor:
    return Camera(1).project(points)


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
