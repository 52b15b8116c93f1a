"""Eyes: the eyeball, painted once, and the lids, which slide over it in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.phantom.optics.camera import Camera, pixel_centres
from mersynth.phantom.optics.lights import Lights
from mersynth.phantom.subject import PhantomSubject

# Rims of the opening from the outer to the inner corner; the subject's right eye, then the left.
_UPPER = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
_LOWER = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
_BALL_RADIUS = 1.25  # cm
_IRIS_RADIUS = 0.58  # cm
_BALL_DEPTH = 3.3  # z of the visible surface, cm


@dataclass(frozen=True)
class Eyes:
    """The opening of both eyes at rest, in pixels of the neutral image.

    Attributes:
        curves: (2, 4, N) for the right and left eye: y of the crease, the upper lid's margin, the
            lower lid's margin, and the lower lid's foot, at N columns over the image's width.
        boxes: for each eye, the rows and columns (top, bottom, left, right) that its lids reach.
        ball: (3, R, R) linear-light colour of the balls.
        depth: z of the balls, cm.
    """

    curves: Tensor
    boxes: tuple[tuple[int, int, int, int], ...]
    ball: Tensor
    depth: float = _BALL_DEPTH

    def levels(self, x: Tensor, eye: int, closing: Tensor, rising: Tensor) -> tuple[Tensor, Tensor]:
        """Heights of the lids at rest and as moved, at columns x.

        Args:
            x: (T, ...) columns in pixels.
            eye: 0 for the subject's right eye, 1 for the left.
            closing: (T,) share of the opening that the upper lid covers; negative opens wider.
            rising: (T,) share that the lower lid covers.

        Returns:
            (4, T, ...) crease, upper, lower, foot at rest, and (4, T, ...) as moved.
        """
        table = self.curves[eye]
        n = table.shape[-1]
        at = (x * (n / self._width) - 0.5).clamp(0, n - 1.001)
        k = at.long()
        rest = torch.lerp(table[:, k], table[:, k + 1], at - k)
        crease, upper, lower, foot = rest
        shape = (-1,) + (1,) * (x.dim() - 1)
        closing, rising = closing.reshape(shape), rising.reshape(shape)
        opening = lower - upper
        moved_lower = lower - rising * opening * 0.6
        moved_upper = upper + closing * (moved_lower - upper)
        moved_upper = torch.maximum(moved_upper, crease + 0.12 * (upper - crease))
        return rest, torch.stack([crease, moved_upper, moved_lower, foot])

    @property
    def _width(self) -> float:
        return float(self.curves.shape[-1]) / 2


def slide(y: Tensor, from_levels: Tensor, to_levels: Tensor) -> Tensor:
    """Move heights with the lids: piecewise linear, unmoved above the crease and below the foot.

    Args:
        y: (T, ...) heights in pixels.
        from_levels: (4, T, ...) the four levels that ``y`` was seen with.
        to_levels: (4, T, ...) where the levels move to.
    """
    moved = y
    for k in range(3):
        low, high = from_levels[k], from_levels[k + 1]
        share = (y - low) / (high - low).clamp(min=1e-3)
        target = to_levels[k] + share * (to_levels[k + 1] - to_levels[k])
        moved = torch.where((y > low) & (y <= high), target, moved)
    return moved


def make_eyes(shape: Tensor, subject: PhantomSubject, camera: Camera, lights: Lights) -> Eyes:
    """The eyes of a subject.

    Args:
        shape: (V, 3) the subject's head, cm, whose first 468 vertices are MediaPipe's.
        subject: whose eyes.
        camera: which sees them.
        lights: which light them.
    """
    points = camera.project(shape[:468])
    curves = torch.stack([_curves(points, eye, subject, camera) for eye in (0, 1)])
    size, margin = camera.size, 0.7 * camera.pixels_per_cm
    boxes = []
    for eye in (0, 1):
        rim = points[list(_UPPER[eye])]
        left, right = rim[:, 0].min().item() - 2 * margin, rim[:, 0].max().item() + 2 * margin
        crease, foot = curves[eye, 0].min().item(), curves[eye, 3].max().item()
        bounds = (crease - 1.8 * margin, foot + 1.8 * margin, left, right)
        boxes.append(tuple(int(min(max(b, 0), size)) for b in bounds))
    ball = _paint_balls(points, subject, camera, lights)
    return Eyes(curves, tuple(boxes), ball)  # type: ignore[arg-type]


def _curves(points: Tensor, eye: int, subject: PhantomSubject, camera: Camera) -> Tensor:
    columns = (torch.arange(2 * camera.size, device=points.device) + 0.5) / 2
    upper, lower = points[list(_UPPER[eye])], points[list(_LOWER[eye])]
    outer, inner = upper[0], upper[-1]
    share = ((columns - outer[0]) / (inner[0] - outer[0])).clamp(0, 1)
    base = torch.lerp(outer[1], inner[1], share)

    def bow(rim: Tensor) -> Tensor:
        """A rim's distance from the line between the corners: a smooth fit through its points."""
        t = (rim[:, 0] - outer[0]) / (inner[0] - outer[0])
        off = rim[:, 1] - torch.lerp(outer[1], inner[1], t)
        weights = torch.linalg.lstsq(_arches(t), off[:, None]).solution
        return _arches(share) @ weights[:, 0]

    high = base + subject.aperture * bow(upper).clamp(max=0)
    sag = 1.5 - 0.5 * share  # the lower lid hangs deepest in its outer half
    low = base + subject.aperture * sag * bow(lower).clamp(min=0)
    open_share = (low - high) / (low - high).max()
    k = camera.pixels_per_cm
    crease = high - k * (0.5 * open_share.sqrt())
    foot = low + k * (0.5 * open_share.sqrt())
    return torch.stack([crease, high, low, foot])


def _arches(t: Tensor) -> Tensor:
    """Three curves over [0, 1] that are 0 at both ends: (N,) to (N, 3)."""
    arch = t * (1 - t)
    return torch.stack([arch, arch * (t - 0.5), arch**2], 1)


def _paint_balls(points: Tensor, subject: PhantomSubject, camera: Camera, lights: Lights) -> Tensor:
    k = camera.pixels_per_cm
    x, y = pixel_centres(camera.size, points.device, 2 * camera.size)
    total = torch.zeros(3, *x.shape, device=points.device)
    for eye in (0, 1):
        corners = points[[_UPPER[eye][0], _UPPER[eye][-1]]]
        centre = corners.mean(0)
        inwards = 0.06 if eye == 0 else -0.06
        across, up = (x - centre[0]) / k - inwards, (centre[1] - y) / k - 0.15
        forward = (_BALL_RADIUS**2 - across**2 - up**2).clamp(min=0.05).sqrt()
        normal = torch.stack([across, up, forward]) / _BALL_RADIUS
        r = (across**2 + up**2).sqrt()
        turn = torch.atan2(up, across)
        edge = 0.5 / k + 0.03
        pale = torch.tensor([0.54, 0.51, 0.49], device=x.device)[:, None, None]
        veins = torch.tensor([0.0, 0.12, 0.11], device=x.device)[:, None, None]
        inwards = across if eye == 0 else -across
        white = pale - veins * ((across.abs() / 1.25).clamp(0, 1) ** 2)
        white = white - 1.6 * veins * torch.sigmoid((inwards - 1.2) / 0.08)
        iris = torch.tensor(subject.eyes, device=x.device)[:, None, None]
        rays = 1 + 0.22 * torch.sin(turn * 17 + subject.seed) + 0.15 * torch.sin(turn * 31)
        ring = 1 - 0.65 * torch.sigmoid((r - 0.88 * _IRIS_RADIUS) / 0.05)
        iris = iris * rays * ring * (0.8 + 0.6 * (r / _IRIS_RADIUS))
        colour = torch.lerp(white, iris, torch.sigmoid((_IRIS_RADIUS - r) / edge))
        colour = colour * (1 - 0.96 * torch.sigmoid((0.23 - r) / edge))
        light, _ = lights.shade(normal[None], torch.ones_like(x))
        # Light from large areas reaches the eyes less: they lie between brows and cheeks.
        colour = colour * light[0] * (0.95 - 0.35 * lights.softness)
        lx = 0.3 if subject.light[0] > 0 else -0.3
        spot = ((across - lx) ** 2 + (up - 0.26) ** 2).sqrt()
        colour = colour + 0.8 * torch.sigmoid((0.085 - spot) / (0.7 * edge))
        total = torch.where(((x - centre[0]).abs() < 2.2 * k)[None], colour, total)
    return total
